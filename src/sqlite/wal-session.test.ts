import assert from "node:assert/strict";
import { mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { after, test } from "node:test";
import { systemClock } from "../platform/clock.ts";
import { takeProcessLock } from "./process-lock.ts";
import { isSqliteSafe } from "./version.ts";
import { WalSession } from "./wal-session.ts";

const dir = mkdtempSync(join(tmpdir(), "millrace-sqlite-"));
after(() => rmSync(dir, { recursive: true }));
let databases = 0;

function database(): { readonly path: string; readonly app: DatabaseSync } {
  databases += 1;
  const path = join(dir, `${databases}.db`);
  const app = new DatabaseSync(path, { timeout: 0 });
  app.exec("PRAGMA journal_mode = wal; PRAGMA wal_autocheckpoint = 0; CREATE TABLE t (v)");
  return { path, app };
}

function session(path: string, options: { readonly sqliteVersion?: string } = {}): WalSession {
  return new WalSession({ path, clock: systemClock, busyTimeoutMs: 50, ...options });
}

test("isSqliteSafe() knows which versions have the WAL-reset bug or lack the NOOP checkpoint", () => {
  const table: readonly (readonly [string, boolean])[] = [
    ["3.7.0", false],
    ["3.44.6", false],
    ["3.50.7", false],
    ["3.51.2", false],
    ["3.51.3", true],
    ["3.52.0", true],
    ["3.53.4", true],
    ["4.0.0", true],
    ["unknown", false],
  ];
  for (const [version, safe] of table) assert.equal(isSqliteSafe(version), safe, version);
});

test("WalSession refuses a SQLite with the WAL-reset bug and says why", () => {
  const { path, app } = database();
  assert.throws(() => session(path, { sqliteVersion: "3.51.2" }), {
    code: "sqlite/vulnerable",
    message: /WAL-reset/,
  });
  app.close();
});

test("WalSession never creates a database", () => {
  assert.throws(() => session(join(dir, "none.db")), { code: "sqlite/cannot-open" });
  assert.ok(!readdirSync(dir).includes("none.db"));
});

test("WalSession says what is wrong with a file that is no database", () => {
  const path = join(dir, "text.db");
  writeFileSync(path, "hello, this is certainly not a database. ".repeat(100));
  assert.throws(() => session(path), {
    code: "sqlite/not-a-database",
    message: /text\\.db|text\.db/,
  });
});

test("committed() counts what SQLite holds for committed and what is copied", () => {
  const { path, app } = database();
  using held = session(path);
  const before = held.committed().frames;
  app.exec("INSERT INTO t VALUES (1)");
  assert.equal(held.committed().frames, before + 1);
  assert.equal(held.committed().copied, 0);
  app.exec("BEGIN; INSERT INTO t VALUES (2)");
  assert.equal(held.committed().frames, before + 1);
  app.exec("ROLLBACK");
  app.close();
});

test("[C3] the held read transaction keeps the WAL from being restarted", () => {
  const { path, app } = database();
  using held = session(path);
  app.exec("INSERT INTO t VALUES (1)");
  held.advanceRead();
  assert.equal(app.prepare("PRAGMA wal_checkpoint(RESTART)").get()?.["busy"], 1);
  const size = statSync(`${path}-wal`).size;
  app.exec("INSERT INTO t VALUES (2)");
  assert.ok(statSync(`${path}-wal`).size > size);
  app.close();
});

test("[C7] a guarded TRUNCATE truncates when nothing slipped in and does nothing when a commit did", () => {
  const { path, app } = database();
  using held = session(path);
  const guard = (slip: () => void): boolean => {
    held.withWriteLock(() => {
      held.advanceRead();
      held.checkpoint("PASSIVE");
      held.advanceRead();
    });
    slip();
    return held.checkpoint("TRUNCATE").busy;
  };
  app.exec("INSERT INTO t VALUES (1)");
  assert.equal(
    guard(() => {}),
    false,
  );
  assert.equal(statSync(`${path}-wal`).size, 0);
  app.exec("INSERT INTO t VALUES (2)");
  assert.equal(
    guard(() => app.exec("INSERT INTO t VALUES (3)")),
    true,
  );
  assert.ok(statSync(`${path}-wal`).size > 0);
  assert.equal(held.committed().copied, 0);
  app.close();
});

test("withWriteLock() keeps writers out, writes nothing and gives up with sqlite/busy", () => {
  const { path, app } = database();
  using held = session(path);
  const size = statSync(`${path}-wal`).size;
  held.withWriteLock(() => assert.throws(() => app.exec("INSERT INTO t VALUES (1)"), /locked/));
  assert.equal(statSync(`${path}-wal`).size, size);
  app.exec("BEGIN IMMEDIATE");
  assert.throws(() => held.withWriteLock(() => {}), { code: "sqlite/busy", message: /write lock/ });
  app.exec("ROLLBACK");
  app.close();
});

test("[C11] closing leaves the WAL in place, also as the last connection", () => {
  const { path, app } = database();
  const held = session(path);
  app.exec("INSERT INTO t VALUES (1)");
  app.close();
  const size = statSync(`${path}-wal`).size;
  assert.ok(size > 0);
  held[Symbol.dispose]();
  assert.equal(statSync(`${path}-wal`).size, size);
});

test("takeProcessLock() gives the lock to one holder at a time", () => {
  const path = join(dir, "lock");
  const first = takeProcessLock(path);
  assert.ok(first !== undefined);
  assert.equal(takeProcessLock(path), undefined);
  first[Symbol.dispose]();
  const second = takeProcessLock(path);
  assert.ok(second !== undefined);
  second[Symbol.dispose]();
});
