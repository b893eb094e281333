import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { test } from "node:test";
import { nodeFiles, type Files } from "../platform/files.ts";
import { CaptureBench } from "../testing/capture-bench.ts";

const INSERT = "INSERT INTO t (v) VALUES (randomblob(3000));";

/** Runs SQL in a process of its own, as applications do; returns "" or SQLite's message. */
function elsewhere(path: string, sql: string): string {
  const script = `
    const { DatabaseSync } = require("node:sqlite");
    const database = new DatabaseSync(process.argv[1], { timeout: 0 });
    try {
      database.exec(process.argv[2]);
    } catch (error) {
      process.stdout.write(error.message);
    }`;
  return execFileSync(process.execPath, ["-e", script, path, sql], { encoding: "utf8" });
}

/**
 * Whether SQLite's lock on the database file keeps another process out. In exclusive mode SQLite uses no
 * shared memory, so nothing but the lock on the file itself can refuse it.
 */
function isLocked(path: string): boolean {
  const sql = "PRAGMA locking_mode = exclusive; SELECT count(*) FROM sqlite_schema";
  const message = elsewhere(path, sql);
  assert.match(message, /^(?:|database is locked)$/);
  return message !== "";
}

/** Capture that has synced, checkpointed, been restarted and compared every page. */
function busyCapture(files: Files): CaptureBench {
  const bench = new CaptureBench({ files, checkpointPages: 5 });
  bench.app.exec("CREATE TABLE t (id INTEGER PRIMARY KEY, v)");
  bench.closeApp();
  bench.start();
  for (let round = 0; round < 4; round += 1) {
    assert.equal(elsewhere(bench.path, INSERT.repeat(5)), "");
    bench.sync();
  }
  bench.stop();
  elsewhere(bench.path, `${INSERT} PRAGMA wal_checkpoint(RESTART); ${INSERT}`);
  elsewhere(bench.path, `PRAGMA wal_checkpoint(RESTART); ${INSERT}`);
  bench.start();
  assert.equal(bench.resyncs().at(-1)?.kind, "diff");
  return bench;
}

test("[C2] nothing that capture does with files drops SQLite's lock on the database", () => {
  using bench = busyCapture(nodeFiles);
  assert.ok(isLocked(bench.path), "the lock holds");
  nodeFiles.close("probe", nodeFiles.open("probe", bench.path, "r"));
  assert.ok(!isLocked(bench.path), "one stray close drops it, and the probe sees that");
});

test("[C2] capture opens the database file once a run and the -shm file never", () => {
  const opened: string[] = [];
  const files: Files = {
    ...nodeFiles,
    open(op, path, flags, mode) {
      opened.push(path);
      return nodeFiles.open(op, path, flags, mode);
    },
  };
  using bench = busyCapture(files);
  assert.deepEqual(
    opened.filter((path) => path.endsWith("-shm")),
    [],
  );
  assert.equal(opened.filter((path) => path === bench.path).length, 2);
});
