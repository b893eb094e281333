/** Who logs in, with what, and to whom: settings and environment of an SFTP replica, checked before anything is connected. */
import { homedir } from "node:os";
import { join } from "node:path";
import ssh2 from "ssh2";
import { MillraceError } from "../../../errors.ts";
import { nodeFiles } from "../../../platform/files.ts";
import type { SftpTarget } from "../../replica-url/target.ts";
import { findKnownKeys, parseHostKey, type KnownKeys } from "./host-keys.ts";

export interface SftpLogin {
  readonly host: string;
  readonly port: number;
  readonly user: string;
  readonly password: string | undefined;
  readonly privateKey: Buffer | undefined;
  /** Socket of an SSH agent. */
  readonly agent: string | undefined;
  /** What is offered to the server, in words. */
  readonly methods: readonly string[];
  /** `undefined` when nothing is known of the host. */
  readonly known: KnownKeys | undefined;
}

type Environment = Readonly<Record<string, string | undefined>>;

const OP = "open sftp store";

/** Throws `storage/misconfigured`. */
export function readLogin(target: SftpTarget, env: Environment): SftpLogin {
  const { host, port, settings } = target;
  const { user, password, keyPath, hostKey } = settings;
  if (user === undefined) {
    throw misconfigured("no user is named", "write sftp://user@host/path or give the setting user");
  }
  const privateKey = keyPath === undefined ? undefined : readKey(expandHome(keyPath, env));
  const isGiven = password !== undefined || privateKey !== undefined;
  const agent = isGiven ? undefined : env["SSH_AUTH_SOCK"] || undefined;
  const methods = [
    ...(password === undefined ? [] : ["a password"]),
    ...(privateKey === undefined ? [] : [`the key "${keyPath}"`]),
    ...(agent === undefined ? [] : ["the keys of the SSH agent"]),
  ];
  if (methods.length === 0) {
    const hint = "give the setting key-path or password, or run an SSH agent";
    throw misconfigured(`nothing to log in "${user}" with`, hint);
  }
  const known = hostKey === undefined ? readKnownHosts(target, env) : pinned(hostKey);
  return { host, port, user, password, privateKey, agent, methods, known };
}

function pinned(hostKey: string): KnownKeys {
  const key = parseHostKey(hostKey);
  if (key !== undefined) return { trusted: [key], revoked: [] };
  throw misconfigured(
    "the setting host-key cannot be read",
    'write it as "ssh-ed25519 AAAA…", as ssh-keyscan shows it behind the host name',
  );
}

/** `undefined` when no file knows the host. */
function readKnownHosts({ host, port }: SftpTarget, env: Environment): KnownKeys | undefined {
  const trusted: KnownKeys["trusted"][number][] = [];
  const revoked: KnownKeys["revoked"][number][] = [];
  for (const path of [expandHome("~/.ssh/known_hosts", env), "/etc/ssh/ssh_known_hosts"]) {
    const bytes = nodeFiles.readFile("read known hosts", path);
    if (bytes === undefined) continue;
    const found = findKnownKeys(Buffer.from(bytes).toString(), host, port);
    trusted.push(...found.trusted);
    revoked.push(...found.revoked);
  }
  return trusted.length + revoked.length === 0 ? undefined : { trusted, revoked };
}

function readKey(path: string): Buffer {
  let bytes: Uint8Array | undefined;
  try {
    bytes = nodeFiles.readFile("read private key", path);
  } catch (error) {
    throw misconfigured(
      `the private key "${path}" cannot be read`,
      "check key-path and the file's rights",
      error,
    );
  }
  if (bytes === undefined)
    throw misconfigured(`there is no private key at "${path}"`, "check the setting key-path");
  const key = Buffer.from(bytes);
  const parsed = ssh2.utils.parseKey(key);
  if (!(parsed instanceof Error)) return key;
  if (/encrypted|passphrase/i.test(parsed.message)) {
    throw misconfigured(
      `the private key "${path}" is encrypted`,
      "make a copy without a passphrase (ssh-keygen -p), or add the key to an SSH agent and leave key-path out",
    );
  }
  throw misconfigured(
    `the private key "${path}" cannot be understood (${parsed.message})`,
    "it has to be a private key in OpenSSH's, PEM or PuTTY's form",
  );
}

function expandHome(path: string, env: Environment): string {
  if (path !== "~" && !path.startsWith("~/")) return path;
  return join(env["HOME"] ?? homedir(), path.slice(1));
}

function misconfigured(found: string, hint: string, cause?: unknown): MillraceError {
  return new MillraceError("storage/misconfigured", `${OP}: ${found}`, { op: OP, hint, cause });
}
