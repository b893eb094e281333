/**
 * SQLite's own integrity check of a database file that nobody else uses, without changing a byte of it or
 * leaving a file beside it: the file is opened read-only and declared immutable, so SQLite takes no locks
 * and needs no log, also when the header says WAL mode.
 */
import { DatabaseSync } from "node:sqlite";
import { pathToFileURL } from "node:url";
import { translateSqliteError } from "./database.ts";

/** `quick` skips the comparison of indexes with their tables. */
export type IntegrityMode = "quick" | "full";

/** Problems that one check reports at most. */
const PROBLEMS_MAX = 20;

/** Runs the check; returns what SQLite found, nothing when the database is sound. Throws `sqlite/*` when it cannot tell. */
export function checkIntegrity(path: string, mode: IntegrityMode): string[] {
  const pragma = mode === "quick" ? "quick_check" : "integrity_check";
  const url = pathToFileURL(path);
  url.searchParams.set("mode", "ro");
  url.searchParams.set("immutable", "1");
  try {
    using connection = new DatabaseSync(url, { readOnly: true });
    const rows = connection.prepare(`PRAGMA ${pragma}(${PROBLEMS_MAX})`).all();
    const found = rows.map((row) => String(row[pragma]));
    return found.length === 1 && found[0] === "ok" ? [] : found;
  } catch (error) {
    throw translateSqliteError(error, "check integrity", path);
  }
}
