/**
 * The cumulative checksum of SQLite's write-ahead log, and the check of a run of frames.
 *
 * Source: sqlite.org/walformat.html (`walChecksumBytes`); docs/formats/wal.md.
 */
import { RESULT_WAL_SUM, pageSize, pgnos, words } from "./layout";

/**
 * Bytes of a frame header: pgno, commit size, salt 1, salt 2, checksum 1, checksum 2, all
 * big-endian u32.
 */
const FRAME_HEADER_SIZE: usize = 24;

// @ts-ignore: decorator
@inline
function word(at: usize, bigEndian: bool): u32 {
  return bigEndian ? bswap(load<u32>(at)) : load<u32>(at);
}

/**
 * Adds `size` bytes, a multiple of 8, to the pair in the result slot. The sums are associated as
 * (s0 + w) + s1: the dependency chain is then two additions for 8 bytes instead of four.
 */
// @ts-ignore: decorator
@inline
function addWords(at: usize, size: usize, bigEndian: bool): void {
  let s0 = load<u32>(RESULT_WAL_SUM);
  let s1 = load<u32>(RESULT_WAL_SUM, 4);
  const end = at + size;
  for (; at + 16 <= end; at += 16) {
    s0 = s0 + word(at, bigEndian) + s1;
    s1 = s1 + word(at + 4, bigEndian) + s0;
    s0 = s0 + word(at + 8, bigEndian) + s1;
    s1 = s1 + word(at + 12, bigEndian) + s0;
  }
  if (at < end) {
    s0 = s0 + word(at, bigEndian) + s1;
    s1 = s1 + word(at + 4, bigEndian) + s0;
  }
  store<u32>(RESULT_WAL_SUM, s0);
  store<u32>(RESULT_WAL_SUM, s1, 4);
}

function addLittleEndian(at: usize, size: usize): void {
  addWords(at, size, false);
}

function addBigEndian(at: usize, size: usize): void {
  addWords(at, size, true);
}

export function walSum(at: usize, size: usize, bigEndian: bool): void {
  if (bigEndian) addBigEndian(at, size);
  else addLittleEndian(at, size);
}

/**
 * Checks up to `count` frames that lie one after the other at `at`: their salts, and the cumulative
 * checksum that continues from the result slot. Returns how many hold; page numbers and commit
 * fields of those are in the tables, and the slot holds the sum after the last of them.
 */
export function walFrames(at: usize, count: u32, salt1: u32, salt2: u32, bigEndian: bool): u32 {
  for (let i: u32 = 0; i < count; i++) {
    if (bswap(load<u32>(at, 8)) != salt1 || bswap(load<u32>(at, 12)) != salt2) return i;
    const before = load<u64>(RESULT_WAL_SUM);
    walSum(at, 8, bigEndian);
    walSum(at + FRAME_HEADER_SIZE, pageSize, bigEndian);
    const found1 = bswap(load<u32>(at, 16));
    const found2 = bswap(load<u32>(at, 20));
    if (found1 != load<u32>(RESULT_WAL_SUM) || found2 != load<u32>(RESULT_WAL_SUM, 4)) {
      store<u64>(RESULT_WAL_SUM, before);
      return i;
    }
    store<u32>(pgnos + (<usize>i << 2), bswap(load<u32>(at)));
    store<u32>(words + (<usize>i << 2), bswap(load<u32>(at, 4)));
    at += FRAME_HEADER_SIZE + pageSize;
  }
  return count;
}
