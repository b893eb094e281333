/** Litestream's released reader and our restore agree about every point in time of a replica. */
import assert from "node:assert/strict";
import { readFileSync, utimesSync } from "node:fs";
import { join } from "node:path";
import { isMillraceError } from "../../src/errors.ts";
import { CaptureBench } from "../../src/testing/capture-bench.ts";
import { LitestreamRefusal } from "../../src/testing/litestream-vfs.ts";
import { assertSameBytes, interopTest, type Scene } from "./scene.ts";

const START_MS = Date.UTC(2026, 0, 1);
const STEP_MS = 60_000;

/** Gives the file of the n-th transaction the time of n steps after the start. */
function setTimes(scene: Scene): void {
  scene.names(0).forEach((name, index) => {
    const seconds = (START_MS + (index + 1) * STEP_MS) / 1000;
    utimesSync(join(scene.levelDir(0), name), seconds, seconds);
  });
}

interopTest(
  "Litestream and our restore give the same database at every point in time",
  async (scene) => {
    using bench = new CaptureBench();
    bench.app.exec("CREATE TABLE t (id INTEGER PRIMARY KEY, v)");
    bench.start();
    const images: Uint8Array[] = [bench.expected()];
    for (const sql of [
      "WITH n(i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM n WHERE i < 40) INSERT INTO t SELECT i, randomblob(2500) FROM n",
      "UPDATE t SET v = randomblob(100) WHERE id % 3 = 0",
      "DELETE FROM t WHERE id > 20; VACUUM",
      "CREATE INDEX i ON t (v)",
    ]) {
      bench.app.exec(sql);
      bench.sync();
      images.push(bench.expected());
    }
    await scene.ship(bench.metaDir);
    setTimes(scene);
    for (const [index, image] of images.entries()) {
      // Just after the file: that one is the last that counts. At its very time it does not count yet.
      const time = START_MS + (index + 1) * STEP_MS;
      const restored = await scene.restore({ timestampMs: time + 1 });
      assert.equal(restored.txid, BigInt(index + 1));
      assertSameBytes(readFileSync(restored.path), image, `TXID ${restored.txid}`);
      await assertSameContent(scene, restored.path, time + 1);
      if (index === 0) continue;
      const exact = await scene.restore({ timestampMs: time });
      assert.equal(exact.txid, BigInt(index));
      if (index === 2) await assertSameContent(scene, exact.path, time);
    }
  },
);

/** Litestream's database before a time, written out, equals ours written out. */
async function assertSameContent(scene: Scene, restored: string, beforeMs: number): Promise<void> {
  const [theirs, ours] = [scene.newPath(), scene.newPath()];
  const sql = [
    `VACUUM r INTO '${theirs}';`,
    `ATTACH '${restored}' AS ours;`,
    `VACUUM ours INTO '${ours}';`,
  ];
  assert.equal(await scene.vfs.query(scene.replica, sql.join("\n"), { beforeMs }), "");
  assertSameBytes(readFileSync(ours), readFileSync(theirs), `the database before ${beforeMs}`);
}

interopTest(
  "Litestream and our restore both refuse a time before the first transaction",
  async (scene) => {
    using bench = new CaptureBench();
    bench.app.exec("CREATE TABLE t (v)");
    bench.start();
    await scene.ship(bench.metaDir);
    setTimes(scene);
    const beforeMs = START_MS + STEP_MS;
    await assert.rejects(
      scene.vfs.query(scene.replica, "SELECT * FROM r.t;", { beforeMs }),
      LitestreamRefusal,
    );
    await assert.rejects(scene.restore({ timestampMs: beforeMs }), (error) =>
      isMillraceError(error, "restore/not-available"),
    );
  },
);
