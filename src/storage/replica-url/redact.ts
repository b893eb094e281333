/**
 * What of a replica URL may be shown. A URL may hold credentials: no error and no log line shows more of it than
 * `redactUrl` lets through.
 */
import { MillraceError } from "../../errors.ts";

export const OP = "parse replica URL";

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

/** The error for a URL that cannot be understood. */
export function invalidUrl(url: string, problem: string, hint?: string): MillraceError {
  return new MillraceError("url/invalid", `${OP} "${redactUrl(url)}": ${problem}`, {
    op: OP,
    hint,
  });
}
