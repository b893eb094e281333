/**
 * LZ4 block compressor for single pages, up to 65,536 bytes.
 *
 * One greedy pass with a hash table of u16 positions. It never gives up: a page that does not
 * compress becomes one run of literals, a little longer than the page, because an LTX page block
 * has no stored mode. Any valid block serves (the file's checksum covers decompressed bytes), so
 * the output is tuned for speed on 4 KB pages: the table is cleared for every page, which is
 * cheaper than one unpredictable branch in the search, and five bytes are hashed, not four.
 *
 * Source: the LZ4 block format description (lz4/lz4 doc `lz4_Block_format.md`): the last five bytes
 * are literals and the last match starts at least twelve bytes before the end.
 */

const HASH_BITS: u32 = 13;
const TABLE_SIZE: usize = 2 << 13;
/**
 * Position + 0 of the last sequence seen with each hash; 0 where none was, which is a valid
 * candidate to compare.
 */
const TABLE: usize = memory.data(2 << 13, 16);

const MIN_MATCH: usize = 4;
const LAST_LITERALS: usize = 5;
const MATCH_GUARD: usize = 12;
/** Largest length that fits a token's nibble; what exceeds it follows in bytes. */
const NIBBLE_MAX: usize = 15;
/** The search widens its step by one for every 64 positions without a match. */
const SEARCH_PATIENCE: usize = 6;

/** Table slot of the five bytes at the start of `value`. */
// @ts-ignore: decorator
@inline
function slotOf(value: u64): usize {
  return TABLE + (<usize>(((value << 24) * 889523592379) >> (64 - HASH_BITS)) << 1);
}

/**
 * Writes the bytes that follow a full nibble; `rest` is the length beyond it. Returns the address
 * after them.
 */
// @ts-ignore: decorator
@inline
function storeLength(at: usize, rest: usize): usize {
  for (; rest >= 255; rest -= 255) store<u8>(at++, 255);
  store<u8>(at++, rest);
  return at;
}

/** Copies [from, from + size) in steps of 16, so up to 15 bytes more are read and written. */
// @ts-ignore: decorator
@inline
function copyLoosely(to: usize, from: usize, size: usize): void {
  const end = to + size;
  do {
    v128.store(to, v128.load(from));
    to += 16;
    from += 16;
  } while (to < end);
}

/** Starts a sequence at `token` with the literals [from, to). Returns the address after them. */
// @ts-ignore: decorator
@inline
function storeLiterals(token: usize, from: usize, to: usize): usize {
  const size = to - from;
  let at = token + 1;
  if (size >= NIBBLE_MAX) {
    store<u8>(token, NIBBLE_MAX << 4);
    at = storeLength(at, size - NIBBLE_MAX);
  } else {
    store<u8>(token, size << 4);
  }
  copyLoosely(at, from, size);
  return at + size;
}

/** The block's last sequence: literals only, copied exactly. Returns the address after them. */
function storeLastLiterals(token: usize, from: usize, to: usize): usize {
  const size = to - from;
  let at = token + 1;
  if (size >= NIBBLE_MAX) {
    store<u8>(token, NIBBLE_MAX << 4);
    at = storeLength(at, size - NIBBLE_MAX);
  } else {
    store<u8>(token, size << 4);
  }
  memory.copy(at, from, size);
  return at + size;
}

/** First address from `at` on where it differs from `other`, at most `limit`. */
// @ts-ignore: decorator
@inline
function endOfMatch(at: usize, other: usize, limit: usize): usize {
  while (at + 8 <= limit) {
    const difference = load<u64>(at) ^ load<u64>(other);
    if (difference != 0) return at + <usize>(ctz(difference) >> 3);
    at += 8;
    other += 8;
  }
  while (at < limit && load<u8>(at) == load<u8>(other)) {
    at++;
    other++;
  }
  return at;
}

/**
 * Compresses `size` bytes, at most 65,536, to `dst`, which has room for `size + size / 255 + 16`
 * bytes and slack after them. Returns the block's size.
 */
export function compressBlock(src: usize, size: usize, dst: usize): u32 {
  const end = src + size;
  if (size <= MATCH_GUARD) return <u32>(storeLastLiterals(dst, src, end) - dst);
  memory.fill(TABLE, 0, TABLE_SIZE);
  const lastMatch = end - MATCH_GUARD;
  const matchEnd = end - LAST_LITERALS;
  let literals = src;
  let token = dst;
  let at = src + 1;

  while (true) {
    // Search: the next position whose four bytes occurred before. The hash of the following probe
    // is computed ahead.
    let value = load<u64>(at);
    let slot = slotOf(value);
    let probe = at;
    let match: usize;
    let attempts: usize = 1 << SEARCH_PATIENCE;
    while (true) {
      at = probe;
      match = src + <usize>load<u16>(slot);
      probe = at + (attempts++ >> SEARCH_PATIENCE);
      if (probe > lastMatch) return <u32>(storeLastLiterals(token, literals, end) - dst);
      const next = load<u64>(probe);
      store<u16>(slot, <u16>(at - src));
      slot = slotOf(next);
      if (load<u32>(match) == <u32>value) break;
      value = next;
    }
    while (at > literals && match > src && load<u8>(at - 1) == load<u8>(match - 1)) {
      at--;
      match--;
    }
    let out = storeLiterals(token, literals, at);

    // Matches that follow each other without literals between them share this loop.
    while (true) {
      store<u16>(out, <u16>(at - match));
      out += 2;
      const stop = endOfMatch(at + MIN_MATCH, match + MIN_MATCH, matchEnd);
      const rest = stop - at - MIN_MATCH;
      at = stop;
      if (rest >= NIBBLE_MAX) {
        store<u8>(token, load<u8>(token) | <u8>NIBBLE_MAX);
        out = storeLength(out, rest - NIBBLE_MAX);
      } else {
        store<u8>(token, load<u8>(token) | <u8>rest);
      }
      literals = at;
      token = out;
      if (at > lastMatch) return <u32>(storeLastLiterals(token, literals, end) - dst);

      store<u16>(slotOf(load<u64>(at - 2)), <u16>(at - 2 - src));
      value = load<u64>(at);
      slot = slotOf(value);
      match = src + <usize>load<u16>(slot);
      store<u16>(slot, <u16>(at - src));
      if (load<u32>(match) != <u32>value || match >= at) break;
      store<u8>(token, 0);
      out = token + 1;
    }
    if (++at > lastMatch) return <u32>(storeLastLiterals(token, literals, end) - dst);
  }
}
