/**
 * Which key a server must have: from the setting `host-key`, or from the user's known_hosts file.
 *
 * Source: the formats AUTHORIZED_KEYS and SSH_KNOWN_HOSTS of OpenSSH's sshd(8); hashed host names are
 * `|1|salt|HMAC-SHA1(salt, name)`. Certificates are not understood; their lines are passed over.
 */
import { createHash, createHmac } from "node:crypto";

export interface HostKey {
  readonly type: string;
  /** As the server sends it. */
  readonly blob: Buffer;
}

export interface KnownKeys {
  readonly trusted: readonly HostKey[];
  readonly revoked: readonly HostKey[];
}

const KEY_TYPE = /^(?:ssh-(?:ed25519|rsa|dss)|ecdsa-sha2-nistp(?:256|384|521))$/;

/** Signature algorithms that a server may use with a key of a type, if others than the type's own. */
const SIGNATURES: Readonly<Record<string, readonly string[]>> = {
  "ssh-rsa": ["rsa-sha2-512", "rsa-sha2-256", "ssh-rsa"],
};

/** The key in a line of an authorized_keys file, with or without options before and a comment behind it. */
export function parseHostKey(line: string): HostKey | undefined {
  const words = line.trim().split(/\s+/);
  const index = words.findIndex((word) => KEY_TYPE.test(word));
  return index < 0 ? undefined : toKey(words[index], words[index + 1]);
}

/** What `text`, a known_hosts file, knows of a host. */
export function findKnownKeys(text: string, host: string, port: number): KnownKeys {
  const name = port === 22 ? host : `[${host}]:${port}`;
  const trusted: HostKey[] = [];
  const revoked: HostKey[] = [];
  for (const line of text.split("\n")) {
    const words = line.trim().split(/\s+/);
    if (words[0] === "" || words[0]?.startsWith("#") === true) continue;
    const marker = words[0]?.startsWith("@") === true ? words.shift() : undefined;
    const [names = "", type, encoded] = words;
    const key = toKey(type, encoded);
    if (key === undefined || !namesHost(names, name.toLowerCase())) continue;
    if (marker === undefined) trusted.push(key);
    else if (marker === "@revoked") revoked.push(key);
  }
  return { trusted, revoked };
}

/** Algorithms to offer, so that the server shows a key of a kind that is known; `undefined` for the client's own choice. */
export function signaturesOf(keys: readonly HostKey[]): string[] | undefined {
  if (keys.length === 0) return undefined;
  return [...new Set(keys.flatMap(({ type }) => SIGNATURES[type] ?? [type]))];
}

export function isAmong(keys: readonly HostKey[], blob: Uint8Array): boolean {
  return keys.some((key) => key.blob.equals(blob));
}

/** As `ssh-keygen -l` shows it. */
export function fingerprint(blob: Uint8Array): string {
  return `SHA256:${createHash("sha256").update(blob).digest("base64").replace(/=+$/, "")}`;
}

function toKey(type: string | undefined, encoded: string | undefined): HostKey | undefined {
  if (type === undefined || encoded === undefined || !KEY_TYPE.test(type)) return undefined;
  const blob = Buffer.from(encoded, "base64");
  // A blob begins with its type, after four bytes of length.
  const isWhole = blob.length > 4 && blob.readUInt32BE(0) === type.length;
  return isWhole && blob.toString("latin1", 4, 4 + type.length) === type
    ? { type, blob }
    : undefined;
}

function namesHost(names: string, name: string): boolean {
  if (names.startsWith("|")) return isHashOf(names, name);
  let isNamed = false;
  for (const pattern of names.toLowerCase().split(",")) {
    const isNegated = pattern.startsWith("!");
    if (!matches(isNegated ? pattern.slice(1) : pattern, name)) continue;
    if (isNegated) return false;
    isNamed = true;
  }
  return isNamed;
}

function isHashOf(hashed: string, name: string): boolean {
  const [, version, salt = "", hash] = hashed.split("|");
  if (version !== "1") return false;
  return createHmac("sha1", Buffer.from(salt, "base64")).update(name).digest("base64") === hash;
}

function matches(pattern: string, name: string): boolean {
  const source = pattern.replace(/[.+^${}()|[\]\\]/g, "\\$&");
  return new RegExp(`^${source.replaceAll("*", ".*").replaceAll("?", ".")}$`, "s").test(name);
}
