import assert from "node:assert/strict";
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
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
