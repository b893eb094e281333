/**
 * Object keys: which are valid, and how they are ordered.
 *
 * The rules are stricter than any one store's, so that a key which is valid here is safe everywhere: it can
 * be a path below a directory, a URL path and an S3 key, and cannot leave its prefix.
 */
import { MillraceError } from "../errors.ts";
import type { ObjectKey } from "./contract.ts";

/** Longest key in bytes of UTF-8 (S3's limit). */
export const MAX_KEY_BYTES = 1_024;

/** Names with this ending belong to unfinished writes: never listed, never valid as a key. */
export const TEMPORARY_SUFFIX = ".tmp";

/** Control characters, including NUL and C1, and the backslash, which separates paths on some systems. */
// oxlint-disable-next-line no-control-regex -- control characters are the subject
const FORBIDDEN = /[\u0000-\u001f\u007f-\u009f\\\u2028\u2029]/;

const encoder = new TextEncoder();

/** Throws `storage/invalid-key` unless `key` can be held by any store. */
export function assertKey(op: string, key: ObjectKey): void {
  const problem = keyProblem(key);
  if (problem !== undefined) throw invalidKey(op, key, problem);
}

/** A listing prefix may be empty and may end anywhere, even with `/`; otherwise the rules of keys hold. */
export function assertPrefix(op: string, prefix: string): void {
  if (prefix === "") return;
  const problem = textProblem(prefix) ?? segmentsProblem(prefix.replace(/\/$/, "").split("/"));
  if (problem !== undefined) throw invalidKey(op, prefix, problem);
}

/** Whether one segment of a key, such as a file name, may be part of a key. */
export function isKeySegment(name: string): boolean {
  return (
    textProblem(name) === undefined && segmentsProblem([name]) === undefined && !name.includes("/")
  );
}

/** The error for a key that a store cannot hold. Control characters are escaped in the message. */
export function invalidKey(op: string, key: string, problem: string): MillraceError {
  const shown = JSON.stringify(key.length > 200 ? `${key.slice(0, 200)}…` : key);
  return new MillraceError("storage/invalid-key", `${op} ${shown}: ${problem}`, {
    op,
    details: { key },
  });
}

/** Byte order of the UTF-8 forms, which is code point order, not the order of JavaScript's strings. */
export function compareKeys(a: string, b: string): number {
  const length = Math.min(a.length, b.length);
  for (let index = 0; index < length; index += 1) {
    const left = a.charCodeAt(index);
    const right = b.charCodeAt(index);
    if (left !== right) return codePointRank(left) - codePointRank(right);
  }
  return a.length - b.length;
}

/** Surrogates stand for code points above U+FFFF, so they sort after every other code unit. */
function codePointRank(unit: number): number {
  if (unit < 0xd800) return unit;
  return unit < 0xe000 ? unit + 0x2000 : unit - 0x800;
}

function keyProblem(key: string): string | undefined {
  if (typeof key !== "string" || key === "") return "a key must not be empty";
  const problem = textProblem(key) ?? segmentsProblem(key.split("/"));
  if (problem !== undefined) return problem;
  if (key.endsWith(TEMPORARY_SUFFIX)) {
    return `names ending in ${TEMPORARY_SUFFIX} are reserved for unfinished writes`;
  }
  return undefined;
}

function textProblem(text: string): string | undefined {
  if (FORBIDDEN.test(text)) return "control characters and backslashes are not allowed";
  if (!text.isWellFormed()) return "the key is not well-formed Unicode";
  if (text.length > MAX_KEY_BYTES || encoder.encode(text).length > MAX_KEY_BYTES) {
    return `the key is longer than ${MAX_KEY_BYTES} bytes`;
  }
  return undefined;
}

function segmentsProblem(segments: readonly string[]): string | undefined {
  for (const segment of segments) {
    if (segment === "") return "empty segments and leading or trailing slashes are not allowed";
    if (segment === "." || segment === "..") return `the segment "${segment}" is not allowed`;
  }
  return undefined;
}
