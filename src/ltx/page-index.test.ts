import assert from "node:assert/strict";
import { test } from "node:test";
import * as fc from "fast-check";
import { toTxid } from "../base/ids.ts";
import { maxPageFrameSize } from "../kernel/kernel.ts";
import { forgeIndex, uvarint } from "../testing/forge-ltx.ts";
import { propertyOptions } from "../testing/property.ts";
import {
  INDEX_TAIL_SIZE,
  PageIndexCursor,
  decodePageIndex,
  encodePageIndex,
  locatePageIndex,
} from "./page-index.ts";

const PAGE_SIZE = 4096;
const HEADER = { pageSize: PAGE_SIZE, commit: 2 ** 31, minTxid: toTxid(5) };

interface Entry {
  readonly pgno: number;
  readonly offset: number;
  readonly size: number;
}

/** Entries whose frames follow each other. */
const anyEntries = fc
  .array(
    fc.record({
      step: fc.oneof(
        { weight: 5, arbitrary: fc.constant(1) },
        fc.integer({ min: 2, max: 100_000 }),
      ),
      size: fc.integer({ min: 11, max: maxPageFrameSize(PAGE_SIZE) }),
    }),
    { maxLength: 300 },
  )
  .map((steps) => {
    let pgno = 0;
    let offset = 100;
    return steps.map(({ step, size }): Entry => {
      pgno += pgno + step === 262_145 ? step + 1 : step;
      offset += size;
      return { pgno, offset: offset - size, size };
    });
  });

function framesEnd(entries: readonly Entry[]): number {
  const last = entries.at(-1);
  return last === undefined ? 100 : last.offset + last.size;
}

test("encodePageIndex() writes what the format says, and decodePageIndex() reads it back", () => {
  fc.assert(
    fc.property(anyEntries, (entries) => {
      const index = {
        pgnos: Uint32Array.from(entries, ({ pgno }) => pgno),
        offsets: Float64Array.from(entries, ({ offset }) => offset),
        sizes: Uint32Array.from(entries, ({ size }) => size),
      };
      const bytes = encodePageIndex(index, PAGE_SIZE);
      assert.deepEqual(bytes, forgeIndex(entries));
      const options = { header: HEADER, framesEnd: framesEnd(entries) };
      assert.deepEqual(decodePageIndex(bytes, options), index);
    }),
    propertyOptions(200),
  );
});

test("PageIndexCursor yields the same whatever the chunks", () => {
  fc.assert(
    fc.property(anyEntries, fc.array(fc.integer({ min: 0, max: 40 })), (entries, cuts) => {
      const bytes = forgeIndex(entries);
      const cursor = new PageIndexCursor({ header: HEADER, framesEnd: framesEnd(entries) });
      const found: Entry[] = [];
      let at = 0;
      for (const size of [...cuts, bytes.length]) {
        const chunk = bytes.slice(at, at + size);
        at += chunk.length;
        const { pgnos, offsets, sizes } = cursor.push(chunk);
        for (const [i, pgno] of pgnos.entries()) {
          found.push({ pgno, offset: offsets[i] ?? 0, size: sizes[i] ?? 0 });
        }
        assert.equal(cursor.ended, at === bytes.length);
      }
      cursor.finish();
      assert.deepEqual(found, entries);
    }),
    propertyOptions(200),
  );
});

test("decodePageIndex() refuses every truncation", () => {
  const bytes = forgeIndex([
    { pgno: 1, offset: 100, size: 300 },
    { pgno: 200, offset: 400, size: 4000 },
  ]);
  for (let size = 0; size < bytes.length; size++) {
    assert.throws(() => decodePageIndex(bytes.slice(0, size), { header: HEADER }), {
      code: "ltx/truncated",
    });
  }
});

test("PageIndexCursor remembers an entry cut in two, however often", () => {
  const bytes = forgeIndex([{ pgno: 1_000_000, offset: 100, size: 4000 }]);
  const cursor = new PageIndexCursor({ header: HEADER });
  const rows = [...bytes].map((byte) => cursor.push(Uint8Array.of(byte)).pgnos.length);
  assert.equal(
    rows.reduce((sum, count) => sum + count, 0),
    1,
  );
  cursor.finish();
  assert.equal(cursor.push(new Uint8Array(0)).pgnos.length, 0);
  assert.throws(() => cursor.push(Uint8Array.of(0)), { code: "ltx/invalid" });
});

/** Each breaks one rule. Sizes and offsets fit otherwise. */
const BROKEN: readonly (readonly [string, readonly number[], RegExp])[] = [
  ["a page beyond the commit", [2 ** 31 + 1, 100, 50, 0], /beyond the commit/],
  ["the lock page", [262_145, 100, 50, 0], /the lock page/],
  ["a page twice", [3, 100, 50, 3, 150, 50, 0], /page 3 after page 3/],
  ["descending pages", [3, 100, 50, 2, 150, 50, 0], /page 2 after page 3/],
  ["a first frame inside the header", [3, 99, 50, 0], /page 3 at offset 99, wanted 100/],
  ["a gap between frames", [3, 100, 50, 4, 151, 50, 0], /page 4 at offset 151, wanted 150/],
  ["overlapping frames", [3, 100, 50, 4, 149, 50, 0], /page 4 at offset 149, wanted 150/],
  ["a frame without payload", [3, 100, 10, 0], /a frame of 10 bytes, wanted 11 to 4138/],
  ["a frame longer than any", [3, 100, 4139, 0], /a frame of 4139 bytes, wanted 11 to 4138/],
  ["a huge frame", [3, 100, 2 ** 45, 0], /a frame of 35184372088832 bytes/],
];

for (const [name, numbers, message] of BROKEN) {
  test(`decodePageIndex() refuses ${name}`, () => {
    const bytes = Uint8Array.from(numbers.flatMap(uvarint));
    assert.throws(() => decodePageIndex(bytes, { header: HEADER }), {
      code: "ltx/invalid",
      message,
    });
  });
}

test("decodePageIndex() refuses frames that end elsewhere than the file says", () => {
  const bytes = forgeIndex([{ pgno: 1, offset: 100, size: 300 }]);
  for (const end of [399, 401]) {
    assert.throws(() => decodePageIndex(bytes, { header: HEADER, framesEnd: end }), {
      code: "ltx/invalid",
    });
  }
});

test("decodePageIndex() allocates by the bytes it was given, not by what they say", () => {
  const bytes = new Uint8Array(3_000).fill(0xff);
  assert.throws(() => decodePageIndex(bytes, { header: HEADER }), {
    code: "ltx/invalid",
    message: /too long or padded/,
  });
});

test("locatePageIndex() finds the index from the end of the file and bounds its size", () => {
  const tail = Buffer.alloc(INDEX_TAIL_SIZE);
  tail.writeBigUInt64BE(40n, 0);
  assert.deepEqual(locatePageIndex(tail, 1000), { offset: 936, size: 40, framesEnd: 930 });
  tail.writeBigUInt64BE(870n, 0);
  assert.deepEqual(locatePageIndex(tail, 1000), { offset: 106, size: 870, framesEnd: 100 });
  for (const size of [0n, 871n, 2n ** 63n]) {
    tail.writeBigUInt64BE(size, 0);
    assert.throws(() => locatePageIndex(tail, 1000), { code: "ltx/invalid" });
  }
  assert.throws(() => locatePageIndex(tail, 130), { code: "ltx/truncated" });
  assert.throws(() => locatePageIndex(tail.subarray(1), 1000), { code: "ltx/truncated" });
});
