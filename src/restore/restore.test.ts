import assert from "node:assert/strict";
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { toTxid } from "../base/ids.ts";
import { systemClock } from "../platform/clock.ts";
import { nodeFiles, type Files } from "../platform/files.ts";
import { openFileStore } from "../storage/backends/file/file.ts";
import { openMemoryStore } from "../storage/backends/memory/memory.ts";
import { LtxStore } from "../storage/ltx-store.ts";
import { ReplicaLine, samplePage, type ReplicaLineOptions } from "../testing/replica-line.ts";
import { planRestore } from "./listing.ts";
import type { RestoreProgress } from "./progress.ts";
import { restoreDatabase } from "./restore.ts";

let dir = "";
let count = 0;
before(() => {
  dir = mkdtempSync(join(tmpdir(), "millrace-restore-"));
});
after(() => rmSync(dir, { recursive: true }));

function newOutput(): string {
  count += 1;
  return join(dir, String(count), "app.db");
}

function newLine(options: Omit<ReplicaLineOptions, "store"> = {}): ReplicaLine {
  return new ReplicaLine({
    ...options,
    store: new LtxStore(openMemoryStore({ clock: systemClock })),
  });
}

function pagesOf(
  line: ReplicaLine,
  pgnos: readonly number[],
  seed: number,
): Map<number, Uint8Array> {
  return new Map(pgnos.map((pgno) => [pgno, samplePage(line.pageSize, seed * 1000 + pgno)]));
}

function range(first: number, last: number): number[] {
  return Array.from({ length: last - first + 1 }, (_, i) => first + i);
}

test("restoreDatabase() gives every TXID byte for byte, at every page size", async () => {
  for (let pageSize = 512; pageSize <= 65536; pageSize *= 2) {
    const line = newLine({ pageSize });
    await line.commit(5, pagesOf(line, range(1, 5), 1));
    await line.commit(7, pagesOf(line, [2, 6, 7], 2));
    await line.snapshot();
    await line.commit(7, pagesOf(line, [1, 7], 3));
    await line.commit(3, pagesOf(line, [1], 4));
    for (const txid of [2, 4]) {
      const output = newOutput();
      const result = await restoreDatabase({
        store: line.store,
        output,
        target: { txid: toTxid(txid) },
      });
      assert.deepEqual(new Uint8Array(readFileSync(output)), line.image(toTxid(txid)));
      assert.equal(result.proof, "database-checksum");
      assert.equal(result.pageSize, pageSize);
      assert.deepEqual(readdirSync(join(output, "..")), ["app.db"]);
    }
  }
});

test("restoreDatabase() keeps nothing aside where the disk has no room for it", async () => {
  const line = newLine();
  await line.commit(9, pagesOf(line, range(1, 9), 1));
  await line.snapshot();
  await line.commit(11, pagesOf(line, [2, 5, 10, 11], 2));
  for (const isFull of [false, true]) {
    const output = newOutput();
    const made: string[] = [];
    const files: Files = {
      ...nodeFiles,
      freeBytes: (op, path) => (isFull ? 100_000 : nodeFiles.freeBytes(op, path)),
      open: (op, path, flags, mode) => {
        if (path.endsWith(".scratch")) made.push(path);
        return nodeFiles.open(op, path, flags, mode);
      },
    };
    await restoreDatabase({ store: line.store, output, files });
    assert.deepEqual(new Uint8Array(readFileSync(output)), line.image());
    assert.equal(made.length, isFull ? 0 : 1);
    assert.deepEqual(readdirSync(join(output, "..")), ["app.db"]);
  }
});

test("restoreDatabase() restores from a file store, to a time, and tells what it did", async () => {
  const rootDirectory = mkdtempSync(join(dir, "replica-"));
  await using store = new LtxStore(openFileStore({ rootDirectory }));
  const line = new ReplicaLine({ store });
  await line.commit(40, pagesOf(line, range(1, 40), 1));
  await line.snapshot();
  for (let i = 2; i <= 9; i += 1) await line.commit(40, pagesOf(line, [i, 2 * i], i));
  const progress: RestoreProgress[] = [];
  const output = newOutput();
  const result = await restoreDatabase({
    store,
    output,
    target: { timestampMs: line.timeOf(8) },
    onProgress: (event) => progress.push(event),
  });
  assert.deepEqual(new Uint8Array(readFileSync(output)), line.image(toTxid(7)));
  const { plan, durationMs, databaseChecksum, ...facts } = result;
  assert.deepEqual(facts, {
    format: "ltx",
    integrityCheck: "none",
    txid: toTxid(7),
    pages: 40,
    pageSize: 512,
    sizeBytes: 40 * 512,
    files: 7,
    proof: "database-checksum",
  });
  assert.equal(plan.timestampMs, line.timeOf(7));
  assert.ok(durationMs >= 0 && databaseChecksum >> 63n === 1n);
  assert.deepEqual(
    [...new Set(progress.map(({ phase }) => phase))],
    ["plan", "pages", "sync", "done"],
  );
  assert.equal(progress[0]?.pagesTotal, 0);
  assert.equal(progress.at(-1)?.pagesDone, 40);
  assert.equal(progress.at(-1)?.pagesTotal, 40);
});

test("planRestore() plans without restoring, from the listings alone", async () => {
  const line = newLine();
  await line.commit(3, pagesOf(line, [1, 2, 3], 1));
  await line.commit(3, pagesOf(line, [2], 2));
  await line.compact(2, 1, 2);
  await line.commit(3, pagesOf(line, [3], 3));
  const plan = await planRestore(line.store);
  assert.deepEqual(
    plan.files.map(({ level, maxTxid }) => [level, maxTxid]),
    [
      [2, toTxid(2)],
      [0, toTxid(3)],
    ],
  );
  await assert.rejects(planRestore(line.store, { txid: toTxid(4) }), {
    code: "restore/not-available",
  });
  await assert.rejects(
    planRestore(line.store, "latest", { signal: AbortSignal.abort(new Error("no")) }),
    /no/,
  );
});
