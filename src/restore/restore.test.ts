import assert from "node:assert/strict";
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import fc from "fast-check";
import { toTxid } from "../base/ids.ts";
import { systemClock } from "../platform/clock.ts";
import { openMemoryStore } from "../storage/backends/memory/memory.ts";
import { LtxStore } from "../storage/ltx-store.ts";
import { ReplicaLine, samplePage, type ReplicaLineOptions } from "../testing/replica-line.ts";
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
    for (let txid = 1; txid <= 4; txid += 1) {
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

test("restoreDatabase() restores any line of transactions, compacted anyhow, whatever proves it", async () => {
  const step = fc.record({
    commit: fc.integer({ min: 1, max: 24 }),
    changes: fc.uniqueArray(fc.integer({ min: 1, max: 24 }), { maxLength: 10 }),
    snapshot: fc.integer({ min: 0, max: 5 }).map((n) => n === 0),
  });
  const lines = fc.record({
    steps: fc.array(step, { minLength: 1, maxLength: 9 }),
    checksums: fc.constantFrom("tag" as const, "tracked" as const, "none" as const),
    pageFormat: fc.constantFrom("block" as const, "frame" as const),
    compacts: fc.array(fc.tuple(fc.integer({ min: 1, max: 9 }), fc.integer({ min: 1, max: 9 })), {
      maxLength: 2,
    }),
    target: fc.integer({ min: 1, max: 9 }),
    parallelism: fc.integer({ min: 1, max: 2 }),
  });
  await fc.assert(
    fc.asyncProperty(
      lines,
      async ({ steps, checksums, pageFormat, compacts, target, parallelism }) => {
        const line = newLine({ checksums, pageFormat });
        let size = 0;
        for (const [i, { commit, changes, snapshot }] of steps.entries()) {
          // SQLite writes every page by which a database grows.
          const grown = range(Math.max(1, size + 1), commit);
          const pgnos = [...new Set([...grown, ...changes.filter((pgno) => pgno <= commit)])];
          await line.commit(commit, pagesOf(line, pgnos, i + 1));
          size = commit;
          if (snapshot) await line.snapshot();
        }
        if (checksums !== "tracked") {
          for (const [from, to] of compacts) {
            if (from < to && to <= steps.length) await line.compact(1, from, to);
          }
        }
        const txid = toTxid(Math.min(target, steps.length));
        const output = newOutput();
        const result = await restoreDatabase({
          store: line.store,
          output,
          target: { txid },
          parallelism,
        });
        assert.deepEqual(new Uint8Array(readFileSync(output)), line.image(txid));
        assert.equal(result.proof, checksums === "none" ? "file-checksums" : "database-checksum");
        assert.equal(result.txid, txid);
      },
    ),
    { numRuns: 60 },
  );
});
