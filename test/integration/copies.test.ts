/**
 * Copies of a whole database, made while the application goes on and while the local disk fails: what Litestream 0.5.18
 * gets wrong at a start, and what a forgotten copy would lose. The application acts at an exact operation of capture's.
 */
import assert from "node:assert/strict";
import { rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { describe, it } from "node:test";
import { nodeFiles, type Files } from "../../src/platform/files.ts";
import { translateFsError } from "../../src/platform/fs-error.ts";
import { CaptureBench } from "../../src/testing/capture-bench.ts";
import { replay } from "../../src/testing/replay.ts";

const CREATE = "CREATE TABLE t (id INTEGER PRIMARY KEY, v)";
const INSERT = "INSERT INTO t (v) VALUES (randomblob(3000))";

/** File operations that tell `hook` their name first. */
function hooked(hook: (op: string) => void): Files {
  return new Proxy(nodeFiles, {
    get: (inner, name: keyof Files) => {
      const method = inner[name] as (...args: unknown[]) => unknown;
      return (...args: unknown[]) => {
        hook(String(args[0]));
        return method(...args);
      };
    },
  });
}

/** What the application does in the middle of a copy. */
const INTRUSIONS: Readonly<Record<string, string>> = {
  "changes many pages, which restarts the WAL": "UPDATE t SET v = randomblob(2900)",
  "restarts the WAL and copies it": "UPDATE t SET v = randomblob(2900); PRAGMA wal_checkpoint",
  "grows the database": `${INSERT}; ${INSERT}; CREATE TABLE u AS SELECT * FROM t; PRAGMA wal_checkpoint`,
  "shrinks the database": "DELETE FROM t WHERE id > 20; VACUUM; PRAGMA wal_checkpoint",
};

/** What comes before a start that copies or compares everything, mostly with all of the WAL in the database file. */
const COPIES: Readonly<Record<string, (bench: CaptureBench) => void>> = {
  "the first copy": (bench) => bench.app.exec("PRAGMA wal_checkpoint"),
  "the first copy of what only the WAL holds": () => {},
  "a comparison after downtime": (bench) => {
    bench.start();
    bench.stop();
    bench.app.exec("UPDATE t SET v = randomblob(2800) WHERE id % 9 = 0");
    bench.app.exec(`PRAGMA wal_checkpoint(RESTART); ${INSERT}; PRAGMA wal_checkpoint`);
  },
  "a full copy after downtime": (bench) => {
    bench.start();
    bench.stop();
    rmSync(join(bench.metaDir, "pages.sum"));
    bench.app.exec(`${INSERT}; PRAGMA wal_checkpoint`);
  },
};

/** Every state of the line is a database that SQLite finds sound and that has the checksum recorded for it. */
function assertSoundLine(bench: CaptureBench): void {
  for (let until = bench.capture.txid; until > 0n; until--) {
    const { image, computed, recorded } = replay(join(bench.metaDir, "ltx", "0"), { until });
    assert.equal(computed, recorded, `checksum of TXID ${until}`);
    const path = join(bench.dir, `state-${until}.db`);
    writeFileSync(path, image);
    using db = new DatabaseSync(path);
    const check = db.prepare("PRAGMA integrity_check").get()?.["integrity_check"];
    assert.equal(check, "ok", `TXID ${until}`);
  }
}

/** Starts a capture that copies everything; the application acts just before read number `at`. Returns the number of reads. */
function copyDisturbed(prepare: (bench: CaptureBench) => void, sql: string, at: number): number {
  let reads: number | undefined;
  const files = hooked((op) => {
    if (reads === undefined || op !== "read database pages") return;
    if (reads === at) bench.app.exec(sql);
    reads += 1;
  });
  using bench: CaptureBench = new CaptureBench({ files });
  bench.app.exec(`${CREATE}; PRAGMA busy_timeout = 0`);
  for (let row = 0; row < 150; row++) bench.app.exec(INSERT);
  prepare(bench);
  reads = 0;
  bench.start();
  const countReads = reads;
  reads = undefined;
  bench.sync();
  bench.verify();
  bench.app.exec(INSERT);
  bench.sync();
  bench.verify();
  assertSoundLine(bench);
  return countReads;
}

describe("a copy of the whole database is of one moment [torn start]", () => {
  for (const [copy, prepare] of Object.entries(COPIES)) {
    for (const [what, sql] of Object.entries(INTRUSIONS)) {
      it(`${copy}, while the application ${what}`, () => {
        let countReads = 2;
        for (let at = 0; at < countReads; at++) countReads = copyDisturbed(prepare, sql, at);
      });
    }
  }
});

/** What makes a complete copy or comparison necessary at the next sync. */
const DEBTS: Readonly<Record<string, (bench: CaptureBench) => void>> = {
  "a comparison": (bench) => {
    bench.stop();
    bench.app.exec(`UPDATE t SET v = 'x' WHERE id = 3; PRAGMA wal_checkpoint(RESTART); ${INSERT}`);
  },
  "a full copy": (bench) => {
    bench.stop();
    rmSync(join(bench.metaDir, "pages.sum"));
  },
  "a boundary snapshot": (bench) => {
    bench.app.exec(INSERT);
    bench.capture.requireBoundary("the destination has a hole");
  },
  "a boundary at another page size": (bench) => {
    bench.stop();
    bench.closeApp();
    using app = new DatabaseSync(bench.path);
    app.exec("PRAGMA journal_mode = DELETE; PRAGMA page_size = 1024; VACUUM");
    app.exec("PRAGMA journal_mode = WAL");
    bench.app = new DatabaseSync(bench.path);
    bench.app.exec(`PRAGMA wal_autocheckpoint = 0; ${INSERT}`);
  },
};

/** Operations that fail for as long as the local disk is full. */
const DISK_FULL: Readonly<Record<string, RegExp>> = {
  "file cannot be written": /^write local ltx$/,
  "file cannot be named": /^publish local ltx$/,
  "page table cannot follow": /^(?:write|sync) page table$/,
  "state cannot be saved": /capture state/,
};

describe("a copy that is owed is made, however often it failed and whatever happened since [hazard 77]", () => {
  for (const [debt, incur] of Object.entries(DEBTS)) {
    for (const [trouble, pattern] of Object.entries(DISK_FULL)) {
      for (const restarted of [false, true]) {
        it(`${debt} whose ${trouble}, ${restarted ? "with" : "without"} a restart`, () => {
          owe({ incur, pattern, restarted, wantsBoundary: debt.includes("boundary") });
        });
      }
    }
  }
});

function owe(scenario: {
  readonly incur: (bench: CaptureBench) => void;
  readonly pattern: RegExp;
  readonly restarted: boolean;
  readonly wantsBoundary: boolean;
}): void {
  const { incur, pattern, restarted, wantsBoundary } = scenario;
  let isFull = false;
  let failures = 0;
  const files = hooked((op) => {
    if (!isFull || !pattern.test(op)) return;
    failures += 1;
    throw translateFsError(Object.assign(new Error("ENOSPC"), { code: "ENOSPC" }), op, "disk");
  });
  using bench = new CaptureBench({ files, checkpointPages: 10, checkpointIntervalMs: 1 });
  bench.app.exec(CREATE);
  for (let row = 0; row < 20; row++) bench.app.exec(INSERT);
  bench.start();
  bench.app.exec(INSERT);
  bench.sync();
  incur(bench);
  isFull = true;
  for (let round = 0; round < 3; round++) {
    assert.throws(() => bench.start(), { code: "fs/disk-full" });
    bench.app.exec("PRAGMA busy_timeout = 0");
    bench.app.exec(`UPDATE t SET v = randomblob(2000) WHERE id = ${round + 5}`);
    bench.app.exec(`PRAGMA wal_checkpoint(TRUNCATE); ${INSERT}`);
    if (restarted) bench.stop();
  }
  isFull = false;
  assert.ok(failures >= 3, `${failures} failures`);
  const { length } = bench.events;
  bench.start();
  bench.verify();
  const paid = bench.events.slice(length).some((event) => event.type === "resync");
  assert.ok(paid, "the copy is made");
  const snapshots = bench.events.filter((event) => event.type === "ltx" && event.level === 9);
  assert.equal(snapshots.length > 0, wantsBoundary);
  bench.app.exec(INSERT);
  bench.sync();
  bench.verify();
}
