/**
 * Litestream's released reader takes what our compactor and our bounded queue make of a line for the line itself: files
 * of several transactions at level 0, at level 1 and at level 9, alone and followed by newer ones.
 */
import assert from "node:assert/strict";
import { mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { toTxid, type Txid } from "../../src/base/ids.ts";
import { SILENT } from "../../src/base/logger.ts";
import { openKernel } from "../../src/kernel/kernel.ts";
import { compactLtx } from "../../src/ltx/compactor.ts";
import { memorySource, MemorySink } from "../../src/ltx/memory.ts";
import { ltxFileName, parseLtxFileName } from "../../src/ltx/names.ts";
import { readLtxHeader } from "../../src/ltx/source.ts";
import { systemClock } from "../../src/platform/clock.ts";
import { nodeFiles } from "../../src/platform/files.ts";
import { LocalLine } from "../../src/ship/local-line.ts";
import { CaptureBench } from "../../src/testing/capture-bench.ts";
import { interopTest, type Scene } from "./scene.ts";

/** Commits and captures, one file each: growth, changes, a shrink to less than half, growth again. */
function transact(bench: CaptureBench): void {
  for (let round = 0; round < 4; round++) {
    for (let row = 0; row < 8; row++) bench.app.exec("INSERT INTO t VALUES (randomblob(3000))");
    bench.sync();
    bench.app.exec("UPDATE t SET v = randomblob(100) WHERE rowid % 5 = 0");
    bench.sync();
  }
  bench.app.exec("DELETE FROM t WHERE rowid % 4 <> 0");
  bench.sync();
  bench.app.exec("INSERT INTO t VALUES (randomblob(9000))");
  bench.sync();
}

function capturing(): CaptureBench {
  const bench = new CaptureBench({ prepare: "PRAGMA auto_vacuum = FULL", checkpointPages: 40 });
  bench.app.exec("CREATE TABLE t (v)");
  bench.start();
  return bench;
}

/** Merges the replica's files `names` of `level` into one file and puts it in their place, at another level. */
function compact(
  scene: Scene,
  from: { readonly level: number; readonly names: readonly string[] },
  to: { readonly level: number; readonly minTxid?: Txid | undefined },
): void {
  const paths = from.names.map((name) => join(scene.levelDir(from.level), name));
  const inputs = paths.map((path) => memorySource(readFileSync(path), path));
  const [first] = inputs;
  assert.ok(first !== undefined);
  const { pageSize } = readLtxHeader(first);
  const sink = new MemorySink();
  const { header } = compactLtx({
    kernel: openKernel({ pageSize }),
    inputs,
    sink,
    minTxid: to.minTxid,
  });
  mkdirSync(scene.levelDir(to.level), { recursive: true });
  const name = ltxFileName(header.minTxid, header.maxTxid);
  for (const path of paths) rmSync(path);
  writeFileSync(join(scene.levelDir(to.level), name), sink.toBytes());
}

interopTest(
  "Litestream hydrates level 1 files of our compactor, with and without newer transactions",
  async (scene) => {
    using bench = capturing();
    transact(bench);
    await scene.ship(bench.metaDir);
    const expected = { image: bench.expected(), txid: bench.capture.txid };
    const names = scene.names(0);
    compact(scene, { level: 0, names: names.slice(0, 4) }, { level: 1 });
    compact(scene, { level: 0, names: names.slice(4) }, { level: 1 });
    assert.deepEqual(scene.names(0), []);
    await scene.assertBothGive(expected.image, expected.txid);
    compact(scene, { level: 1, names: scene.names(1) }, { level: 2 });
    await scene.assertBothGive(expected.image, expected.txid);
    transact(bench);
    await scene.ship(bench.metaDir);
    await scene.assertBothGive(bench.expected(), bench.capture.txid);
  },
);

interopTest(
  "Litestream hydrates a level 9 file that our compactor made of the whole line",
  async (scene) => {
    using bench = capturing();
    transact(bench);
    await scene.ship(bench.metaDir);
    const txid = bench.capture.txid;
    compact(scene, { level: 0, names: scene.names(0) }, { level: 9 });
    assert.deepEqual(scene.names(9), [ltxFileName(toTxid(1), txid)]);
    await scene.assertBothGive(bench.expected(), txid);
  },
);

interopTest(
  "Litestream hydrates a full copy that our compactor made a snapshot of, and what follows it",
  async (scene) => {
    using bench = capturing();
    transact(bench);
    bench.stop();
    rmSync(`${bench.metaDir}/pages.sum`);
    bench.start();
    assert.equal(bench.resyncs().at(-1)?.kind, "full");
    const full = ltxFileName(bench.capture.txid, bench.capture.txid);
    await scene.ship(bench.metaDir);
    for (const name of scene.names(0)) if (name !== full) rmSync(join(scene.levelDir(0), name));
    compact(scene, { level: 0, names: [full] }, { level: 9, minTxid: toTxid(1) });
    assert.deepEqual(scene.names(9), [ltxFileName(toTxid(1), bench.capture.txid)]);
    await scene.assertBothGive(bench.expected(), bench.capture.txid);
    transact(bench);
    await scene.ship(bench.metaDir);
    await scene.assertBothGive(bench.expected(), bench.capture.txid);
  },
);

interopTest(
  "Litestream hydrates a level 0 file of several transactions from our bounded queue, and what follows it",
  async (scene) => {
    using bench = capturing();
    transact(bench);
    await mergeQueue(bench);
    await scene.ship(bench.metaDir);
    const ranges = scene.names(0).map(parseLtxFileName);
    assert.ok(
      ranges.some((range) => range !== undefined && range.minTxid < range.maxTxid),
      "a file holds several transactions",
    );
    await scene.assertBothGive(bench.expected(), bench.capture.txid);
    bench.stop();
    bench.start();
    assert.equal(bench.resyncs().length, 1, "capture goes on after its merged files");
    transact(bench);
    await scene.ship(bench.metaDir);
    await scene.assertBothGive(bench.expected(), bench.capture.txid);
  },
);

/** Has the local queue merged as it is when no destination takes anything and it is over its bound. */
async function mergeQueue(bench: CaptureBench): Promise<void> {
  await using line = new LocalLine({
    files: nodeFiles,
    directory: join(bench.metaDir, "ltx"),
    logger: SILENT,
    clock: systemClock,
    maxQueueFiles: 2,
  });
  line.load();
  bench.app.exec("INSERT INTO t VALUES ('one more')");
  bench.sync();
  const announced = bench.events.findLast((event) => event.type === "ltx");
  assert.ok(announced?.type === "ltx");
  line.announce(announced);
}
