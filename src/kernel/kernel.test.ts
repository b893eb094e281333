/** The kernel's interface on both engines: known values, and what it promises about its areas. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { SAMPLE_PAGE_SIZES, sampleBytes, samplePages } from "../testing/sample-pages.ts";
import { crcValue, defaultBatchPages, newCrc, openKernel, xorCrc } from "./kernel.ts";
import type { CrcRegister, Kernel } from "./kernel.ts";

const ENGINES = [{ twin: false }, { twin: true }] as const;

function utf8(text: string): Uint8Array {
  return new TextEncoder().encode(text);
}

function crcOf(kernel: Kernel, bytes: Uint8Array): bigint {
  const crc = newCrc();
  kernel.crc64(crc, bytes);
  return crcValue(crc);
}

/** CRC-64/ISO one bit at a time. */
function slowCrc(bytes: Uint8Array): bigint {
  let register = (1n << 64n) - 1n;
  for (const byte of bytes) {
    register ^= BigInt(byte);
    for (let bit = 0; bit < 8; bit++) {
      register = (register >> 1n) ^ (register & 1n ? 0xd800000000000000n : 0n);
    }
  }
  return register ^ ((1n << 64n) - 1n);
}

function slowPageChecksum(pgno: number, page: Uint8Array): bigint {
  const bytes = new Uint8Array(4 + page.length);
  new DataView(bytes.buffer).setUint32(0, pgno);
  bytes.set(page, 4);
  return slowCrc(bytes) | (1n << 63n);
}

