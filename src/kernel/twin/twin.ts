/**
 * The kernel's hot loops in plain TypeScript: the oracle that tests compare the WebAssembly module
 * with, and what runs where WebAssembly is missing (`node --jitless`). Written for clarity; about a
 * third as fast.
 */
import type { KernelAbi, KernelLayout } from "../abi.ts";
import { shiftBytes, update } from "./crc64.ts";
import { TwinCompressor } from "./lz4-compress.ts";
import { decompressBlock } from "./lz4-decompress.ts";
import { TwinMemory } from "./memory.ts";
import { TwinPages } from "./pages.ts";
import { walFrames, walSum } from "./wal.ts";
import { xxh32 } from "./xxh32.ts";

/** A twin that works on `buffer`, with the areas at `layout` and the result slot at `slot`. */
export function createTwin(buffer: ArrayBuffer, layout: KernelLayout, slot: number): KernelAbi {
  const memory = new TwinMemory(buffer, slot);
  const compressor = new TwinCompressor(memory);
  const pages = new TwinPages(memory, layout, compressor);
  return {
    configure: () => {},
    crc64: (at, size) => {
      const register = memory.loadRegister();
      update(memory, register, at, size);
      memory.storeRegister(register);
    },
    crc64Shift: (low, high) => {
      const count = (high >>> 0) * 2 ** 32 + (low >>> 0);
      memory.storeRegister(shiftBytes(memory.loadRegister(), count));
    },
    pageChecksums: (src, stride, count) => pages.checksums(src, stride, count),
    walSum: (at, size, bigEndian) => walSum(memory, at, size, bigEndian !== 0),
    walFrames: (at, count, salt1, salt2, bigEndian) =>
      walFrames(memory, layout, { at, count, salt1, salt2, bigEndian: bigEndian !== 0 }),
    lz4Compress: (src, size, dst) => compressor.compress(src, size, dst),
    lz4Decompress: (src, size, dst, capacity) =>
      decompressBlock(memory, { src, size, dst, capacity }),
    xxh32: (at, size) => xxh32(memory, at, size),
    encodePages: (src, stride, count, legacy, dst) =>
      pages.encode(src, stride, count, legacy !== 0, dst),
    decodePages: (src, size, dst, maxCount, hashed) =>
      pages.decode(src, size, dst, maxCount, hashed !== 0),
    hashFrames: (src, count) => pages.hashFrames(src, count),
  };
}
