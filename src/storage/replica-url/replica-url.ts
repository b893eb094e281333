/**
 * Replica URLs: from text to what is meant, for the command line, the configuration and the library alike.
 *
 * Source: benbjohnson/litestream@63225f1 `ParseReplicaURL` and the two ways in which it builds clients, which read the same
 * URL differently; docs/replica-urls.md lists what is different here. A path is percent-decoded, an unknown parameter or a
 * fragment is refused instead of dropped.
 */
import type { MillraceError } from "../../errors.ts";
import { refuseSettings, splitAuthority, splitUrl, type UrlParts } from "./parts.ts";
import { cleanPath, decodePart, encodePath } from "./paths.ts";
import { invalidUrl } from "./redact.ts";
import { parseOssUrl, parseS3Url } from "./s3-url.ts";
import { REPLICA_SCHEMES, type ReplicaScheme } from "./settings.ts";
import type {
  AzureTarget,
  GcsTarget,
  NatsTarget,
  ReplicaLocation,
  ReplicaTarget,
  SftpTarget,
  WebdavTarget,
} from "./target.ts";

const SCHEME = /^([a-z][a-z0-9+.-]*):/i;
const MEMORY_NAME = /^[\w.-]*$/;
const SFTP_PORT = 22;
const NATS_PORT = 4222;
/** What one may write for a scheme, in messages. */
const EXAMPLES: Readonly<Record<ReplicaScheme, string>> = {
  file: "file:///path",
  memory: "memory:name",
  s3: "s3://bucket/path",
  oss: "oss://bucket/path",
  gs: "gs://bucket/path",
  abs: "abs://container/path",
  sftp: "sftp://user@host/path",
  webdav: "webdav://host/path",
  webdavs: "webdavs://host/path",
  nats: "nats://host/bucket/path",
};

/**
 * What `url` names. `settings` go before what the URL's query says; one that the scheme does not have is refused, like an
 * unknown parameter. Throws `url/invalid`, without showing credentials.
 */
export function parseReplicaUrl({ url, settings = {} }: ReplicaLocation): ReplicaTarget {
  const match = SCHEME.exec(url);
  const scheme = REPLICA_SCHEMES.find((known) => known === match?.[1]?.toLowerCase());
  if (match === null) throw missingScheme(url);
  if (scheme === undefined) throw unknownScheme(url, match[1] ?? "");
  const rest = url.slice(match[0].length);
  refuseSettings(url, scheme, settings);
  if (scheme === "file") return { scheme, path: parseFilePath(url, rest) };
  if (scheme === "memory") return { scheme, name: parseMemoryName(url, rest) };
  return PARSERS[scheme](splitUrl(url, scheme, rest, settings));
}

/** A replica given as its URL alone, or with settings. */
export function toLocation<Location extends ReplicaLocation>(
  replica: string | Location,
): ReplicaLocation | Location {
  return typeof replica === "string" ? { url: replica } : replica;
}

const PARSERS: Readonly<
  Record<Exclude<ReplicaScheme, "file" | "memory">, (parts: UrlParts) => ReplicaTarget>
> = {
  s3: parseS3Url,
  oss: parseOssUrl,
  gs: parseGcsUrl,
  abs: parseAzureUrl,
  sftp: parseSftpUrl,
  webdav: (parts) => parseWebdavUrl("webdav", parts),
  webdavs: (parts) => parseWebdavUrl("webdavs", parts),
  nats: parseNatsUrl,
};

function parseGcsUrl({ url, user, authority, path, settings }: UrlParts): GcsTarget {
  if (authority === "") throw invalidUrl(url, "it names no bucket", "write gs://bucket/path");
  if (user !== undefined) {
    const hint = "name a file with credentials in GOOGLE_APPLICATION_CREDENTIALS";
    throw invalidUrl(url, "a user does not belong before the bucket", hint);
  }
  return { scheme: "gs", bucket: authority, prefix: path.slice(1), settings };
}

