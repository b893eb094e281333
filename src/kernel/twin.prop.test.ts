/** The WebAssembly module against its twin, address by address, on good and on damaged input. */
import assert from "node:assert/strict";
import { test } from "node:test";
import * as fc from "fast-check";
import { BATCH_PAGES, type Pair, pairFor } from "../testing/kernel-pair.ts";
import { propertyOptions } from "../testing/property.ts";
import { SAMPLE_KINDS, SAMPLE_PAGE_SIZES, sampleBytes } from "../testing/sample-pages.ts";
import { DECODE_STOP, LZ4_MALFORMED, RESULT_SLOT, lz4BlockBound } from "./abi.ts";

const anyPageSize = fc.constantFrom(...SAMPLE_PAGE_SIZES);
const anyKind = fc.constantFrom(...SAMPLE_KINDS);
const anyU32 = fc.nat({ max: 0xffffffff });
const anyPages = fc.record({
  pageSize: anyPageSize,
  kinds: fc.array(anyKind, { minLength: 1, maxLength: BATCH_PAGES }),
  seed: anyU32,
});

/** Positions are fractions of what is damaged, so that they shrink well for every size. */
const anyDamage = fc.record({
  flips: fc.array(fc.record({ at: fc.double({ min: 0, max: 1, noNaN: true }), bit: fc.nat(7) }), {
    maxLength: 3,
  }),
  keep: fc.oneof(fc.constant(1), fc.double({ min: 0, max: 1, noNaN: true })),
});

interface Damage {
  readonly flips: readonly { readonly at: number; readonly bit: number }[];
  readonly keep: number;
}

function damaged(bytes: Uint8Array, damage: Damage): Uint8Array {
  const result = bytes.slice(0, Math.round(bytes.length * damage.keep));
  for (const { at, bit } of damage.flips) {
    const offset = Math.min(result.length - 1, Math.floor(at * result.length));
    if (offset >= 0) result[offset] = (result[offset] ?? 0) ^ (1 << bit);
  }
  return result;
}

test("crc64() and crc64Shift() agree for any register, length and alignment", () => {
  fc.assert(
    fc.property(
      fc.nat(6000),
      fc.nat(7),
      anyU32,
      anyU32,
      fc.nat(2 ** 21 - 1),
      (size, align, low, high, tail) => {
        const pair = pairFor(4096);
        pair.setSlot(RESULT_SLOT.crc, low);
        pair.setSlot(RESULT_SLOT.crc + 4, high);
        pair.call((abi) => abi.crc64(pair.layout.input + align, size));
        pair.expectSameSlot(RESULT_SLOT.crc, RESULT_SLOT.crc + 4);
        pair.call((abi) => abi.crc64Shift(low, tail));
        pair.expectSameSlot(RESULT_SLOT.crc, RESULT_SLOT.crc + 4);
      },
    ),
    propertyOptions(200),
  );
});

test("crc64() agrees around every edge of its long path", () => {
  const pair = pairFor(65536);
  for (const edge of [0, 8, 1024, 1056, 16384, 16416, 17408, 32768, 65536]) {
    for (let size = Math.max(0, edge - 9); size <= edge + 9; size++) {
      pair.setSlot(RESULT_SLOT.crc, 0x12345678);
      pair.call((abi) => abi.crc64(pair.layout.input, size));
      pair.expectSameSlot(RESULT_SLOT.crc, RESULT_SLOT.crc + 4);
    }
  }
});

test("xxh32() agrees for any length and alignment", () => {
  fc.assert(
    fc.property(fc.nat(5000), fc.nat(7), (size, align) => {
      const pair = pairFor(4096);
      pair.call((abi) => abi.xxh32(pair.layout.input + align, size) >>> 0);
    }),
    propertyOptions(200),
  );
});

test("lz4Compress() writes the same block, which both turn back into the same bytes", () => {
  fc.assert(
    fc.property(anyPageSize, fc.nat(65536), anyKind, anyU32, (pageSize, length, kind, seed) => {
      const pair = pairFor(pageSize);
      const { input, output } = pair.layout;
      const size = Math.min(length, pageSize);
      const bytes = sampleBytes(size, kind, seed);
      pair.put(input, bytes);
      const blockSize = pair.call((abi) => abi.lz4Compress(input, size, output));
      assert.ok(blockSize <= lz4BlockBound(size));
      pair.expectSame(output, blockSize, "block");
      pair.expectUntouchedBut(output, lz4BlockBound(size));

      const block = Uint8Array.from(pair.wasm.range(output, blockSize));
      pair.reset();
      pair.put(input, block);
      const back = pair.call((abi) => abi.lz4Decompress(input, blockSize, output, size));
      assert.equal(back, size);
      assert.ok(pair.wasm.range(output, size).equals(bytes));
      pair.expectSame(output, size, "bytes");
      pair.expectUntouchedBut(output, size);
    }),
    propertyOptions(300),
  );
});

