/** A long write-ahead log that SQLite wrote in many small transactions. */
import { copyFileSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { addPeople } from "./data.ts";
import { Dice } from "./dice.ts";

const PEOPLE_PER_TRANSACTION = 10;

/** The bytes of a log of at least `megabytes` (10^6 bytes) on a copy of the database. */
export function sampleWal(databasePath: string, megabytes: number): Uint8Array {
  const directory = mkdtempSync(join(tmpdir(), "millrace-bench-wal-"));
  try {
    const path = join(directory, "app.db");
    copyFileSync(databasePath, path);
    const database = new DatabaseSync(path);
    database.exec(
      "PRAGMA journal_mode = WAL; PRAGMA wal_autocheckpoint = 0; PRAGMA synchronous = OFF",
    );
    const frames = database.prepare("PRAGMA wal_checkpoint(NOOP)");
    const { page_size: pageSize } = database.prepare("PRAGMA page_size").get() ?? {};
    const dice = new Dice(2);
    while (Number(frames.get()?.["log"]) * Number(pageSize) < megabytes * 1e6) {
      addPeople(database, dice, PEOPLE_PER_TRANSACTION);
    }
    const wal = readFileSync(`${path}-wal`);
    database.close();
    return wal;
  } finally {
    rmSync(directory, { recursive: true });
  }
}
