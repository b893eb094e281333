/**
 * LZ4 block compressor; takes the same decisions as ../assembly/lz4-compress.ts, so both write the
 * same bytes.
 */
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

/**
 * The hash of five bytes, given as their first four and the fifth: bits 27 to 39 of their product
 * with the multiplier. Summed up by 16-bit columns, from bit 16 on; what the lowest column is worth
 * below bit 16 cannot carry.
 */
function hashOf(low: number, fifth: number): number {
  const a = low >>> 16;
  const b = low & 0xffff;
  const middle = Math.imul(a, FACTOR_LOW) + Math.imul(b, FACTOR_MID);
  const top =
    Math.imul(a, FACTOR_MID) + Math.imul(fifth, FACTOR_LOW) + Math.imul(low & 255, FACTOR_TOP);
  const column16 = (Math.imul(b, FACTOR_LOW) >>> 16) + (middle & 0xffff);
  const column32 = ((middle >>> 16) + top) << 16;
  return ((column16 + column32) >>> 11) & ((1 << HASH_BITS) - 1);
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
        this.#table[this.#hashAt(at - 2)] = at - 2 - src;
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
    const slot = this.#hashAt(at);
    const match = src + (this.#table[slot] ?? 0);
    this.#table[slot] = at - src;
    return match;
  }

  #hashAt(at: number): number {
    return hashOf(this.#memory.u32(at), this.#memory.u8(at + 4));
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
