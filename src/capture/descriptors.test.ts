import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { test } from "node:test";
import { nodeFiles, type Files } from "../platform/files.ts";
import { CaptureBench } from "../testing/capture-bench.ts";

const INSERT = "INSERT INTO t (v) VALUES (randomblob(3000))";

/** Which journal mode another process gets when it asks to leave WAL: `wal` as long as anybody holds the database. */
function journalModeAfterLeavingWal(path: string): string {
  const script = `
    const { DatabaseSync } = require("node:sqlite");
    const database = new DatabaseSync(process.argv[1], { timeout: 0 });
    try {
      process.stdout.write(database.prepare("PRAGMA journal_mode = delete").get().journal_mode);
    } catch {
      process.stdout.write("wal");
    }`;
  return execFileSync(process.execPath, ["-e", script, path], { encoding: "utf8" });
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
  assert.equal(journalModeAfterLeavingWal(bench.path), "wal");
  bench.app = bench.createDatabase();
  bench.app.exec(INSERT);
  bench.sync();
  bench.verify();
  bench.stop();
  bench.closeApp();
  assert.equal(journalModeAfterLeavingWal(bench.path), "delete", "the probe sees a free database");
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
