import assert from "node:assert/strict";
import { DatabaseSync } from "node:sqlite";
import { test } from "node:test";
import { CaptureBench } from "../testing/capture-bench.ts";

for (const pageSize of [512, 1024, 4096, 65536]) {
  test(`Capture replicates a live WAL database byte for byte at page size ${pageSize}`, () => {
    using bench = new CaptureBench({ pageSize });
    bench.app.exec("CREATE TABLE t (id INTEGER PRIMARY KEY, v)");
    bench.start();
    bench.verify();
    for (let round = 0; round < 20; round++) {
      bench.app.exec("INSERT INTO t (v) VALUES (randomblob(5000))");
      if (round % 3 === 0) bench.app.exec("UPDATE t SET v = randomblob(100) WHERE id % 2 = 0");
      bench.sync();
    }
    bench.verify();
    assert.equal(bench.resyncs().length, 1);
  });
}

test("[C1] Capture leaves no table, row or changed byte in the database", () => {
  using bench = new CaptureBench();
  bench.app.exec("CREATE TABLE t (v); INSERT INTO t VALUES (1)");
  const before = bench.expected();
  bench.start();
  bench.sync();
  bench.stop();
  assert.deepEqual(bench.expected(), before);
  assert.deepEqual(
    bench.app
      .prepare("SELECT name FROM sqlite_schema")
      .all()
      .map((row) => row["name"]),
    ["t"],
  );
});

test("an idle database costs no file and no resync", () => {
  using bench = new CaptureBench();
  bench.app.exec("CREATE TABLE t (v)");
  bench.start();
  const txid = bench.capture.txid;
  for (let look = 0; look < 20; look++) {
    assert.equal(bench.capture.pending(), false);
    bench.sync();
  }
  assert.equal(bench.capture.txid, txid);
});

test("[C7] checkpoints restart the WAL again and again without a resync", () => {
  using bench = new CaptureBench({ checkpointPages: 20 });
  bench.app.exec("CREATE TABLE t (id INTEGER PRIMARY KEY, v)");
  bench.start();
  for (let round = 0; round < 200; round++) {
    bench.app.exec("INSERT INTO t (v) VALUES (randomblob(3000))");
    bench.sync();
  }
  bench.verify();
  const restarts = bench.events.filter((event) => event.type === "checkpoint" && event.restarted);
  assert.ok(restarts.length >= 5, `${restarts.length} restarts`);
  assert.equal(bench.resyncs().length, 1);
  assert.ok(bench.walSizeBytes() < 200 * 4120);
});

test("[C7] a WAL file past the bound is truncated without a resync", () => {
  using bench = new CaptureBench({ checkpointPages: 20, truncatePages: 40 });
  bench.app.exec("CREATE TABLE t (id INTEGER PRIMARY KEY, v)");
  bench.start();
  for (let round = 0; round < 10; round++) {
    bench.app.exec("BEGIN");
    for (let row = 0; row < 50; row++)
      bench.app.exec("INSERT INTO t (v) VALUES (randomblob(3000))");
    bench.app.exec("COMMIT");
    bench.sync();
  }
  bench.verify();
  assert.ok(bench.events.some((event) => event.type === "checkpoint" && event.truncated));
  assert.equal(bench.resyncs().length, 1);
});

test("[C3] an application's own checkpoints and attempts to restart the WAL cost nothing", () => {
  using bench = new CaptureBench();
  bench.app.exec("CREATE TABLE t (id INTEGER PRIMARY KEY, v)");
  bench.start();
  bench.app.exec("PRAGMA busy_timeout = 0");
  const modes = ["PASSIVE", "FULL", "RESTART", "TRUNCATE"];
  for (let round = 0; round < 40; round++) {
    bench.app.exec("INSERT INTO t (v) VALUES (randomblob(3000))");
    bench.app.exec(`PRAGMA wal_checkpoint(${modes[round % 4]})`);
    if (round % 2 === 0) bench.sync();
    bench.app.exec(`PRAGMA wal_checkpoint(${modes[(round + 1) % 4]})`);
  }
  bench.sync();
  bench.verify();
  assert.equal(bench.resyncs().length, 1);
});

test("[C7] an application that holds the write lock delays the checkpoint and nothing else", () => {
  using bench = new CaptureBench({ checkpointPages: 5 });
  bench.app.exec("CREATE TABLE t (id INTEGER PRIMARY KEY, v)");
  bench.start();
  bench.app.exec("INSERT INTO t (v) VALUES (randomblob(40000)); BEGIN IMMEDIATE");
  bench.sync();
  const last = bench.events.findLast((event) => event.type === "checkpoint");
  assert.ok(last?.type === "checkpoint" && !last.restarted);
  assert.equal(bench.capture.status().error, undefined);
  bench.app.exec("COMMIT");
  bench.verify();
});

