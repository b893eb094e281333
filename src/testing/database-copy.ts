/**
 * What SQLite itself makes of a database: a copy of file and WAL, checkpointed elsewhere. The copy is made by another
 * process, because closing a descriptor on the database here would drop the locks of this process's connections.
 */
import { execFileSync } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";

/** The bytes of the database at `path` with its WAL copied in. Nobody may be writing. */
export function checkpointedCopy(path: string): Uint8Array {
  const dir = mkdtempSync(join(tmpdir(), "millrace-copy-"));
  try {
    const copy = join(dir, "copy.db");
    execFileSync("cp", [path, copy]);
    if (existsSync(`${path}-wal`)) execFileSync("cp", [`${path}-wal`, `${copy}-wal`]);
    const db = new DatabaseSync(copy);
    db.exec("PRAGMA wal_checkpoint(TRUNCATE)");
    db.close();
    return readFileSync(copy);
  } finally {
    rmSync(dir, { recursive: true });
  }
}
