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

/**
 * Runs the check; returns what SQLite found, nothing when the database is sound. A database too damaged to be
 * checked to the end is a finding. Throws `sqlite/*` when SQLite cannot tell, as without a collation it needs.
 */
export function checkIntegrity(path: string, mode: IntegrityMode): string[] {
  const pragma = mode === "quick" ? "quick_check" : "integrity_check";
  const url = pathToFileURL(path);
  url.searchParams.set("mode", "ro");
  url.searchParams.set("immutable", "1");
  const found: string[] = [];
  try {
    using connection = new DatabaseSync(url, { readOnly: true });
    for (const row of connection.prepare(`PRAGMA ${pragma}(${PROBLEMS_MAX})`).iterate()) {
      // One row may hold several lines, under a heading that says nothing.
      const lines = String(row[pragma]).split("\n");
      found.push(...lines.filter((line) => line !== "ok" && !line.startsWith("*** in database")));
    }
  } catch (error) {
    const known = translateSqliteError(error, "check integrity", path);
    if (known.code !== "sqlite/not-a-database") throw known;
    found.push(error instanceof Error ? error.message : String(error));
  }
  return found;
}
