/**
 * Litestream's released reader makes the same database of our replicas as we do and as SQLite has: its decoder and
 * compactor accept every file, and the bytes are equal.
 */
import assert from "node:assert/strict";
import { readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { CaptureBench, type BenchOptions } from "../../src/testing/capture-bench.ts";
import { assertSameBytes, interopTest, type Scene } from "./scene.ts";

const CREATE = "CREATE TABLE t (id INTEGER PRIMARY KEY, v)";
const INSERT = "INSERT INTO t (v) VALUES (randomblob(3000))";

/** A bench with a table, capturing. */
function capturing(options: BenchOptions = {}): CaptureBench {
  const bench = new CaptureBench(options);
  bench.app.exec(CREATE);
  bench.start();
  return bench;
}

/** A few transactions of every kind, each captured into a file of its own. */
function transact(bench: CaptureBench, rounds = 6): void {
  for (let round = 0; round < rounds; round++) {
    bench.app.exec(`${INSERT}; ${INSERT}`);
    if (round % 3 === 1) bench.app.exec("UPDATE t SET v = randomblob(200) WHERE id % 2 = 0");
    if (round % 3 === 2) bench.app.exec("DELETE FROM t WHERE id % 4 = 0");
    bench.sync();
  }
}

/** Everything captured so far, shipped, gives the database in both readers. */
async function assertReplicaGives(scene: Scene, bench: CaptureBench): Promise<void> {
  await scene.ship(bench.metaDir);
  await scene.assertBothGive(bench.expected(), bench.capture.txid);
}

for (let pageSize = 512; pageSize <= 65536; pageSize *= 2) {
  interopTest(
    `Litestream hydrates and reads our replica at page size ${pageSize}`,
    async (scene) => {
      using bench = capturing({ pageSize, checkpointPages: 20 });
      transact(bench, 8);
      await assertReplicaGives(scene, bench);
      const sql = "SELECT count(*), sum(length(v)), max(id) FROM";
      const read = await scene.vfs.query(scene.replica, `PRAGMA r.integrity_check; ${sql} r.t;`);
      const row = bench.app.prepare(`${sql} t`).get() ?? {};
      assert.equal(read, `ok\n${Object.values(row).join("|")}\n`);
    },
  );
}

interopTest("Litestream hydrates our replica after VACUUM", async (scene) => {
  using bench = capturing({ checkpointPages: 30 });
  for (let row = 0; row < 100; row++) bench.app.exec(INSERT);
  bench.sync();
  bench.app.exec("DELETE FROM t WHERE id > 10; VACUUM");
  bench.sync();
  await assertReplicaGives(scene, bench);
  transact(bench);
  await assertReplicaGives(scene, bench);
  assert.equal(bench.resyncs().length, 1);
});

interopTest("Litestream hydrates our replica after a resync by diff", async (scene) => {
  using bench = capturing();
  for (let row = 0; row < 50; row++) bench.app.exec(INSERT);
  bench.sync();
  bench.stop();
  bench.app.exec("UPDATE t SET v = randomblob(2000) WHERE id IN (3, 30)");
  bench.app.exec(`PRAGMA wal_checkpoint(RESTART); ${INSERT}`);
  bench.start();
  const resync = bench.resyncs().at(-1);
  assert.equal(resync?.kind, "diff");
  assert.ok(resync.pagesWritten < resync.pagesScanned / 2, `${resync.pagesWritten} pages written`);
  await assertReplicaGives(scene, bench);
});

interopTest("Litestream hydrates our replica of a rollback-journal database", async (scene) => {
  using bench = capturing({ journalMode: "DELETE" });
  transact(bench);
  await assertReplicaGives(scene, bench);
});

for (const mode of ["FULL", "INCREMENTAL"]) {
  interopTest(
    `Litestream hydrates our replica of a database that shrinks and grows again (auto_vacuum ${mode})`,
    async (scene) => {
      using bench = capturing({ prepare: `PRAGMA auto_vacuum = ${mode}`, checkpointPages: 60 });
      for (let round = 0; round < 3; round++) {
        bench.app.exec("BEGIN");
        for (let row = 0; row < 60; row++) bench.app.exec(INSERT);
        bench.app.exec("COMMIT");
        bench.sync();
        bench.app.exec("DELETE FROM t WHERE id % 7 <> 0; PRAGMA incremental_vacuum");
        bench.sync();
      }
      await assertReplicaGives(scene, bench);
      for (let row = 0; row < 80; row++) bench.app.exec(INSERT);
      bench.sync();
      await assertReplicaGives(scene, bench);
    },
  );
}

interopTest("Litestream hydrates our replica with pages as frames", async (scene) => {
  using bench = capturing({ pageFormat: "frame" });
  transact(bench);
  await assertReplicaGives(scene, bench);
  for (const name of scene.names(0)) {
    const file = readFileSync(join(scene.levelDir(0), name));
    assert.equal(file.readUInt16BE(104), 0, `page flags of the first frame in ${name}`);
  }
});

interopTest(
  "Litestream hydrates our replica from the level 9 file after a change of the page size",
  async (scene) => {
    using bench = capturing();
    transact(bench);
    const before = { image: bench.expected(), txid: bench.capture.txid };
    await scene.ship(bench.metaDir);
    bench.replaceDatabase(`${CREATE}; ${INSERT}`, { pageSize: 1024 });
    bench.sync();
    const boundaryTxid = bench.capture.txid;
    await assertReplicaGives(scene, bench);
    transact(bench);
    await assertReplicaGives(scene, bench);
    assert.equal(scene.names(9).length, 1);
    assert.ok(boundaryTxid > before.txid);
    const older = await scene.restore({ txid: before.txid });
    assertSameBytes(readFileSync(older.path), before.image, "the database at its old page size");
  },
);

interopTest("Litestream hydrates our replica that a full copy continues", async (scene) => {
  using bench = capturing();
  transact(bench);
  bench.stop();
  rmSync(`${bench.metaDir}/pages.sum`);
  bench.start();
  assert.equal(bench.resyncs().at(-1)?.kind, "full");
  transact(bench);
  await assertReplicaGives(scene, bench);
});
