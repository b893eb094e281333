/**
 * The application that writes while the daemon is killed: `node ledger.ts DATABASE SEED [PAUSE_MS]`. Every transaction appends rows
 * with consecutive numbers and moves money between accounts, so that any lost, doubled or half transaction shows. Prints
 * the last number after each commit.
 */
import { DatabaseSync } from "node:sqlite";

const [path, seedText, pauseText = "6"] = process.argv.slice(2);
if (path === undefined) throw new Error("usage: ledger.ts DATABASE SEED [PAUSE_MS]");

let seed = Number(seedText) >>> 0;
function random(limit: number): number {
  seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0;
  return (seed >>> 8) % limit;
}

const db = new DatabaseSync(path, { timeout: 20_000 });
db.exec("PRAGMA auto_vacuum = INCREMENTAL; PRAGMA journal_mode = wal; PRAGMA synchronous = NORMAL");
if (random(2) === 0) db.exec("PRAGMA wal_autocheckpoint = 0");
db.exec(`
  CREATE TABLE IF NOT EXISTS entries (number INTEGER PRIMARY KEY, payload BLOB);
  CREATE TABLE IF NOT EXISTS accounts (id INTEGER PRIMARY KEY, balance INTEGER NOT NULL);
  CREATE TABLE IF NOT EXISTS scratch (id INTEGER PRIMARY KEY, payload BLOB);
  INSERT OR IGNORE INTO accounts SELECT value, 1000 FROM (
    WITH RECURSIVE n (value) AS (SELECT 1 UNION ALL SELECT value + 1 FROM n WHERE value < 100) SELECT value FROM n);
`);
const append = db.prepare("INSERT INTO entries VALUES (?, randomblob(?))");
const move = db.prepare("UPDATE accounts SET balance = balance + ? WHERE id = ?");
const scribble = db.prepare("INSERT INTO scratch (payload) VALUES (randomblob(?))");
let number = Number(db.prepare("SELECT coalesce(max(number), 0) AS n FROM entries").get()?.["n"]);

for (;;) {
  db.exec("BEGIN IMMEDIATE");
  for (let row = random(3); row >= 0; row--) append.run(++number, random(600));
  const amount = random(100);
  move.run(-amount, 1 + random(100));
  move.run(amount, 1 + random(100));
  scribble.run(random(8000));
  if (random(30) === 0) db.exec("DELETE FROM scratch; PRAGMA incremental_vacuum(20)");
  db.exec("COMMIT");
  console.log(number);
  if (random(200) === 0) db.exec("VACUUM");
  // Pauses below PAUSE_MS: a few hundred transactions a second are plenty, and leave the daemon a processor.
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, random(Number(pauseText)));
}