for (const options of ENGINES) {
  const name = options.twin ? "twin" : "wasm";

  test(`crc64() has the check value of CRC-64/ISO (${name})`, () => {
    const kernel = openKernel({ pageSize: 512, ...options });
    assert.equal(kernel.engine, name);
    assert.equal(crcOf(kernel, utf8("123456789")), 0xb90956c775a41001n);
    assert.equal(crcOf(kernel, new Uint8Array(0)), 0n);
  });

  test(`crc64() equals the bitwise definition for every way of cutting the bytes (${name})`, () => {
    const kernel = openKernel({ pageSize: 512, ...options });
    const bytes = sampleBytes(3000, "random", 5);
    const wanted = slowCrc(bytes);
    for (const cut of [0, 1, 7, 8, 31, 512, 1023, 1024, 1025, 2048, 2999, 3000]) {
      const crc = newCrc();
      kernel.crc64(crc, bytes.subarray(0, cut));
      kernel.crc64(crc, bytes.subarray(cut));
      assert.equal(crcValue(crc), wanted, `cut at ${cut}`);
    }
  });

  test(`crc64() of foreign bytes disturbs neither input nor output (${name})`, () => {
    const kernel = openKernel({ pageSize: 512, batchPages: 2, ...options });
    kernel.input.fill(0xaa);
    kernel.output.fill(0xbb);
    const bytes = sampleBytes(100_000, "random", 6);
    assert.equal(crcOf(kernel, bytes), slowCrc(bytes));
    assert.ok(kernel.input.every((byte) => byte === 0xaa));
    assert.ok(kernel.output.every((byte) => byte === 0xbb));
  });

  test(`crc64Shift() corrects a field that was hashed before (${name})`, () => {
    const kernel = openKernel({ pageSize: 512, ...options });
    const before = sampleBytes(1000, "random", 7);
    const after = before.slice();
    after.set(utf8("changed"), 90);
    const crc = newCrc();
    kernel.crc64(crc, before);
    const change: CrcRegister = { low: 0, high: 0 };
    kernel.crc64(
      change,
      before.slice(90, 97).map((byte, i) => byte ^ (after[90 + i] ?? 0)),
    );
    kernel.crc64Shift(change, 1000 - 97);
    xorCrc(crc, change);
    assert.equal(crcValue(crc), crcOf(kernel, after));
  });

  test(`crc64Shift() equals hashing zeros, and adds up over long ways (${name})`, () => {
    const kernel = openKernel({ pageSize: 512, ...options });
    for (const count of [0, 1, 7, 512, 12345]) {
      const shifted: CrcRegister = { low: 0x1234567, high: 0x89abcdef | 0 };
      const hashed = { ...shifted };
      kernel.crc64Shift(shifted, count);
      kernel.crc64(hashed, new Uint8Array(count));
      assert.equal(crcValue(shifted), crcValue(hashed), `${count} zeros`);
    }
    const once: CrcRegister = { low: 1, high: 2 };
    const twice: CrcRegister = { low: 1, high: 2 };
    kernel.crc64Shift(once, 2 ** 40 + 5);
    kernel.crc64Shift(twice, 2 ** 39);
    kernel.crc64Shift(twice, 2 ** 39 + 5);
    assert.deepEqual(once, twice);
  });

  test(`xxh32() has the known values (${name})`, () => {
    const kernel = openKernel({ pageSize: 512, ...options });
    assert.equal(kernel.xxh32(utf8("")), 0x02cc5d05);
    assert.equal(kernel.xxh32(utf8("a")), 0x550d7456);
    assert.equal(kernel.xxh32(utf8("abc")), 0x32d153ff);
    assert.equal(kernel.xxh32(utf8("Nobody inspects the spammish repetition")), 0xe2293b2f);
  });

  test(`pageChecksums() add up to the known database checksums (${name})`, () => {
    const databases: readonly (readonly [number, readonly number[], bigint])[] = [
      [512, [1, 2, 3], 0xefffffffecd99000n],
      [1024, [0x32, 0x33], 0xe1899b6d587aaaaan],
      [512, [0x32, 0x33], 0x8b87423eeeeeeeeen],
      [512, [0x31], 0xeb1a999231044dddn],
    ];
    for (const [pageSize, fills, wanted] of databases) {
      const kernel = openKernel({ pageSize, ...options });
      fills.forEach((fill, i) => kernel.input.fill(fill, i * pageSize, (i + 1) * pageSize));
      const checksums = kernel.pageChecksums(Uint32Array.from(fills, (_, i) => i + 1));
      const sum = checksums.reduce((total, checksum) => total ^ checksum, 0n);
      assert.equal(sum | (1n << 63n), wanted);
    }
  });

  test(`pageChecksums() equals the definition at every page size, at any stride (${name})`, () => {
    for (const pageSize of SAMPLE_PAGE_SIZES) {
      const kernel = openKernel({ pageSize, batchPages: 2, ...options });
      const place = { offset: 24, stride: 24 + pageSize };
      const pgnos = Uint32Array.of(1, 0xfffffffe);
      const pages = [0, 1].map((i) => sampleBytes(pageSize, "btree", i));
      pages.forEach((page, i) => kernel.input.set(page, place.offset + i * place.stride));
      const wanted = pages.map((page, i) => slowPageChecksum(pgnos[i] ?? 0, page));
      assert.deepEqual([...kernel.pageChecksums(pgnos, place)], wanted, `page size ${pageSize}`);
    }
  });

  test(`encodePages() and decodePages() are inverse at every page size (${name})`, () => {
    for (const pageSize of SAMPLE_PAGE_SIZES) {
      for (const format of ["block", "frame"] as const) {
        const kernel = openKernel({ pageSize, batchPages: 6, ...options });
        const pages = samplePages(pageSize, 5, pageSize);
        kernel.input.set(pages);
        kernel.pgnos.set([1, 2, 7, 9, 0xffffffff]);
        const written = newCrc();
        const size = kernel.encodePages(5, format, written);
        const checksums = kernel.checksums.slice(0, 5);
        kernel.input.set(kernel.output.subarray(0, size));
        const read = newCrc();
        const run = kernel.decodePages(read, { offset: 0, size, maxCount: 6 });
        assert.deepEqual(run, { count: 5, consumed: size, stop: 0 });
        assert.deepEqual(kernel.output.subarray(0, pages.length), pages);
        assert.deepEqual([...kernel.pgnos.subarray(0, 5)], [1, 2, 7, 9, 0xffffffff]);
        assert.deepEqual(kernel.checksums.subarray(0, 5), checksums);
        assert.deepEqual(read, written);
      }
    }
  });

  test(`lz4Decompress() refuses what is longer than any block (${name})`, () => {
    const kernel = openKernel({ pageSize: 512, batchPages: 1, ...options });
    assert.equal(kernel.lz4Decompress(new Uint8Array(100_000)), undefined);
    const page = sampleBytes(512, "text", 1);
    const block = kernel.lz4Compress(page).slice();
    assert.deepEqual(kernel.lz4Decompress(block), page);
  });

  test(`calls beyond the areas are refused as bugs (${name})`, () => {
    const kernel = openKernel({ pageSize: 512, batchPages: 2, ...options });
    const bug = { code: "internal/bug" };
    assert.throws(() => kernel.encodePages(3, "block", newCrc()), bug);
    assert.throws(() => kernel.encodePages(2, "block", newCrc(), { offset: 200 }), bug);
    assert.throws(() => kernel.encodePages(1, "block", newCrc(), { offset: -1 }), bug);
    assert.throws(() => kernel.pageChecksums(new Uint32Array(3)), bug);
    const beyond = { offset: 0, size: kernel.input.length + 1, maxCount: 1 };
    assert.throws(() => kernel.decodePages(newCrc(), beyond), bug);
    assert.throws(() => kernel.decodePages(newCrc(), { offset: 0, size: 0, maxCount: 3 }), bug);
    kernel.frameSizes.fill(10_000);
    assert.throws(() => kernel.hashFrames(1, newCrc()), bug);
    assert.throws(() => openKernel({ pageSize: 1000, ...options }), bug);
    assert.throws(() => openKernel({ pageSize: 512, batchPages: 0, ...options }), bug);
  });
}

test("defaultBatchPages() holds 64 pages of 4096 bytes and at least 16 of any size", () => {
  assert.deepEqual(SAMPLE_PAGE_SIZES.map(defaultBatchPages), [256, 256, 128, 64, 32, 16, 16, 16]);
});
