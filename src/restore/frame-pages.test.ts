/** LTX files whose pages are LZ4 frames, as Litestream 0.5.0 to 0.5.15 wrote them, through the whole restore. */
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { GOLDEN_PAGE_SIZES, goldenSample, goldenStore } from "../../test/golden/samples.ts";
import { toTxid } from "../base/ids.ts";
import { isMillraceError } from "../errors.ts";
import { systemClock } from "../platform/clock.ts";
import { openMemoryStore } from "../storage/backends/memory/memory.ts";
import { LtxStore } from "../storage/ltx-store.ts";
import { forgeHeader, forgeLegacy, forgeLtx } from "../testing/forge-ltx.ts";
import { ReplicaLine } from "../testing/replica-line.ts";
import { SAMPLE_KINDS, sampleBytes } from "../testing/sample-pages.ts";
import { restoreDatabase, type RestoreOptions } from "./restore.ts";

let dir = "";
let count = 0;
before(() => {
  dir = mkdtempSync(join(tmpdir(), "millrace-frames-"));
});
after(() => rmSync(dir, { recursive: true }));

async function restored(
  store: LtxStore,
  options: Partial<RestoreOptions> = {},
): Promise<{ bytes: Uint8Array; proof: string }> {
  count += 1;
  const output = join(dir, `${count}.db`);
  const { proof } = await restoreDatabase({ parallelism: 1, ...options, store, output });
  return { bytes: new Uint8Array(readFileSync(output)), proof };
}

function newStore(): LtxStore {
  return new LtxStore(openMemoryStore({ clock: systemClock }));
}

/** Pages of every kind, from all zeros to bytes that do not compress. */
function pages(pageSize: number, pgnos: readonly number[], seed: number): Map<number, Uint8Array> {
  return new Map(
    pgnos.map((pgno) => {
      const kind = SAMPLE_KINDS[pgno % SAMPLE_KINDS.length] ?? "random";
      return [pgno, sampleBytes(pageSize, kind, 100 * seed + pgno)];
    }),
  );
}

for (const pageSize of GOLDEN_PAGE_SIZES) {
  test(`restoreDatabase() restores what Litestream 0.5.0 wrote as that does, page size ${pageSize}`, async () => {
    const sample = goldenSample("litestream-0.5", pageSize);
    const store = new LtxStore(await goldenStore("litestream-0.5", pageSize));
    const { bytes, proof } = await restored(store, { integrityCheck: "full" });
    assert.equal(createHash("sha256").update(bytes).digest("hex"), sample.sha256);
    assert.equal(bytes.length, sample.sizeBytes);
    assert.equal(proof, "file-checksums");
  });
}

for (let pageSize = 512; pageSize <= 65536; pageSize *= 2) {
  test(`restoreDatabase() mixes files of frame and of block pages in one plan, page size ${pageSize}`, async () => {
    for (const checksums of ["none", "tag"] as const) {
      const line = new ReplicaLine({ store: newStore(), pageSize, checksums, pageFormat: "frame" });
      await line.commit(9, pages(pageSize, [1, 2, 3, 4, 5, 6, 7, 8, 9], 1));
      await line.snapshot();
      await line.commit(11, pages(pageSize, [2, 10, 11], 2));
      line.pageFormat = "block";
      await line.commit(11, pages(pageSize, [3, 4, 5, 11], 3));
      line.pageFormat = "frame";
      await line.commit(6, pages(pageSize, [1, 6], 4));
      line.pageFormat = "block";
      await line.commit(7, pages(pageSize, [2, 7], 5));
      // A merged file has both kinds of pages, copied as they are.
      await line.compact(1, 2, 4);
      for (const txid of [1, 4, 5]) {
        const target = { txid: toTxid(txid) };
        assert.deepEqual((await restored(line.store, { target })).bytes, line.image(toTxid(txid)));
      }
    }
  });

  test(`restoreDatabase() reads stored blocks and refuses damaged frame pages, page size ${pageSize}`, async () => {
    const store = newStore();
    const image = [1, 2, 3].map((seed) => sampleBytes(pageSize, "random", seed));
    const frames = image.map((page, index) => forgeLegacy(index + 1, page));
    const file = forgeLtx({ header: forgeHeader({ pageSize, commit: 3 }), frames });
    const id = { level: 0, minTxid: toTxid(1), maxTxid: toTxid(1) };
    const write = (bytes: Uint8Array): Promise<unknown> =>
      store.write(id, bytes, { createdAtMs: 1000 });
    await write(file);
    assert.deepEqual((await restored(store)).bytes, new Uint8Array(Buffer.concat(image)));
    // In the frame's magic number, its block's size, the page, the content checksum.
    const start = 100 + 6;
    for (const at of [0, 4, 7, 10, 11 + (pageSize >> 1), 11 + pageSize, 15 + pageSize]) {
      const damaged = Uint8Array.from(file);
      damaged[start + at] = (damaged[start + at] ?? 0) ^ 2;
      await write(damaged);
      await assert.rejects(
        restored(store),
        (error) => isMillraceError(error) && error.exitCode === 4,
      );
    }
  });
}
