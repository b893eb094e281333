/** XXH32 with seed 0; see ../assembly/xxh32.ts. Its steps serve the streaming form as well. */
import type { TwinMemory } from "./memory.ts";

const PRIME_1 = 0x9e3779b1;
const PRIME_2 = 0x85ebca77;
const PRIME_3 = 0xc2b2ae3d;
const PRIME_4 = 0x27d4eb2f;
const PRIME_5 = 0x165667b1;

/** Bytes that one step of the four lanes takes. */
export const XXH32_STRIPE_SIZE = 16;

/** The four lanes, signed. */
export interface Xxh32Lanes {
  a: number;
  b: number;
  c: number;
  d: number;
}

export function newXxh32Lanes(): Xxh32Lanes {
  return { a: (PRIME_1 + PRIME_2) | 0, b: PRIME_2 | 0, c: 0, d: -PRIME_1 | 0 };
}

function rotate(value: number, bits: number): number {
  return (value << bits) | (value >>> (32 - bits));
}

function round(lane: number, value: number): number {
  return Math.imul(rotate(lane + Math.imul(value, PRIME_2), 13), PRIME_1);
}

/** Advances `lanes` over the whole stripes of [at, end); returns where the rest begins. */
export function xxh32Stripes(lanes: Xxh32Lanes, view: DataView, at: number, end: number): number {
  let { a, b, c, d } = lanes;
  for (; at + XXH32_STRIPE_SIZE <= end; at += XXH32_STRIPE_SIZE) {
    a = round(a, view.getInt32(at, true));
    b = round(b, view.getInt32(at + 4, true));
    c = round(c, view.getInt32(at + 8, true));
    d = round(d, view.getInt32(at + 12, true));
  }
  Object.assign(lanes, { a, b, c, d });
  return at;
}

/** The hash of `size` bytes: whole stripes are in `lanes`, fewer than 16 bytes are left in [at, end). */
export function xxh32Finish(
  lanes: Xxh32Lanes,
  size: number,
  rest: { readonly view: DataView; readonly at: number; readonly end: number },
): number {
  const { view, end } = rest;
  let { at } = rest;
  const { a, b, c, d } = lanes;
  let hash = PRIME_5;
  if (size >= XXH32_STRIPE_SIZE) hash = rotate(a, 1) + rotate(b, 7) + rotate(c, 12) + rotate(d, 18);
  hash = (hash + size) | 0;
  for (; at + 4 <= end; at += 4) {
    hash = Math.imul(rotate(hash + Math.imul(view.getInt32(at, true), PRIME_3), 17), PRIME_4);
  }
  for (; at < end; at++) {
    hash = Math.imul(rotate(hash + Math.imul(view.getUint8(at), PRIME_5), 11), PRIME_1);
  }
  hash = Math.imul(hash ^ (hash >>> 15), PRIME_2);
  hash = Math.imul(hash ^ (hash >>> 13), PRIME_3);
  return (hash ^ (hash >>> 16)) >>> 0;
}

export function xxh32(memory: TwinMemory, at: number, size: number): number {
  const { view } = memory;
  const lanes = newXxh32Lanes();
  const rest = xxh32Stripes(lanes, view, at, at + size);
  return xxh32Finish(lanes, size, { view, at: rest, end: at + size });
}
