/**
 * An ordinary application, run as a process of its own: `node writer.ts DATABASE TRANSACTIONS SEED [vacuum]
 * [checkpoint]`. Inserts, updates and deletes rows of random size; prints a line a second and one at its end.
 */
import { DatabaseSync } from "node:sqlite";

const [path, count, seedText, ...habits] = process.argv.slice(2);
if (path === undefined || count === undefined)
  throw new Error("usage: writer.ts DATABASE TRANSACTIONS SEED [HABIT…]");

let seed = Number(seedText ?? 1) >>> 0;
/** A linear congruential generator: the same seed writes the same rows. */
function random(limit: number): number {
  seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0;
  return seed % limit;
}

const db = new DatabaseSync(path, { timeout: 10_000 });
db.exec("PRAGMA synchronous = NORMAL");
if (!habits.includes("autocheckpoint")) db.exec("PRAGMA wal_autocheckpoint = 0");
db.exec("CREATE TABLE IF NOT EXISTS rows (id INTEGER PRIMARY KEY, k INTEGER, v BLOB)");
db.exec("CREATE INDEX IF NOT EXISTS rows_k ON rows (k)");
const insert = db.prepare("INSERT INTO rows (k, v) VALUES (?, randomblob(?))");
const update = db.prepare("UPDATE rows SET v = randomblob(?) WHERE k = ?");

for (let done = 0; done < Number(count); done++) {
  db.exec("BEGIN IMMEDIATE");
  for (let row = random(4); row >= 0; row--) insert.run(random(1000), random(6000));
  update.run(random(3000), random(1000));
  if (random(40) === 0) db.exec("DELETE FROM rows WHERE id % 3 = 0");
  db.exec("COMMIT");
  if (habits.includes("checkpoint") && random(50) === 0) {
    db.exec(
      `PRAGMA busy_timeout = 20; PRAGMA wal_checkpoint(${["PASSIVE", "RESTART", "TRUNCATE"][random(3)]})`,
    );
    db.exec("PRAGMA busy_timeout = 10000");
  }
  if (habits.includes("vacuum") && random(300) === 0) db.exec("VACUUM");
}
db.close();
