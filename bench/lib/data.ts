/**
 * A realistic database of a given size, the same every time: people with addresses, JSON documents and UUIDs, six
 * indexes, some pictures that do not compress. Made once per size and kept in the system's temporary directory.
 */
import { existsSync, renameSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { Dice } from "./dice.ts";

/** Changed whenever the data changes. */
const VERSION = 1;
const SCHEMA = `
  CREATE TABLE person (
    id INTEGER PRIMARY KEY, uuid TEXT NOT NULL, name TEXT NOT NULL, email TEXT NOT NULL,
    street TEXT NOT NULL, city TEXT NOT NULL, postcode TEXT NOT NULL, born TEXT NOT NULL,
    balance REAL NOT NULL, profile TEXT NOT NULL, picture BLOB
  );
  CREATE UNIQUE INDEX person_uuid ON person (uuid);
  CREATE INDEX person_name ON person (name);
  CREATE INDEX person_email ON person (email);
  CREATE INDEX person_city ON person (city, street);
  CREATE INDEX person_born ON person (born);
  CREATE INDEX person_balance ON person (balance);
`;
const ROWS_PER_TRANSACTION = 20_000;
/** One person in this many has a picture of this many bytes. */
const PICTURE_EVERY = 50;
const PICTURE_BYTES = 1200;

/** Path of a database of at least `megabytes` (10^6 bytes), in rollback mode, without a log. Never change it: copy it. */
export function sampleDatabase(megabytes: number): string {
  const path = join(tmpdir(), `millrace-bench-database-${megabytes}mb-v${VERSION}.db`);
  if (existsSync(path)) return path;
  const temporary = `${path}.${process.pid}.tmp`;
  rmSync(temporary, { force: true });
  fill(temporary, megabytes * 1e6);
  renameSync(temporary, path);
  return path;
}

function fill(path: string, sizeBytes: number): void {
  const database = new DatabaseSync(path);
  database.exec("PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; PRAGMA cache_size = -400000");
  database.exec(SCHEMA);
  const dice = new Dice(1);
  while (statSync(path).size < sizeBytes) addPeople(database, dice, ROWS_PER_TRANSACTION);
  database.close();
}

/** Inserts people in one transaction. */
export function addPeople(database: DatabaseSync, dice: Dice, count: number): void {
  const insert = database.prepare(
    `INSERT INTO person (uuid, name, email, street, city, postcode, born, balance, profile, picture)
     VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
  );
  database.exec("BEGIN IMMEDIATE");
  for (let row = 0; row < count; row += 1) insert.run(...person(dice));
  database.exec("COMMIT");
}

function person(dice: Dice): (string | number | Uint8Array | null)[] {
  const first = dice.word();
  const last = `${dice.word()}${dice.word()}`;
  const city = `${dice.word()}ville`;
  const profile = {
    id: dice.uuid(),
    tags: [dice.word(), dice.word(), dice.word()],
    visits: dice.below(10_000),
    settings: { theme: dice.below(2) === 0 ? "dark" : "light", language: "en", newsletter: true },
    lastSeen: dice.date(),
  };
  return [
    dice.uuid(),
    `${first} ${last}`,
    `${first}.${last}${dice.below(1000)}@example.org`,
    `${dice.below(300)} ${dice.word()} street`,
    city,
    String(dice.below(90_000) + 10_000),
    dice.date(),
    dice.below(10_000_000) / 100,
    JSON.stringify(profile),
    dice.below(PICTURE_EVERY) === 0 ? dice.bytes(PICTURE_BYTES) : null,
  ];
}
