/**
 * Databases that grow over SQLite's lock page, which lies at 1 GiB and holds nothing: our replicas of them hydrate with
 * Litestream's released reader. The databases are sparse files, and what is hydrated is compared as it comes out of a
 * pipe, so that the test needs some megabytes of disk only. The largest pages take about ten seconds of processor
 * time, smaller ones more: MILLRACE_INTEROP=all tries them too.
 */
import assert from "node:assert/strict";
import { closeSync, openSync, truncateSync, writeSync } from "node:fs";
import { DatabaseSync } from "node:sqlite";
import { lockPgno } from "../../src/ltx/header.ts";
import { CaptureBench } from "../../src/testing/capture-bench.ts";
import { interopTest } from "./scene.ts";

/** Offset in the database header: size of the database in pages, big-endian. */
const HEADER_PAGE_COUNT = 28;

/** A database of `pages` pages, all but the first few zeros that nothing refers to; returns a connection to it. */
function openSparse(bench: CaptureBench, pageSize: number, pages: number): DatabaseSync {
  const made = bench.createDatabase({ pageSize });
  made.exec("CREATE TABLE t (id INTEGER PRIMARY KEY, v); INSERT INTO t (v) VALUES ('first')");
  made.close();
  setPageCount(bench.path, pages);
  truncateSync(bench.path, pages * pageSize);
  const app = new DatabaseSync(bench.path);
  app.exec("PRAGMA wal_autocheckpoint = 0");
  return app;
}

function setPageCount(path: string, pages: number): void {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(pages);
  const fd = openSync(path, "r+");
  writeSync(fd, bytes, 0, bytes.length, HEADER_PAGE_COUNT);
  closeSync(fd);
}

const PAGE_SIZES = process.env["MILLRACE_INTEROP"] === "all" ? [512, 4096, 65536] : [65536];

for (const pageSize of PAGE_SIZES) {
  interopTest(
    `Litestream hydrates our replica past 1 GiB at page size ${pageSize}`,
    async (scene) => {
      using bench = new CaptureBench({ absent: true, pageSize });
      const lock = lockPgno(pageSize);
      bench.app = openSparse(bench, pageSize, lock - 3);
      bench.start();
      for (let round = 0; round < 3; round++) {
        bench.app.exec(`INSERT INTO t (v) VALUES (randomblob(${pageSize * 4}))`);
        bench.sync();
      }
      bench.stop();
      bench.app.exec(`UPDATE t SET v = randomblob(${pageSize * 6}) WHERE id = 2`);
      bench.app.exec("PRAGMA wal_checkpoint(RESTART); INSERT INTO t (v) VALUES ('last')");
      bench.start();
      assert.equal(bench.resyncs().at(-1)?.kind, "diff");
      const { commit } = bench.capture.status();
      assert.ok(commit > lock, `${commit} pages`);
      bench.stop();
      bench.closeApp();
      await scene.ship(bench.metaDir);
      assert.equal(await scene.vfs.compare(scene.replica, bench.path), "");
      const restored = await scene.restore();
      assert.equal(restored.pages, commit);
      assert.equal(restored.proof, "database-checksum");
    },
  );
}
