import assert from "node:assert/strict";
import { closeSync, mkdtempSync, openSync, readSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { toTxid } from "../base/ids.ts";
import { openKernel } from "../kernel/kernel.ts";
import { LtxEncoder } from "../ltx/encoder.ts";
import { lockPgno } from "../ltx/header.ts";
import { MemorySink } from "../ltx/memory.ts";
import { RollingChecksum } from "../ltx/rolling-checksum.ts";
import { systemClock } from "../platform/clock.ts";
import { openMemoryStore } from "../storage/backends/memory/memory.ts";
import { LtxStore } from "../storage/ltx-store.ts";
import { sampleHeader } from "../testing/ltx-samples.ts";
import { samplePage } from "../testing/replica-line.ts";
import { restoreDatabase } from "./restore.ts";

const PAGE_SIZE = 65536;
const LOCK = lockPgno(PAGE_SIZE);

/** A snapshot of a database past the lock page: zeros but for the given pages. */
function snapshotOf(commit: number, images: ReadonlyMap<number, Uint8Array>): Uint8Array {
  const kernel = openKernel({ pageSize: PAGE_SIZE });
  const sink = new MemorySink();
  const header = sampleHeader({ pageSize: PAGE_SIZE, commit, minTxid: toTxid(1) });
  const encoder = new LtxEncoder({ kernel, header, sink });
  const rolling = new RollingChecksum();
  const zeros = new Uint8Array(PAGE_SIZE);
  for (let pgno = 1; pgno <= commit; pgno += 1) {
    if (pgno === LOCK) continue;
    rolling.fold(encoder.writePages(Uint32Array.of(pgno), images.get(pgno) ?? zeros));
  }
  encoder.finish({ databaseChecksum: rolling.value });
  return sink.toBytes();
}

test("restoreDatabase() leaves the lock page zero and keeps zeros sparse past 1 GiB", async () => {
  const commit = LOCK + 3;
  const numbers = [1, 2, LOCK - 1, LOCK + 1, LOCK + 2];
  const images = new Map(numbers.map((pgno) => [pgno, samplePage(PAGE_SIZE, pgno)]));
  await using store = new LtxStore(openMemoryStore({ clock: systemClock }));
  const id = { level: 9, minTxid: toTxid(1), maxTxid: toTxid(1) };
  await store.write(id, snapshotOf(commit, images), { createdAtMs: 1 });
  const dir = mkdtempSync(join(tmpdir(), "millrace-lock-page-"));
  try {
    const output = join(dir, "app.db");
    const result = await restoreDatabase({ store, output });
    assert.equal(result.proof, "database-checksum");
    const { size, blocks } = statSync(output);
    assert.equal(size, commit * PAGE_SIZE);
    assert.ok(blocks * 512 < 64 * PAGE_SIZE, `${blocks} blocks on disk`);
    const fd = openSync(output, "r");
    const page = new Uint8Array(PAGE_SIZE);
    for (const pgno of [...numbers, LOCK, LOCK + 3, 7]) {
      readSync(fd, page, 0, PAGE_SIZE, (pgno - 1) * PAGE_SIZE);
      assert.deepEqual(page, images.get(pgno) ?? new Uint8Array(PAGE_SIZE), `page ${pgno}`);
    }
    closeSync(fd);
  } finally {
    rmSync(dir, { recursive: true });
  }
});