test("lz4Decompress() agrees on damaged blocks and stays inside its capacity", () => {
  fc.assert(
    fc.property(
      fc.constantFrom(512, 4096, 65536),
      anyKind,
      anyU32,
      anyDamage,
      fc.double({ min: 0, max: 1, noNaN: true }),
      (pageSize, kind, seed, damage, room) => {
        const pair = pairFor(pageSize);
        const { input, output } = pair.layout;
        pair.put(input, sampleBytes(pageSize, kind, seed));
        const size = pair.call((abi) => abi.lz4Compress(input, pageSize, output));
        const block = damaged(pair.wasm.range(output, size), damage);
        const capacity = Math.round(pageSize * (damage.keep === 1 ? 1 : room));
        expectSameDecompression(pair, block, capacity);
      },
    ),
    propertyOptions(1000),
  );
});

test("lz4Decompress() agrees on arbitrary bytes", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 300 }), fc.nat(512), (block, capacity) => {
      expectSameDecompression(pairFor(512), block, capacity);
    }),
    propertyOptions(3000),
  );
});

function expectSameDecompression(pair: Pair, block: Uint8Array, capacity: number): void {
  const { input, output } = pair.layout;
  pair.reset();
  pair.put(input, block);
  const size = pair.call((abi) => abi.lz4Decompress(input, block.length, output, capacity));
  if (size !== LZ4_MALFORMED) pair.expectSame(output, size, "bytes");
  pair.expectUntouchedBut(output, capacity);
}

/** Lays pages and page numbers into the pair and encodes them; returns the frames. */
function encode(
  pair: Pair,
  pages: { readonly kinds: readonly (typeof SAMPLE_KINDS)[number][]; readonly seed: number },
  legacy: boolean,
): Uint8Array {
  const { layout } = pair;
  const count = pages.kinds.length;
  pages.kinds.forEach((kind, i) => {
    const page = sampleBytes(layout.pageSize, kind, pages.seed + i);
    pair.put(layout.input + i * layout.pageSize, page);
  });
  pair.putU32(
    layout.pgnos,
    pages.kinds.map((_, i) => ((pages.seed % 1000) + 7 * i + 1) >>> 0),
  );
  pair.setSlot(RESULT_SLOT.crc, pages.seed);
  pair.setSlot(RESULT_SLOT.crc + 4, ~pages.seed);
  const size = pair.call((abi) =>
    abi.encodePages(layout.input, layout.pageSize, count, legacy ? 1 : 0, layout.output),
  );
  return Uint8Array.from(pair.wasm.range(layout.output, size));
}

test("encodePages() and pageChecksums() agree in every table, byte and register", () => {
  fc.assert(
    fc.property(anyPages, fc.boolean(), (pages, legacy) => {
      const pair = pairFor(pages.pageSize);
      const { layout } = pair;
      const frames = encode(pair, pages, legacy);
      pair.expectSame(layout.output, frames.length, "frames");
      pair.expectSameRows(pages.kinds.length);
      pair.expectSameSlot(RESULT_SLOT.crc, RESULT_SLOT.crc + 4);
      pair.expectUntouchedBut(layout.output, layout.outputSize);

      const checksums = Uint8Array.from(pair.wasm.range(layout.checksums, 24));
      pair.call((abi) => abi.pageChecksums(layout.input, layout.pageSize, pages.kinds.length));
      pair.expectSameRows(pages.kinds.length);
      assert.ok(pair.wasm.range(layout.checksums, 24).equals(checksums));
    }),
    propertyOptions(200),
  );
});

test("decodePages() agrees on good and damaged frames and stays inside its output", () => {
  fc.assert(
    fc.property(
      anyPages,
      fc.boolean(),
      anyDamage,
      fc.nat(BATCH_PAGES),
      fc.nat(1),
      (pages, legacy, damage, max, hashed) => {
        const pair = pairFor(pages.pageSize);
        const { layout } = pair;
        const good = encode(pair, pages, legacy);
        const frames = damaged(good, damage);
        pair.reset();
        pair.put(layout.input, frames.slice(0, layout.inputSize));
        const given = Math.min(frames.length, layout.inputSize);
        pair.setSlot(RESULT_SLOT.crc, pages.seed);
        const count = pair.call((abi) =>
          abi.decodePages(layout.input, given, layout.output, max, hashed),
        );
        pair.expectSameRows(count);
        pair.expectSame(layout.output, count * layout.pageSize, "pages");
        const { crc, consumed, stop } = RESULT_SLOT;
        pair.expectSameSlot(crc, crc + 4, consumed, stop);
        pair.expectUntouchedBut(layout.output, Math.min(max, count + 1) * layout.pageSize);
        if (damage.flips.length === 0 && damage.keep === 1 && given === frames.length) {
          assert.equal(count, Math.min(max, pages.kinds.length));
          assert.equal(pair.wasm.slot(stop), DECODE_STOP.done);
        }
      },
    ),
    propertyOptions(800),
  );
});

