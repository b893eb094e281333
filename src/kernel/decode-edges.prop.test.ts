/**
 * Decoding at the edges: blocks and frames that are built, not compressed, so that lengths and
 * offsets lie exactly at, just below and just above what is allowed. A plain model of the format
 * says what must come out.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import * as fc from "fast-check";
import { type Pair, pairFor } from "../testing/kernel-pair.ts";
import { propertyOptions } from "../testing/property.ts";
import { sampleBytes } from "../testing/sample-pages.ts";
import { DECODE_STOP, LZ4_MALFORMED, RESULT_SLOT, lz4BlockBound } from "./abi.ts";

interface Sequence {
  readonly literals: number;
  readonly offset: number;
  readonly match: number;
}

function extraLength(rest: number): number[] {
  return [...Array.from({ length: Math.floor(rest / 255) }, () => 255), rest % 255];
}

/**
 * Spells sequences as an LZ4 block. Literals count upwards, so that every byte tells where it came
 * from.
 */
function spellBlock(sequences: readonly Sequence[], lastLiterals: number): number[] {
  const block: number[] = [];
  let literal = 0;
  const put = (literals: number, match: number): void => {
    const high = Math.min(literals, 15);
    const low = match < 0 ? 0 : Math.min(match, 15);
    block.push((high << 4) | low);
    if (high === 15) block.push(...extraLength(literals - 15));
    for (let i = 0; i < literals; i++) block.push(literal++ & 255);
  };
  for (const { literals, offset, match } of sequences) {
    put(literals, match - 4);
    block.push(offset & 255, offset >> 8);
    if (match - 4 >= 15) block.push(...extraLength(match - 4 - 15));
  }
  put(lastLiterals, -1);
  return block;
}

/** What the block means, or `undefined` when an offset points before its start. */
function modelOutput(sequences: readonly Sequence[], lastLiterals: number): number[] | undefined {
  const out: number[] = [];
  let literal = 0;
  const take = (count: number): void => {
    for (let i = 0; i < count; i++) out.push(literal++ & 255);
  };
  for (const { literals, offset, match } of sequences) {
    take(literals);
    if (offset === 0 || offset > out.length) return undefined;
    for (let i = 0; i < match; i++) out.push(out[out.length - offset] ?? 0);
  }
  take(lastLiterals);
  return out;
}

const anySequence = fc.record({
  literals: fc.oneof(fc.nat(20), fc.constantFrom(14, 15, 16, 269, 270, 271)),
  offset: fc.oneof(fc.nat(40), fc.nat(700)),
  match: fc.oneof(fc.integer({ min: 4, max: 60 }), fc.constantFrom(18, 19, 20, 273, 274, 275)),
});

test("lz4Decompress() does what the format says at every length, offset and capacity", () => {
  fc.assert(
    fc.property(
      fc.array(anySequence, { maxLength: 5 }),
      fc.nat(40),
      fc.integer({ min: -20, max: 20 }),
      (sequences, lastLiterals, spare) => {
        const pair = pairFor(4096);
        const { input, output } = pair.layout;
        const block = Uint8Array.from(spellBlock(sequences, lastLiterals));
        const wanted = modelOutput(sequences, lastLiterals);
        const capacity = Math.max(0, (wanted?.length ?? 600) + spare);
        pair.put(input, block);
        const size = pair.call((abi) => abi.lz4Decompress(input, block.length, output, capacity));
        if (wanted === undefined || wanted.length > capacity) {
          assert.equal(size, LZ4_MALFORMED);
        } else {
          assert.deepEqual([...pair.wasm.range(output, size)], wanted);
          pair.expectSame(output, size, "bytes");
        }
        pair.expectUntouchedBut(output, capacity);
      },
    ),
    propertyOptions(3000),
  );
});

interface Part {
  /** Bytes of the page that the block holds. */
  readonly size: number;
  readonly stored: boolean;
  /** Added to the block's size field. */
  readonly lie: number;
}

const PAGE_SIZE = 512;
const DESCRIPTOR = [0x04, 0x22, 0x4d, 0x18, 0x64, 0x40, 0xa7];

function u32le(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(value >>> 0);
  return bytes;
}

/** A legacy frame whose blocks are `parts`, over a page that repeats as needed. */
function spellFrame(pair: Pair, parts: readonly Part[], page: Uint8Array): Buffer {
  const { input, output } = pair.layout;
  const pieces: Uint8Array[] = [Buffer.from([0, 0, 0, 9, 0, 0, ...DESCRIPTOR])];
  let at = 0;
  for (const { size, stored, lie } of parts) {
    const bytes = Uint8Array.from({ length: size }, (_, i) => page[(at + i) % page.length] ?? 0);
    pair.put(input, bytes);
    const blockSize = pair.wasm.engine.abi.lz4Compress(input, size, output);
    const block = stored ? bytes : Uint8Array.from(pair.wasm.range(output, blockSize));
    pieces.push(u32le((block.length + lie) | (stored ? 0x80000000 : 0)), block);
    at += size;
  }
  pair.put(input, page);
  const sum = pair.wasm.engine.abi.xxh32(input, page.length);
  return Buffer.concat([...pieces, u32le(0), u32le(sum)]);
}