function parseAzureUrl(parts: UrlParts): AzureTarget {
  const { url, user, password, authority, path, settings } = parts;
  if (authority === "") throw invalidUrl(url, "it names no container");
  if (password !== undefined) {
    const hint = "use the setting account-key or LITESTREAM_AZURE_ACCOUNT_KEY";
    throw invalidUrl(url, "a key does not belong before the container", hint);
  }
  return {
    scheme: "abs",
    container: authority,
    prefix: path.slice(1),
    settings: { ...(user === undefined ? {} : { accountName: user }), ...settings },
  };
}

/** An absolute path, unless it begins with `/~/`, which is the login directory. */
function parseSftpUrl(parts: UrlParts): SftpTarget {
  const { url, user, password, path, settings } = parts;
  const { host, port = SFTP_PORT } = splitAuthority(parts, SFTP_PORT);
  const relative = /^\/~(?:\/(.*))?$/s.exec(path);
  if (path === "/") throw invalidUrl(url, "it names no directory", "write sftp://user@host/path");
  return {
    scheme: "sftp",
    host,
    port,
    path: relative === null ? path : (relative[1] ?? "."),
    settings: { ...present({ user, password }), ...settings },
  };
}

function parseWebdavUrl(scheme: WebdavTarget["scheme"], parts: UrlParts): WebdavTarget {
  const { user: webdavUsername, password: webdavPassword, path, settings } = parts;
  const { host, port } = splitAuthority(parts, undefined);
  return {
    scheme,
    host,
    port,
    path,
    settings: { ...present({ webdavUsername, webdavPassword }), ...settings },
  };
}

/** A user without a password is a token, as NATS has it. */
function parseNatsUrl(parts: UrlParts): NatsTarget {
  const { url, user, password, path, settings } = parts;
  const { host, port = NATS_PORT } = splitAuthority(parts, NATS_PORT);
  const [bucket = "", ...prefix] = path.slice(1).split("/");
  if (bucket === "") throw invalidUrl(url, "it names no bucket", "write nats://host/bucket/path");
  const login = password === undefined ? { token: user } : { username: user, password };
  return {
    scheme: "nats",
    host,
    port,
    bucket,
    prefix: prefix.join("/"),
    settings: { ...present(login), ...settings },
  };
}

function present(values: Readonly<Record<string, string | undefined>>): Record<string, string> {
  const given = Object.entries(values).filter((entry): entry is [string, string] => {
    return entry[1] !== undefined;
  });
  return Object.fromEntries(given);
}

function parseFilePath(url: string, rest: string): string {
  if (!rest.startsWith("/"))
    throw invalidUrl(url, "the path is not absolute", "write file:///absolute/path");
  if (/[?#]/.test(rest)) {
    throw invalidUrl(
      url,
      "a file URL takes no query and no fragment",
      "write %3F for ? and %23 for # in a path",
    );
  }
  // `file://a/b` has no host to us: the whole remainder is the path.
  const path = cleanPath(decodePart(url, rest));
  if (path === "/")
    throw invalidUrl(url, "the path names no directory", "write file:///absolute/path");
  return path;
}

function parseMemoryName(url: string, rest: string): string {
  const name = rest.startsWith("//") ? rest.slice(2) : rest;
  if (MEMORY_NAME.test(name)) return name;
  throw invalidUrl(
    url,
    "a memory store's name has letters, digits, dots, hyphens and underscores only",
  );
}

function missingScheme(url: string): MillraceError {
  if (url.trim() === "") return invalidUrl(url, "it is empty", `write one of ${known()}`);
  const example = url.startsWith("/")
    ? `file://${encodePath(cleanPath(url))}`
    : "file:///absolute/path";
  const hint = /[@?#]/.test(url) ? `write one of ${known()}` : `did you mean "${example}"?`;
  return invalidUrl(url, "it has no scheme", hint);
}

/** The scheme is named only where it cannot be a user name that lost its scheme. */
function unknownScheme(url: string, scheme: string): MillraceError {
  const isCertain = url.slice(scheme.length).startsWith("://");
  const problem = isCertain ? `unknown scheme "${scheme}"` : "it has no known scheme";
  return invalidUrl(url, problem, `known are ${known()}`);
}

function known(): string {
  return Object.values(EXAMPLES).join(", ");
}