test("hashFrames() leaves what encoding the same pages had left", () => {
  fc.assert(
    fc.property(anyPages, fc.boolean(), (pages, legacy) => {
      const pair = pairFor(pages.pageSize);
      const { layout } = pair;
      const frames = encode(pair, pages, legacy);
      if (frames.length > layout.inputSize) return;
      const halves = [RESULT_SLOT.crc, RESULT_SLOT.crc + 4];
      const wanted = halves.map((half) => pair.wasm.slot(half));
      const checksumsSize = 8 * pages.kinds.length;
      const checksums = Buffer.from(pair.wasm.range(layout.checksums, checksumsSize));
      pair.put(layout.input, frames);
      pair.put(layout.checksums, new Uint8Array(checksumsSize));
      pair.setSlot(RESULT_SLOT.crc, pages.seed);
      pair.setSlot(RESULT_SLOT.crc + 4, ~pages.seed);
      pair.call((abi) => abi.hashFrames(layout.input, pages.kinds.length));
      for (const machine of pair.both) {
        const found = halves.map((half) => machine.slot(half));
        assert.deepEqual(found, wanted);
        assert.ok(machine.range(layout.checksums, checksumsSize).equals(checksums));
      }
    }),
    propertyOptions(100),
  );
});

test("walSum() and walFrames() agree in both byte orders, whatever is damaged", () => {
  fc.assert(
    fc.property(
      fc.constantFrom(512, 4096, 65536),
      fc.boolean(),
      anyU32,
      fc.option(fc.record({ at: fc.double({ min: 0, max: 1, noNaN: true }), bit: fc.nat(7) })),
      (pageSize, bigEndian, seed, flip) => {
        const pair = pairFor(pageSize);
        const { layout } = pair;
        const frameSize = 24 + pageSize;
        const frames = walFrames(pageSize, bigEndian, seed);
        if (flip !== null) {
          const at = Math.min(frames.length - 1, Math.floor(flip.at * frames.length));
          frames[at] = (frames[at] ?? 0) ^ (1 << flip.bit);
        }
        pair.put(layout.input, frames);
        pair.setSlot(RESULT_SLOT.walSum, seed);
        pair.setSlot(RESULT_SLOT.walSum + 4, ~seed);
        const flag = bigEndian ? 1 : 0;
        const held = pair.call((abi) => abi.walFrames(layout.input, BATCH_PAGES, 11, seed, flag));
        pair.expectSameSlot(RESULT_SLOT.walSum, RESULT_SLOT.walSum + 4);
        pair.expectSame(layout.pgnos, 4 * held, "page numbers");
        pair.expectSame(layout.words, 4 * held, "commits");
        const broken =
          flip === null ? BATCH_PAGES : Math.floor((flip.at * frames.length) / frameSize);
        assert.ok(held >= Math.min(broken, BATCH_PAGES - 1) || held === broken);
        if (flip === null) assert.equal(held, BATCH_PAGES);
        else assert.ok(held < BATCH_PAGES);
      },
    ),
    propertyOptions(200),
  );
});

/** A plain reading of SQLite's description of the frame checksum. */
function walFrames(pageSize: number, bigEndian: boolean, seed: number): Uint8Array {
  const frames = Buffer.alloc(BATCH_PAGES * (24 + pageSize));
  let s0 = seed >>> 0;
  let s1 = ~seed >>> 0;
  const add = (bytes: Buffer): void => {
    for (let at = 0; at < bytes.length; at += 8) {
      const x0 = bigEndian ? bytes.readUInt32BE(at) : bytes.readUInt32LE(at);
      const x1 = bigEndian ? bytes.readUInt32BE(at + 4) : bytes.readUInt32LE(at + 4);
      s0 = (s0 + x0 + s1) >>> 0;
      s1 = (s1 + x1 + s0) >>> 0;
    }
  };
  for (let i = 0; i < BATCH_PAGES; i++) {
    const frame = frames.subarray(i * (24 + pageSize), (i + 1) * (24 + pageSize));
    frame.set(sampleBytes(pageSize, "btree", seed + i), 24);
    frame.writeUInt32BE(i + 1, 0);
    frame.writeUInt32BE(i * 5, 4);
    frame.writeUInt32BE(11, 8);
    frame.writeUInt32BE(seed >>> 0, 12);
    add(frame.subarray(0, 8));
    add(frame.subarray(24));
    frame.writeUInt32BE(s0, 16);
    frame.writeUInt32BE(s1, 20);
  }
  return frames;
}
