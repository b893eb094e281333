/**
 * Every way to damage a file by one bit, by cutting it anywhere, or by adding to it.
 *
 * All must be refused, with one exception: the file checksum covers pages as they are before
 * compression, so a flip inside a compressed payload that leaves the page as it was changes nothing
 * and may pass. The test proves that each flip that passed was of that kind.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { toTxid } from "../base/ids.ts";
import { isMillraceError } from "../errors.ts";
import { openKernel } from "../kernel/kernel.ts";
import type { Kernel, PageFormat } from "../kernel/kernel.ts";
import { decodeSample, encodeSample, sampleHeader } from "../testing/ltx-samples.ts";
import { sampleBytes } from "../testing/sample-pages.ts";
import { HEADER_SIZE, PAGE_HEADER_SIZE } from "./constants.ts";
import { LtxDecoder, readLtxHeader, verifyLtx } from "./decoder.ts";
import { memorySource } from "./memory.ts";

const PAGE_SIZE = 512;

/** One page of each kind; a snapshot, or a change with holes. */
function sample(kind: "snapshot" | "change", pageFormat: PageFormat): Uint8Array {
  const pages = (["text", "zeros", "random", "periodic"] as const).map((page, i) => {
    const pgno = kind === "snapshot" ? i + 1 : 3 * i + 2;
    return [pgno, sampleBytes(PAGE_SIZE, page, i)] as const;
  });
  const commit = pages.at(-1)?.[0] ?? 0;
  const header = sampleHeader({
    pageSize: PAGE_SIZE,
    commit,
    minTxid: toTxid(kind === "snapshot" ? 1 : 9),
    maxTxid: toTxid(9),
    walOffset: 32,
    walSize: 4096,
    walSalt1: 7,
    walSalt2: 8,
  });
  return encodeSample({ header, pages: new Map(pages), pageFormat });
}

/** Refused with a code that says the file is bad, never as a bug or misuse. */
function isRefused(bytes: Uint8Array, kernel: Kernel): boolean {
  const source = memorySource(bytes);
  try {
    const fits = bytes.length >= HEADER_SIZE && readLtxHeader(source).pageSize === kernel.pageSize;
    verifyLtx(source, fits ? { kernel } : {});
    return false;
  } catch (error) {
    assert.ok(
      isMillraceError(
        error,
        "ltx/truncated",
        "ltx/invalid",
        "ltx/checksum-mismatch",
        "ltx/unsupported",
      ),
      String(error),
    );
    return true;
  }
}

/** Offsets of the payload bytes, without page headers and size fields. */
function payloadOffsets(bytes: Uint8Array, kernel: Kernel, pageFormat: PageFormat): Set<number> {
  const decoder = new LtxDecoder({ kernel, source: memorySource(bytes) });
  const offsets = new Set<number>();
  const skipped = PAGE_HEADER_SIZE + (pageFormat === "block" ? 4 : 0);
  for (let batch = decoder.next(); batch !== undefined; batch = decoder.next()) {
    let start = batch.offset;
    for (const size of batch.frameSizes) {
      for (let at = start + skipped; at < start + size; at++) offsets.add(at);
      start += size;
    }
  }
  return offsets;
}

for (const kind of ["snapshot", "change"] as const) {
  for (const pageFormat of ["block", "frame"] as const) {
    const kernel = openKernel({ pageSize: PAGE_SIZE });
    const bytes = sample(kind, pageFormat);

    test(`every truncation of a ${kind} of ${pageFormat} pages is refused`, () => {
      assert.equal(isRefused(bytes, kernel), false);
      for (let size = 0; size < bytes.length; size++) {
        assert.ok(isRefused(bytes.slice(0, size), kernel), `${size} of ${bytes.length} bytes`);
      }
    });

    test(`every flipped bit of a ${kind} of ${pageFormat} pages is refused or idle`, () => {
      const payload = payloadOffsets(bytes, kernel, pageFormat);
      const good = decodeSample(bytes, { kernel });
      let harmless = 0;
      for (let bit = 0; bit < bytes.length * 8; bit++) {
        const flipped = bytes.slice();
        const offset = bit >> 3;
        flipped[offset] = (flipped[offset] ?? 0) ^ (1 << (bit & 7));
        if (isRefused(flipped, kernel)) continue;
        assert.ok(payload.has(offset), `bit ${bit} passed outside of a payload`);
        assert.deepEqual(decodeSample(flipped, { kernel }), good, `bit ${bit}`);
        harmless += 1;
      }
      assert.ok(harmless < payload.size / 2, `${harmless} of ${payload.size * 8} bits`);
    });

    test(`bytes added to a ${kind} of ${pageFormat} pages are refused, wherever they are`, () => {
      for (const added of [1, 2, 8, 16, 24, 100]) {
        for (const at of [0, 99, 100, 106, bytes.length - 24, bytes.length - 16, bytes.length]) {
          const longer = Buffer.concat([bytes.slice(0, at), Buffer.alloc(added), bytes.slice(at)]);
          assert.ok(isRefused(longer, kernel), `${added} zeros at ${at}`);
        }
      }
      assert.ok(isRefused(Buffer.concat([bytes, bytes]), kernel), "the file twice");
    });
  }
}

test("every flipped bit behind the pages of a large file is refused", () => {
  const count = 15_000;
  const pages = new Map<number, Uint8Array>();
  for (let pgno = 1; pgno <= count; pgno++) pages.set(pgno, new Uint8Array(PAGE_SIZE));
  const header = sampleHeader({ pageSize: PAGE_SIZE, commit: count, minTxid: toTxid(1) });
  const bytes = encodeSample({ header, pages });
  const kernel = openKernel({ pageSize: PAGE_SIZE });
  assert.equal(isRefused(bytes, kernel), false);
  const indexSize = Number(new DataView(bytes.buffer).getBigUint64(bytes.length - 24));
  assert.ok(indexSize > 64 * 1024, "the index is read in several pieces");
  const start = bytes.length - 24 - indexSize - 6;
  for (let bit = start * 8; bit < bytes.length * 8; bit += 4_999) {
    const flipped = bytes.slice();
    flipped[bit >> 3] = (flipped[bit >> 3] ?? 0) ^ (1 << (bit & 7));
    assert.ok(isRefused(flipped, kernel), `bit ${bit}`);
  }
});
