import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { test } from "node:test";
import { nodeFiles, type Files } from "../platform/files.ts";
import { CaptureBench } from "../testing/capture-bench.ts";

const INSERT = "INSERT INTO t (v) VALUES (randomblob(3000))";

/**
 * Whether SQLite's lock on the database file keeps another process out. In exclusive mode SQLite uses no
 * shared memory, so nothing but the lock on the file itself can refuse it.
 */
function isLocked(path: string): boolean {
  const script = `
    const { DatabaseSync } = require("node:sqlite");
    const database = new DatabaseSync(process.argv[1], { timeout: 0 });
    database.exec("PRAGMA locking_mode = exclusive");
    try {
      database.prepare("SELECT count(*) FROM sqlite_schema").get();
      process.stdout.write("free");
    } catch (error) {
      process.stdout.write(error.message);
    }`;
  const answer = execFileSync(process.execPath, ["-e", script, path], { encoding: "utf8" });
  assert.match(answer, /^(?:free|database is locked)$/);
  return answer !== "free";
}

/** A bench whose capture has synced, checkpointed, scanned every page and read the WAL, over and over. */
function busyBench(files: Files): CaptureBench {
  const bench = new CaptureBench({ files, checkpointPages: 5 });
  bench.app.exec("CREATE TABLE t (id INTEGER PRIMARY KEY, v)");
  bench.start();
  for (let round = 0; round < 20; round += 1) {
    bench.app.exec(INSERT);
    bench.sync();
  }
  bench.stop();
  bench.app.exec("PRAGMA wal_checkpoint(RESTART)");
  bench.app.exec(INSERT);
  bench.app.exec("PRAGMA wal_checkpoint(RESTART)");
  bench.app.exec(INSERT);
  bench.start();
  bench.verify();
  return bench;
}

test("[C2] nothing that capture does with files drops SQLite's locks on the database", () => {
  using bench = busyBench(nodeFiles);
  bench.closeApp();
  assert.ok(isLocked(bench.path), "capture's lock holds");
  nodeFiles.close("probe", nodeFiles.open("probe", bench.path, "r"));
  assert.ok(!isLocked(bench.path), "one stray close drops it, and the probe sees that");
});

test("[C2] capture opens the database once for each connection, and the -shm file never", () => {
  const opened: string[] = [];
  const files: Files = {
    ...nodeFiles,
    open(op, path, flags, mode) {
      opened.push(path);
      return nodeFiles.open(op, path, flags, mode);
    },
  };
  using bench = busyBench(files);
  assert.deepEqual(
    opened.filter((path) => path.endsWith("-shm")),
    [],
  );
  const ofDatabase = opened.filter((path) => path === bench.path);
  assert.equal(ofDatabase.length, 2, "one descriptor for each of the two runs");
});
