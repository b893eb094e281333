/**
 * The binding to SQLite: opening connections without ever creating a file, and errors in our codes.
 * `node:sqlite` is synchronous; capture calls it from a worker thread.
 */
import { DatabaseSync, type StatementSync } from "node:sqlite";
import { pathToFileURL } from "node:url";
import { MillraceError, type ErrorCode } from "../errors.ts";

export type Connection = DatabaseSync;
export type Statement = StatementSync;

/** Primary result codes, sqlite.org/rescode.html. */
const RESULT: Readonly<Record<number, { code: ErrorCode; hint: string }>> = {
  5: { code: "sqlite/busy", hint: "another connection holds a lock; it is tried again" },
  6: { code: "sqlite/busy", hint: "another connection holds a lock; it is tried again" },
  8: {
    code: "sqlite/cannot-open",
    hint: "the database needs recovery by its application, or is read-only",
  },
  11: {
    code: "sqlite/not-a-database",
    hint: "the database is malformed; check it with PRAGMA integrity_check",
  },
  13: { code: "fs/disk-full", hint: "free disk space" },
  14: {
    code: "sqlite/cannot-open",
    hint: "check that the file exists and that Millrace may read and write it and its directory",
  },
  23: { code: "sqlite/cannot-open", hint: "check the file's permissions" },
  26: {
    code: "sqlite/not-a-database",
    hint: "the file is not a SQLite database, or it is encrypted",
  },
};

/** Wraps what `node:sqlite` throws: what was attempted, on which database, SQLite's own words. */
export function translateSqliteError(error: unknown, op: string, path: string): MillraceError {
  if (error instanceof MillraceError) return error;
  const extended = extendedCode(error);
  const known = extended === undefined ? undefined : RESULT[extended & 0xff];
  const found = error instanceof Error ? error.message : String(error);
  return new MillraceError(known?.code ?? "sqlite/failed", `${op} "${path}": ${found}`, {
    op,
    details: { path, resultCode: extended },
    hint: known?.hint,
    cause: error,
  });
}

function extendedCode(error: unknown): number | undefined {
  if (typeof error !== "object" || error === null || !("errcode" in error)) return undefined;
  return typeof error.errcode === "number" ? error.errcode : undefined;
}

/** True for "somebody holds a lock", the one condition that callers retry at once. */
export function isBusy(error: unknown): boolean {
  const code = extendedCode(error);
  return code !== undefined && ((code & 0xff) === 5 || (code & 0xff) === 6);
}

/** Opens an existing database; a missing file is an error, never created. Busy waiting is the caller's. */
export function openConnection(path: string, options: { readonly readOnly: boolean }): Connection {
  const url = pathToFileURL(path);
  url.searchParams.set("mode", options.readOnly ? "ro" : "rw");
  try {
    return new DatabaseSync(url, { readOnly: options.readOnly, timeout: 0 });
  } catch (error) {
    throw translateSqliteError(error, "open database", path);
  }
}
