/**
 * LZ4 block decompressor that trusts nothing.
 *
 * Every length is compared with what is left of input and output before it is used, and every
 * offset with what has been written, so a damaged block can at worst fill the output with nonsense.
 * Copies go in wide steps: up to 16 bytes may be read past the input's end and written past the
 * output's end, inside the slack that every area has.
 *
 * Source: the LZ4 block format description (lz4/lz4 doc `lz4_Block_format.md`).
 */

/** Returned for a block that is malformed or needs more room than it may have. */
export const MALFORMED: i32 = -1;

const MIN_MATCH: usize = 4;
const NIBBLE_MAX: usize = 15;

/**
 * Address after the length bytes at `at`: any number of 255s and one that is less. 0 when they
 * reach `end`.
 */
// @ts-ignore: decorator
@inline
function endOfLength(at: usize, end: usize): usize {
  while (at < end) {
    if (load<u8>(at++) != 255) return at;
  }
  return 0;
}

/** The length that the bytes [at, next) add to a full nibble. */
// @ts-ignore: decorator
@inline
function lengthBetween(at: usize, next: usize): usize {
  return NIBBLE_MAX + (next - at - 1) * 255 + <usize>load<u8>(next - 1);
}

// @ts-ignore: decorator
@inline
function copyLoosely(to: usize, from: usize, end: usize): void {
  do {
    v128.store(to, v128.load(from));
    to += 16;
    from += 16;
  } while (to < end);
}

/**
 * Copies a match that starts less than 8 bytes back: the pattern is laid once, then repeated in
 * whole periods.
 */
function repeatPattern(to: usize, from: usize, end: usize): void {
  const offset = to - from;
  for (let i: usize = 0; i < 8; i++) store<u8>(to + i, load<u8>(from + i));
  const pattern = load<u64>(to);
  const period = offset * (8 / offset);
  for (to += period; to < end; to += period) store<u64>(to, pattern);
}

/** Writes [to, end) with the bytes from `from` on, which lies before `to` and may overlap it. */
// @ts-ignore: decorator
@inline
function copyMatch(to: usize, from: usize, end: usize): void {
  const offset = to - from;
  if (offset >= 16) {
    copyLoosely(to, from, end);
  } else if (offset >= 8) {
    do {
      store<u64>(to, load<u64>(from));
      to += 8;
      from += 8;
    } while (to < end);
  } else {
    repeatPattern(to, from, end);
  }
}

/**
 * Decompresses the block [src, src + size) to `dst`. Returns the number of bytes, at most
 * `capacity`, or MALFORMED.
 */
export function decompressBlock(src: usize, size: usize, dst: usize, capacity: usize): i32 {
  const end = src + size;
  const limit = dst + capacity;
  let at = src;
  let out = dst;
  while (true) {
    if (at >= end) return MALFORMED;
    const token = <usize>load<u8>(at++);

    let length = token >> 4;
    if (length == NIBBLE_MAX) {
      const next = endOfLength(at, end);
      if (next == 0) return MALFORMED;
      length = lengthBetween(at, next);
      at = next;
    }
    if (length > end - at || length > limit - out) return MALFORMED;
    copyLoosely(out, at, out + length);
    at += length;
    out += length;
    if (at == end) return <i32>(out - dst);

    if (end - at < 2) return MALFORMED;
    const offset = <usize>load<u16>(at);
    at += 2;
    if (offset == 0 || offset > out - dst) return MALFORMED;
    length = token & NIBBLE_MAX;
    if (length == NIBBLE_MAX) {
      const next = endOfLength(at, end);
      if (next == 0) return MALFORMED;
      length = lengthBetween(at, next);
      at = next;
    }
    length += MIN_MATCH;
    if (length > limit - out) return MALFORMED;
    copyMatch(out, out - offset, out + length);
    out += length;
  }
}
