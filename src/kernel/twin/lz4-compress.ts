/** LZ4 block compressor; takes the same decisions as ../assembly/lz4-compress.ts, so both write the same bytes. */
import type { TwinMemory } from "./memory.ts";

const HASH_BITS = 13;
const MIN_MATCH = 4;
const LAST_LITERALS = 5;
const MATCH_GUARD = 12;
const NIBBLE_MAX = 15;
const SEARCH_PATIENCE = 6;

/** The multiplier 889523592379 in pieces: bits 32 to 39, 16 to 31 and 0 to 15. */
const FACTOR_TOP = 0xcf;
const FACTOR_MID = 0x1bbc;
const FACTOR_LOW = 0xdcbb;
const TWO_TO_16 = 2 ** 16;
const TWO_TO_27 = 2 ** 27;
const TWO_TO_32 = 2 ** 32;

/** The hash of the five bytes at `at`: bits 27 to 39 of their product with the multiplier. */
function hashAt(memory: TwinMemory, at: number): number {
  const low = memory.u32(at);
  const a = low >>> 16;
  const b = low & 0xffff;
  const middle = (a * FACTOR_LOW + b * FACTOR_MID) % 2 ** 24;
  const fifth = memory.u8(at + 4) * (FACTOR_MID * TWO_TO_16 + FACTOR_LOW);
  const top = (a * FACTOR_MID + fifth + (low & 255) * FACTOR_TOP) % 256;
  const product = b * FACTOR_LOW + middle * TWO_TO_16 + top * TWO_TO_32;
  return Math.floor(product / TWO_TO_27) & ((1 << HASH_BITS) - 1);
}

export class TwinCompressor {
  readonly #memory: TwinMemory;
  readonly #table = new Uint16Array(1 << HASH_BITS);

  constructor(memory: TwinMemory) {
    this.#memory = memory;
  }

  /** Compresses [src, src + size) to `dst`; returns the block's size. */
  compress(src: number, size: number, dst: number): number {
    const end = src + size;
    if (size <= MATCH_GUARD) return this.#storeLiterals(dst, src, end) - dst;
    this.#table.fill(0);
    const lastMatch = end - MATCH_GUARD;
    let literals = src;
    let token = dst;
    let at = src + 1;
    for (;;) {
      const found = this.#search(src, at, lastMatch);
      if (found === undefined) return this.#storeLiterals(token, literals, end) - dst;
      let { match } = found;
      at = found.at;
      while (at > literals && match > src && this.#same(at - 1, match - 1)) {
        at--;
        match--;
      }
      let out = this.#storeLiterals(token, literals, at);
      for (;;) {
        const stop = this.#endOfMatch(at + MIN_MATCH, match + MIN_MATCH, end - LAST_LITERALS);
        out = this.#storeMatch(token, out, at - match, stop - at - MIN_MATCH);
        at = stop;
        literals = at;
        token = out;
        if (at > lastMatch) return this.#storeLiterals(token, literals, end) - dst;
        this.#table[hashAt(this.#memory, at - 2)] = at - 2 - src;
        match = this.#exchange(src, at);
        if (this.#memory.u32(match) !== this.#memory.u32(at) || match >= at) break;
        this.#memory.bytes[token] = 0;
        out = token + 1;
      }
      at += 1;
      if (at > lastMatch) return this.#storeLiterals(token, literals, end) - dst;
    }
  }

  /** The next position whose four bytes occurred before; the step widens while nothing is found. */
  #search(src: number, from: number, lastMatch: number): { at: number; match: number } | undefined {
    let attempts = 1 << SEARCH_PATIENCE;
    let at = from;
    for (;;) {
      const probe = at + (attempts >> SEARCH_PATIENCE);
      attempts += 1;
      if (probe > lastMatch) return undefined;
      const match = this.#exchange(src, at);
      if (this.#memory.u32(match) === this.#memory.u32(at)) return { at, match };
      at = probe;
    }
  }

  /** Enters position `at` into the table; returns the position that was there. */
  #exchange(src: number, at: number): number {
    const slot = hashAt(this.#memory, at);
    const match = src + (this.#table[slot] ?? 0);
    this.#table[slot] = at - src;
    return match;
  }

  #same(a: number, b: number): boolean {
    return this.#memory.bytes[a] === this.#memory.bytes[b];
  }

  #endOfMatch(at: number, other: number, limit: number): number {
    while (at < limit && this.#same(at, other)) {
      at++;
      other++;
    }
    return at;
  }

  #storeLength(at: number, rest: number): number {
    const { bytes } = this.#memory;
    for (; rest >= 255; rest -= 255) bytes[at++] = 255;
    bytes[at++] = rest;
    return at;
  }

  #storeLiterals(token: number, from: number, to: number): number {
    const size = to - from;
    let at = token + 1;
    this.#memory.bytes[token] = Math.min(size, NIBBLE_MAX) << 4;
    if (size >= NIBBLE_MAX) at = this.#storeLength(at, size - NIBBLE_MAX);
    this.#memory.copy(at, from, size);
    return at + size;
  }

  #storeMatch(token: number, at: number, offset: number, rest: number): number {
    this.#memory.setU16(at, offset);
    this.#memory.bytes[token] = this.#memory.u8(token) | Math.min(rest, NIBBLE_MAX);
    return rest >= NIBBLE_MAX ? this.#storeLength(at + 2, rest - NIBBLE_MAX) : at + 2;
  }
}