test("[C7] a reader of the application's delays the restart of the WAL and nothing else", () => {
  using bench = new CaptureBench({ checkpointPages: 5 });
  bench.app.exec("CREATE TABLE t (id INTEGER PRIMARY KEY, v); INSERT INTO t (v) VALUES (1)");
  bench.start();
  const reader = new DatabaseSync(bench.path);
  reader.exec("BEGIN");
  reader.prepare("SELECT count(*) FROM t").get();
  for (let round = 0; round < 5; round++) {
    bench.app.exec("INSERT INTO t (v) VALUES (randomblob(40000))");
    bench.sync();
  }
  assert.ok(bench.events.every((event) => event.type !== "checkpoint" || !event.restarted));
  bench.verify();
  reader.exec("COMMIT");
  bench.app.exec("INSERT INTO t (v) VALUES (randomblob(40000))");
  bench.sync();
  assert.ok(bench.events.some((event) => event.type === "checkpoint" && event.restarted));
  bench.verify();
  reader.close();
});

test("VACUUM, shrinking and growing again are followed exactly [C10]", () => {
  using bench = new CaptureBench({
    checkpointPages: 50,
    prepare: "PRAGMA auto_vacuum = INCREMENTAL",
  });
  bench.app.exec("CREATE TABLE t (id INTEGER PRIMARY KEY, v)");
  bench.start();
  for (let round = 0; round < 12; round++) {
    bench.app.exec("BEGIN");
    for (let row = 0; row < 60; row++)
      bench.app.exec("INSERT INTO t (v) VALUES (randomblob(2500))");
    bench.app.exec("COMMIT");
    if (round % 2 === 0) bench.sync();
    bench.app.exec("DELETE FROM t WHERE id % 5 <> 0");
    if (round % 3 === 0) bench.app.exec("PRAGMA incremental_vacuum(40)");
    if (round % 4 === 1) bench.app.exec("VACUUM");
    bench.sync();
    bench.verify();
  }
  assert.equal(bench.resyncs().length, 1);
});

test("a transaction larger than the chunk limit is captured whole, and a long WAL in pieces", () => {
  using bench = new CaptureBench({ maxSyncWalBytes: 100_000 });
  bench.app.exec("CREATE TABLE t (id INTEGER PRIMARY KEY, v)");
  bench.start();
  const before = bench.capture.txid;
  bench.app.exec("INSERT INTO t (v) VALUES (zeroblob(2000000))");
  bench.sync();
  assert.equal(bench.capture.txid, before + 1n);
  for (let row = 0; row < 100; row++) bench.app.exec("INSERT INTO t (v) VALUES (randomblob(9000))");
  bench.sync();
  assert.ok(bench.capture.txid > before + 8n);
  bench.verify();
});

for (const mode of ["DELETE", "TRUNCATE", "PERSIST"]) {
  test(`[C9] a rollback-journal database (${mode}) is captured by comparison`, () => {
    using bench = new CaptureBench({ journalMode: mode });
    bench.app.exec("CREATE TABLE t (id INTEGER PRIMARY KEY, v)");
    bench.start();
    for (let round = 0; round < 10; round++) {
      bench.app.exec("INSERT INTO t (v) VALUES (randomblob(5000))");
      bench.sync();
      bench.verify();
    }
    assert.equal(
      bench.app.prepare("PRAGMA journal_mode").get()?.["journal_mode"],
      mode.toLowerCase(),
    );
    assert.equal(bench.resyncs().filter((event) => event.kind === "full").length, 1);
  });
}

test("a change from rollback journal to WAL is followed on the same line", () => {
  using bench = new CaptureBench({ journalMode: "DELETE" });
  bench.app.exec("CREATE TABLE t (id INTEGER PRIMARY KEY, v)");
  bench.start();
  bench.app.exec("PRAGMA journal_mode = wal; INSERT INTO t (v) VALUES (randomblob(5000))");
  bench.sync();
  bench.app.exec("INSERT INTO t (v) VALUES (randomblob(5000))");
  bench.sync();
  bench.verify();
  assert.equal(bench.capture.status().phase, "wal");
  assert.equal(bench.resyncs().filter((event) => event.kind === "full").length, 1);
});

test("a second process is refused while one captures", () => {
  using bench = new CaptureBench();
  bench.app.exec("CREATE TABLE t (v)");
  bench.start();
  assert.throws(() => bench.open(), { code: "capture/busy" });
});

test("Capture waits for a database that is not there yet and never creates it", () => {
  using bench = new CaptureBench({ absent: true });
  bench.start();
  assert.equal(bench.capture.status().phase, "missing");
  const app = new DatabaseSync(bench.path);
  app.exec("PRAGMA journal_mode = wal; CREATE TABLE t (v)");
  bench.sync();
  assert.equal(bench.capture.status().phase, "wal");
  bench.verify();
  app.close();
});
