/** LZ4 block decompressor, byte by byte; see ../assembly/lz4-decompress.ts. */
import { LZ4_MALFORMED } from "../abi.ts";
import type { TwinMemory } from "./memory.ts";

const MIN_MATCH = 4;
const NIBBLE_MAX = 15;

/** Address after the length bytes at `at`, or 0 when they reach `end`. */
function endOfLength(memory: TwinMemory, at: number, end: number): number {
  while (at < end) {
    if (memory.u8(at++) !== 255) return at;
  }
  return 0;
}

function lengthBetween(memory: TwinMemory, at: number, next: number): number {
  return NIBBLE_MAX + (next - at - 1) * 255 + memory.u8(next - 1);
}

export interface BlockPlace {
  readonly src: number;
  readonly size: number;
  readonly dst: number;
  readonly capacity: number;
}

/** Returns the number of bytes written, or LZ4_MALFORMED. */
export function decompressBlock(memory: TwinMemory, place: BlockPlace): number {
  const { bytes } = memory;
  const { dst } = place;
  const end = place.src + place.size;
  const limit = dst + place.capacity;
  let at = place.src;
  let out = dst;
  for (;;) {
    if (at >= end) return LZ4_MALFORMED;
    const token = memory.u8(at++);
    let length = token >> 4;
    if (length === NIBBLE_MAX) {
      const next = endOfLength(memory, at, end);
      if (next === 0) return LZ4_MALFORMED;
      length = lengthBetween(memory, at, next);
      at = next;
    }
    if (length > end - at || length > limit - out) return LZ4_MALFORMED;
    memory.copy(out, at, length);
    at += length;
    out += length;
    if (at === end) return out - dst;

    if (end - at < 2) return LZ4_MALFORMED;
    const offset = memory.u16(at);
    at += 2;
    if (offset === 0 || offset > out - dst) return LZ4_MALFORMED;
    length = token & NIBBLE_MAX;
    if (length === NIBBLE_MAX) {
      const next = endOfLength(memory, at, end);
      if (next === 0) return LZ4_MALFORMED;
      length = lengthBetween(memory, at, next);
      at = next;
    }
    length += MIN_MATCH;
    if (length > limit - out) return LZ4_MALFORMED;
    for (const stop = out + length; out < stop; out++) bytes[out] = bytes[out - offset] ?? 0;
  }
}
