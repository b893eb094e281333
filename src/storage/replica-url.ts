/**
 * Replica URLs: text to parts and back.
 *
 * A URL may hold credentials. No error and no log line shows more of it than `redactUrl` lets through.
 *
 * Source: benbjohnson/litestream@63225f1 `ParseReplicaURL`. Two deliberate differences: a `file:` path is
 * percent-decoded (there, a space becomes the directory name's literal `%20`), and a query or fragment on a
 * `file:` URL is refused instead of dropped.
 */
import { MillraceError } from "../errors.ts";

export type ReplicaUrl =
  | { readonly scheme: "file"; /** Absolute, clean, decoded. */ readonly path: string }
  | { readonly scheme: "memory"; /** Empty for a store of its own. */ readonly name: string };

/** What this version opens. */
export const REPLICA_SCHEMES: readonly ReplicaUrl["scheme"][] = ["file", "memory"];

/** What Litestream opens and this version does not. */
export const LATER_SCHEMES: readonly string[] = [
  "s3",
  "gs",
  "abs",
  "sftp",
  "nats",
  "webdav",
  "webdavs",
  "oss",
];

const OP = "parse replica URL";
const SCHEME = /^([a-z][a-z0-9+.-]*):/i;
const MEMORY_NAME = /^[\w.-]*$/;

/** Throws `url/invalid`, or `url/unsupported` for the schemes of later versions. */
export function parseReplicaUrl(url: string): ReplicaUrl {
  const match = SCHEME.exec(url);
  const scheme = match?.[1]?.toLowerCase();
  if (match === null || scheme === undefined) throw missingScheme(url);
  const rest = url.slice(match[0].length);
  if (scheme === "file") return { scheme, path: parseFilePath(url, rest) };
  if (scheme === "memory") return { scheme, name: parseMemoryName(url, rest) };
  if (LATER_SCHEMES.includes(scheme)) {
    throw new MillraceError("url/unsupported", `${OP} "${scheme}:…": not in this version`, {
      op: OP,
      details: { scheme },
      hint: `this version opens ${known()}`,
    });
  }
  throw unknownScheme(url, scheme);
}

/** The canonical text of a parsed URL; parsing it again gives the same parts. */
export function formatReplicaUrl(url: ReplicaUrl): string {
  return url.scheme === "file" ? `file://${encodePath(url.path)}` : `memory:${url.name}`;
}

/** A URL as it may be shown: user, password, query and fragment are replaced by `***`. */
export function redactUrl(url: string): string {
  const start = /^[a-z][a-z0-9+.-]*:\/\//i.exec(url)?.[0] ?? "";
  const at = url.lastIndexOf("@");
  // An unencoded password may hold any character, so everything up to the last @ is taken for one,
  // unless that @ may as well be part of a query's value: then nothing can be shown.
  if (at >= 0 && /[?#]/.test(url.slice(0, at))) return `${start}***`;
  const visible = at < 0 ? url : `${start}***${url.slice(at)}`;
  return visible.replace(/([?#]).*$/s, "$1***");
}

function parseFilePath(url: string, rest: string): string {
  if (!rest.startsWith("/")) {
    throw invalid(url, "the path is not absolute", "write file:///absolute/path");
  }
  if (/[?#]/.test(rest)) {
    throw invalid(
      url,
      "a file URL takes no query and no fragment",
      "write %3F for ? and %23 for # in a path",
    );
  }
  // `file://a/b` has no host to us: the whole remainder is the path.
  const path = cleanPath(decodePath(url, rest));
  if (path.includes("\0")) throw invalid(url, "the path holds a NUL character");
  if (path === "/")
    throw invalid(url, "the path names no directory", "write file:///absolute/path");
  return path;
}

function decodePath(url: string, path: string): string {
  try {
    return decodeURIComponent(path);
  } catch {
    throw invalid(
      url,
      "a percent sign is not followed by a valid escape",
      "write %25 for a percent sign",
    );
  }
}

/** Absolute; without empty, `.` and `..` segments and without a slash at the end. */
function cleanPath(path: string): string {
  const clean: string[] = [];
  for (const segment of path.split("/")) {
    if (segment === "" || segment === ".") continue;
    if (segment === "..") clean.pop();
    else clean.push(segment);
  }
  return `/${clean.join("/")}`;
}

function encodePath(path: string): string {
  return path.split("/").map(encodeURIComponent).join("/");
}

function parseMemoryName(url: string, rest: string): string {
  const name = rest.startsWith("//") ? rest.slice(2) : rest;
  if (!MEMORY_NAME.test(name)) {
    throw invalid(
      url,
      "a memory store's name has letters, digits, dots, hyphens and underscores only",
    );
  }
  return name;
}

function missingScheme(url: string): MillraceError {
  if (url.trim() === "") return invalid(url, "it is empty", `write one of ${known()}`);
  const example = url.startsWith("/")
    ? `file://${encodePath(cleanPath(url))}`
    : "file:///absolute/path";
  const hint = /[@?#]/.test(url) ? `write one of ${known()}` : `did you mean "${example}"?`;
  return invalid(url, "it has no scheme", hint);
}

/** The scheme is named only where it cannot be a user name that lost its scheme. */
function unknownScheme(url: string, scheme: string): MillraceError {
  const isCertain = url.slice(scheme.length).startsWith("://");
  const problem = isCertain ? `unknown scheme "${scheme}"` : "it has no known scheme";
  return invalid(
    url,
    problem,
    `known are ${[known(), "and in later versions", LATER_SCHEMES.join(", ")].join(" ")}`,
  );
}

function known(): string {
  return REPLICA_SCHEMES.map((scheme) =>
    scheme === "file" ? "file:///path" : `${scheme}:name`,
  ).join(", ");
}

function invalid(url: string, problem: string, hint?: string): MillraceError {
  return new MillraceError("url/invalid", `${OP} "${redactUrl(url)}": ${problem}`, {
    op: OP,
    hint,
  });
}
