/**
 * The kernel's entry points. Their contract is `KernelAbi` in ../abi.ts; ../twin is the same in
 * plain TypeScript.
 *
 * Compiled by tools/build-kernel.ts into ../wasm.ts. No imports, no allocator, no exceptions: the
 * host lays out memory.
 */
import { preparePageShift, shiftBytes, update } from "./crc64";
import { RESULT_CRC, setLayout } from "./layout";
import { compressBlock } from "./lz4-compress";
import { decompressBlock } from "./lz4-decompress";

export { heapBase, resultSlot } from "./layout";
export { decodePages, encodePages, hashFrames, pageChecksums } from "./pages";
export { walFrames, walSum } from "./wal";
export { xxh32 } from "./xxh32";

export function configure(
  pageSize: usize,
  pgnos: usize,
  words: usize,
  checksums: usize,
  pageCrcs: usize,
): void {
  setLayout(pageSize, pgnos, words, checksums, pageCrcs);
  preparePageShift(pageSize);
}

/** Advances the register in the result slot over `size` bytes. */
export function crc64(at: usize, size: usize): void {
  store<u64>(RESULT_CRC, update(load<u64>(RESULT_CRC), at, size));
}

/** Advances the register in the result slot as if `high * 2^32 + low` zero bytes followed. */
export function crc64Shift(low: u32, high: u32): void {
  const count = (<u64>high << 32) | <u64>low;
  store<u64>(RESULT_CRC, shiftBytes(load<u64>(RESULT_CRC), count));
}

export function lz4Compress(src: usize, size: usize, dst: usize): u32 {
  return compressBlock(src, size, dst);
}

export function lz4Decompress(src: usize, size: usize, dst: usize, capacity: usize): i32 {
  return decompressBlock(src, size, dst, capacity);
}