test("decodePages() takes a legacy frame exactly when its blocks make one page", () => {
  const anyPart = fc.record({
    size: fc.oneof(fc.integer({ min: 1, max: 200 }), fc.constantFrom(256, 511, 512, 513, 520)),
    stored: fc.boolean(),
    lie: fc.constant(0),
  });
  fc.assert(
    fc.property(fc.array(anyPart, { maxLength: 4 }), fc.boolean(), (parts, fillUp) => {
      const pair = pairFor(PAGE_SIZE);
      const sum = parts.reduce((total, { size }) => total + size, 0);
      const rest = { size: PAGE_SIZE - sum, stored: true, lie: 0 };
      const blocks = fillUp && rest.size > 0 ? [...parts, rest] : parts;
      const total = blocks.reduce((size, part) => size + part.size, 0);
      const page = sampleBytes(PAGE_SIZE, "text", sum);
      const frame = spellFrame(pair, blocks, page);
      fc.pre(frame.length <= pair.layout.inputSize);
      const stop = expectSameDecoding(pair, frame);
      assert.equal(stop, total === PAGE_SIZE ? DECODE_STOP.done : DECODE_STOP.badPayload);
    }),
    propertyOptions(500),
  );
});

test("decodePages() names what is wrong with a size field", () => {
  const page = sampleBytes(PAGE_SIZE, "random", 1);
  const pair = pairFor(PAGE_SIZE);
  const bound = lz4BlockBound(PAGE_SIZE);
  const whole = { size: PAGE_SIZE, stored: true };
  const empty = { size: 0, stored: true, lie: 0 };
  const cases: readonly (readonly [string, readonly Part[], number])[] = [
    ["a stored block as long as the page", [{ ...whole, lie: 0 }], DECODE_STOP.done],
    ["a stored block one longer", [{ ...whole, lie: 1 }], DECODE_STOP.badPayload],
    [
      "a stored block up to the bound",
      [{ ...whole, lie: bound - PAGE_SIZE }],
      DECODE_STOP.incomplete,
    ],
    [
      "a stored block above the bound",
      [{ ...whole, lie: bound - PAGE_SIZE + 1 }],
      DECODE_STOP.badSize,
    ],
    ["an empty stored block", [empty, { ...whole, lie: 0 }], DECODE_STOP.badSize],
    [
      "a compressed block that is cut off",
      [{ ...whole, stored: false, lie: -1 }],
      DECODE_STOP.badPayload,
    ],
  ];
  for (const [name, parts, wanted] of cases) {
    assert.equal(expectSameDecoding(pair, spellFrame(pair, parts, page)), wanted, name);
  }
});

test("decodePages() bounds the size of a block frame before it looks for the bytes", () => {
  const pair = pairFor(PAGE_SIZE);
  const bound = lz4BlockBound(PAGE_SIZE);
  const frame = (size: number, available: number): Buffer => {
    const bytes = Buffer.alloc(10 + available);
    bytes.writeUInt32BE(5, 0);
    bytes.writeUInt16BE(1, 4);
    bytes.writeUInt32BE(size, 6);
    return bytes;
  };
  assert.equal(expectSameDecoding(pair, frame(bound, bound - 1)), DECODE_STOP.incomplete);
  assert.equal(expectSameDecoding(pair, frame(bound + 1, 0)), DECODE_STOP.badSize);
  assert.equal(expectSameDecoding(pair, frame(0xffffffff, bound)), DECODE_STOP.badSize);
  assert.equal(expectSameDecoding(pair, frame(0, 0)), DECODE_STOP.badPayload);
  for (let size = 1; size < 10; size++) {
    const short = frame(bound, 0).subarray(0, size);
    assert.equal(expectSameDecoding(pair, short), DECODE_STOP.incomplete, `${size} bytes`);
  }
});

test("decodePages() finds every proper prefix of a frame incomplete", () => {
  const pair = pairFor(PAGE_SIZE);
  const page = sampleBytes(PAGE_SIZE, "text", 3);
  const parts = [
    { size: 100, stored: true, lie: 0 },
    { size: PAGE_SIZE - 100, stored: false, lie: 0 },
  ];
  const legacy = spellFrame(pair, parts, page);
  const { input, output } = pair.layout;
  const size = pair.call((abi) => abi.encodePages(input, PAGE_SIZE, 1, 0, output));
  for (const frame of [legacy, Buffer.from(pair.wasm.range(output, size))]) {
    assert.equal(expectSameDecoding(pair, frame), DECODE_STOP.done);
    for (let length = 1; length < frame.length; length++) {
      const stop = expectSameDecoding(pair, frame.subarray(0, length));
      assert.equal(stop, DECODE_STOP.incomplete, `${length} of ${frame.length} bytes`);
    }
  }
});

test("decodePages() tells the end of pages from flags that do not exist", () => {
  const pair = pairFor(PAGE_SIZE);
  const stopAt = (pgno: number, flags: number): number => {
    const bytes = Buffer.alloc(64);
    bytes.writeUInt32BE(pgno, 0);
    bytes.writeUInt16BE(flags, 4);
    return expectSameDecoding(pair, bytes);
  };
  assert.equal(stopAt(0, 0), DECODE_STOP.endMarker);
  assert.equal(stopAt(0, 1), DECODE_STOP.badFlags);
  assert.equal(stopAt(1, 2), DECODE_STOP.badFlags);
  assert.equal(stopAt(1, 0x100), DECODE_STOP.badFlags);
  assert.equal(stopAt(1, 0x8001), DECODE_STOP.badFlags);
});

/** Decodes bytes that are one frame or less with both engines; returns why they stopped. */
function expectSameDecoding(pair: Pair, bytes: Uint8Array): number {
  const { input, output, pageSize } = pair.layout;
  pair.reset();
  pair.put(input, bytes);
  const count = pair.call((abi) => abi.decodePages(input, bytes.length, output, 1, 1));
  pair.expectSameRows(count);
  pair.expectSame(output, count * pageSize, "pages");
  pair.expectSameSlot(RESULT_SLOT.consumed, RESULT_SLOT.stop);
  pair.expectUntouchedBut(output, pageSize);
  return pair.wasm.slot(RESULT_SLOT.stop);
}
