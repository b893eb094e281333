import assert from "node:assert/strict";
import { test } from "node:test";
import * as fc from "fast-check";
import { propertyOptions } from "../testing/property.ts";
import { ByteReader, ByteWriter, MAX_UVARINT_SIZE, putUvarint, rows, view } from "./bytes.ts";

const ORIGIN = { code: "ltx/truncated", what: "sample" } as const;

test("view() returns exactly what was asked for or throws the caller's code", () => {
  const bytes = Uint8Array.of(1, 2, 3, 4);
  assert.deepEqual(view(bytes, 1, 2, ORIGIN), Uint8Array.of(2, 3));
  assert.deepEqual(view(bytes, 4, 0, ORIGIN), new Uint8Array(0));
  for (const [offset, size] of [
    [0, 5],
    [3, 2],
    [5, 0],
    [-1, 2],
    [0, -1],
    [0, NaN],
    [2 ** 40, 1],
  ] as const) {
    assert.throws(() => view(bytes, offset, size, ORIGIN), {
      code: "ltx/truncated",
      message: `read sample: 4 bytes, wanted ${size} at offset ${offset}`,
    });
  }
});

test("rows() borrows a range of a table and asserts that it exists", () => {
  const table = Uint32Array.of(1, 2, 3);
  rows(table, 1, 3)[0] = 9;
  assert.deepEqual(table, Uint32Array.of(1, 9, 3));
  assert.equal(rows(table, 3, 3).length, 0);
  for (const [start, end] of [
    [0, 4],
    [2, 1],
    [-1, 1],
  ] as const) {
    assert.throws(() => rows(table, start, end), { code: "internal/bug" });
  }
});

test("ByteReader reads what ByteWriter wrote, and not one byte more", () => {
  const { bytes } = new ByteWriter(26)
    .u32(0x01020304)
    .u64(0xfedcba9876543210n)
    .i64(-2n)
    .put(Uint8Array.of(0xab, 0xcd, 0, 0, 0, 7));
  const reader = new ByteReader(bytes, ORIGIN);
  assert.equal(reader.u32(), 0x01020304);
  assert.equal(reader.u64(), 0xfedcba9876543210n);
  assert.equal(reader.i64(), -2n);
  assert.equal(reader.u16(), 0xabcd);
  reader.skip(2);
  assert.throws(() => reader.u32(), { code: "ltx/truncated" });
  assert.equal(reader.u16(), 7, "a refused read moves nothing");
  assert.throws(() => reader.skip(1), { code: "ltx/truncated" });
  assert.throws(() => reader.skip(-1), { code: "ltx/truncated" });
});

test("ByteWriter asserts that what is written fits", () => {
  assert.throws(() => new ByteWriter(3).u32(1), { code: "internal/bug" });
  assert.throws(() => new ByteWriter(3).put(new Uint8Array(4)), { code: "internal/bug" });
});

test("putUvarint() writes seven bits a byte, lowest first", () => {
  const written = (value: number): number[] => {
    const bytes = new Uint8Array(MAX_UVARINT_SIZE);
    return [...bytes.subarray(0, putUvarint(bytes, 0, value))];
  };
  assert.deepEqual(written(0), [0]);
  assert.deepEqual(written(127), [127]);
  assert.deepEqual(written(128), [128, 1]);
  assert.deepEqual(written(300), [0xac, 2]);
  fc.assert(
    fc.property(fc.maxSafeNat(), (value) => {
      const back = written(value).reduceRight((sum, byte) => sum * 128n + BigInt(byte & 127), 0n);
      assert.equal(back, BigInt(value));
    }),
    propertyOptions(500),
  );
});
