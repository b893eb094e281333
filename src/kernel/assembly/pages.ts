/**
 * Batches of LTX page frames: encode, decode, hash.
 *
 * A frame is a 6-byte header (pgno u32, flags u16, big-endian) and a payload. Flags 1 is a "block"
 * frame: a big-endian u32 size and one raw LZ4 block. Flags 0 is a "legacy" frame: one complete LZ4
 * frame, as Litestream 0.5.0 to 0.5.15 writes it. The file checksum covers the header, the size
 * field if there is one, and the *uncompressed* page.
 *
 * Source: superfly/ltx@8cb8f8e `Encoder.EncodePage`, `Decoder.DecodePage`; docs/formats/ltx.md; the
 * LZ4 frame format description (lz4/lz4 doc `lz4_Frame_format.md`).
 */
import { appendPage, pageChecksum, update, updateShort } from "./crc64";
import {
  RESULT_CONSUMED,
  RESULT_CRC,
  RESULT_STOP,
  checksums,
  pageCrcs,
  pageSize,
  pgnos,
  words,
} from "./layout";
import { compressBlock } from "./lz4-compress";
import { decompressBlock } from "./lz4-decompress";
import { xxh32 } from "./xxh32";

const HEADER_SIZE: usize = 6;
/** Header and size field of a block frame. */
const BLOCK_HEADER_SIZE: usize = 10;
/** Page flags as little-endian loads of the big-endian field. */
const FLAGS_BLOCK: u32 = 0x0100;
const FLAGS_LEGACY: u32 = 0;

/**
 * The only LZ4 frame descriptor there is in LTX files: version 1, independent blocks, content
 * checksum, blocks of at most 64 KiB. Magic, FLG and BD bytes, and the descriptor's own checksum
 * byte.
 */
const LZ4_MAGIC: u32 = 0x184d2204;
const LZ4_FLG_BD: u32 = 0x4064;
const LZ4_DESCRIPTOR_CHECKSUM: u32 = 0xa7;
const LZ4_DESCRIPTOR_SIZE: usize = 7;
/** Set in a block's size when its bytes are stored, not compressed. */
const LZ4_STORED: u32 = 0x80000000;

/** Why `decodePages` stopped; the same numbers as DECODE_STOP in ../abi.ts. */
const STOP_DONE: u32 = 0;
const STOP_END_MARKER: u32 = 1;
const STOP_INCOMPLETE: u32 = 2;
const STOP_BAD_FLAGS: u32 = 3;
const STOP_BAD_SIZE: u32 = 4;
const STOP_BAD_PAYLOAD: u32 = 5;
const STOP_BAD_CONTENT_CHECKSUM: u32 = 6;

/** Longest LZ4 block for a page: one that is all literals. */
// @ts-ignore: decorator
@inline
function blockBound(): usize {
  return pageSize + pageSize / 255 + 16;
}

// @ts-ignore: decorator
@inline
function hashedHeaderSize(flags: u32): usize {
  return flags == FLAGS_BLOCK ? BLOCK_HEADER_SIZE : HEADER_SIZE;
}

/** Advances the file's register over one frame, given the CRC of its page. */
// @ts-ignore: decorator
@inline
function hashFrame(register: u64, frame: usize, flags: u32, pageCrc: u64): u64 {
  return appendPage(updateShort(register, frame, hashedHeaderSize(flags)), pageCrc);
}

/** Puts a page's facts into row `i` of the tables. */
// @ts-ignore: decorator
@inline
function storeRow(i: u32, pgno: u32, frameSize: usize, pageCrc: u64): void {
  store<u32>(words + (<usize>i << 2), <u32>frameSize);
  store<u64>(pageCrcs + (<usize>i << 3), pageCrc);
  store<u64>(checksums + (<usize>i << 3), pageChecksum(pgno, pageCrc));
}

/** Page checksums of `count` pages, `stride` bytes apart, whose numbers are in the table. */
export function pageChecksums(src: usize, stride: usize, count: u32): void {
  for (let i: u32 = 0; i < count; i++) {
    storeRow(i, load<u32>(pgnos + (<usize>i << 2)), 0, update(0, src, pageSize));
    src += stride;
  }
}

/** Writes a block frame's payload at `frame`; returns the frame's size. */
function storeBlockPayload(frame: usize, page: usize): usize {
  const size = compressBlock(page, pageSize, frame + BLOCK_HEADER_SIZE);
  store<u16>(frame, FLAGS_BLOCK, 4);
  store<u32>(frame, bswap(size), 6);
  return BLOCK_HEADER_SIZE + size;
}

/**
 * Writes a legacy frame's payload at `frame`; a page that does not shrink is stored. Returns the
 * frame's size.
 */
function storeLegacyPayload(frame: usize, page: usize): usize {
  store<u16>(frame, FLAGS_LEGACY, 4);
  store<u32>(frame, LZ4_MAGIC, 6);
  store<u16>(frame, LZ4_FLG_BD, 10);
  store<u8>(frame, LZ4_DESCRIPTOR_CHECKSUM, 12);
  const block = frame + HEADER_SIZE + LZ4_DESCRIPTOR_SIZE;
  let size = <usize>compressBlock(page, pageSize, block + 4);
  if (size < pageSize) {
    store<u32>(block, <u32>size);
  } else {
    size = pageSize;
    store<u32>(block, <u32>size | LZ4_STORED);
    memory.copy(block + 4, page, size);
  }
  const end = block + 4 + size;
  store<u32>(end, 0);
  store<u32>(end, xxh32(page, pageSize), 4);
  return end + 8 - frame;
}

/**
 * Encodes `count` pages, `stride` bytes apart, whose numbers are in the table, as frames one after
 * the other at `dst`. Advances the file's register and fills sizes, page CRCs and page checksums.
 * Returns the bytes written.
 */
export function encodePages(src: usize, stride: usize, count: u32, legacy: bool, dst: usize): u32 {
  let register = load<u64>(RESULT_CRC);
  let frame = dst;
  for (let i: u32 = 0; i < count; i++) {
    const pgno = load<u32>(pgnos + (<usize>i << 2));
    const size = legacy ? storeLegacyPayload(frame, src) : storeBlockPayload(frame, src);
    store<u32>(frame, bswap(pgno));
    const pageCrc = update(0, src, pageSize);
    register = hashFrame(register, frame, legacy ? FLAGS_LEGACY : FLAGS_BLOCK, pageCrc);
    storeRow(i, pgno, size, pageCrc);
    frame += size;
    src += stride;
  }
  store<u64>(RESULT_CRC, register);
  return <u32>(frame - dst);
}

/**
 * Advances the file's register over `count` frames that lie one after the other at `src` and whose
 * sizes and page CRCs are in the tables, and fills page checksums: hashing frames that are copied,
 * without their pages.
 */
export function hashFrames(src: usize, count: u32): void {
  let register = load<u64>(RESULT_CRC);
  for (let i: u32 = 0; i < count; i++) {
    const pageCrc = load<u64>(pageCrcs + (<usize>i << 3));
    const size = <usize>load<u32>(words + (<usize>i << 2));
    register = hashFrame(register, src, load<u16>(src, 4), pageCrc);
    storeRow(i, bswap(load<u32>(src)), size, pageCrc);
    src += size;
  }
  store<u64>(RESULT_CRC, register);
}

/** Set by the payload readers when they return 0. */
let failure: u32 = 0;

// @ts-ignore: decorator
@inline
function fail(stop: u32): usize {
  failure = stop;
  return 0;
}

/**
 * Decodes a block frame's page to `dst`. Returns the address after the frame, or 0 with `failure`
 * set.
 */
function loadBlockPayload(frame: usize, end: usize, dst: usize): usize {
  if (end - frame < BLOCK_HEADER_SIZE) return fail(STOP_INCOMPLETE);
  const size = <usize>bswap(load<u32>(frame, 6));
  if (size > blockBound()) return fail(STOP_BAD_SIZE);
  const block = frame + BLOCK_HEADER_SIZE;
  if (size > end - block) return fail(STOP_INCOMPLETE);
  if (decompressBlock(block, size, dst, pageSize) != <i32>pageSize) return fail(STOP_BAD_PAYLOAD);
  return block + size;
}

/**
 * Decodes a legacy frame's page to `dst`. Returns the address after the frame, or 0 with `failure`
 * set.
 */
function loadLegacyPayload(frame: usize, end: usize, dst: usize): usize {
  let at = frame + HEADER_SIZE;
  if (end - at < LZ4_DESCRIPTOR_SIZE) return fail(STOP_INCOMPLETE);
  const known =
    load<u32>(at) == LZ4_MAGIC &&
    load<u16>(at, 4) == LZ4_FLG_BD &&
    load<u8>(at, 6) == LZ4_DESCRIPTOR_CHECKSUM;
  if (!known) return fail(STOP_BAD_PAYLOAD);
  at += LZ4_DESCRIPTOR_SIZE;

  let filled: usize = 0;
  while (true) {
    if (end - at < 4) return fail(STOP_INCOMPLETE);
    const header = load<u32>(at);
    at += 4;
    if (header == 0) break;
    const size = <usize>(header & ~LZ4_STORED);
    if (size == 0 || size > blockBound()) return fail(STOP_BAD_SIZE);
    if (size > end - at) return fail(STOP_INCOMPLETE);
    const room = pageSize - filled;
    if (header & LZ4_STORED) {
      if (size > room) return fail(STOP_BAD_PAYLOAD);
      memory.copy(dst + filled, at, size);
      filled += size;
    } else {
      const decoded = decompressBlock(at, size, dst + filled, room);
      if (decoded <= 0) return fail(STOP_BAD_PAYLOAD);
      filled += <usize>decoded;
    }
    at += size;
  }
  if (filled != pageSize) return fail(STOP_BAD_PAYLOAD);
  if (end - at < 4) return fail(STOP_INCOMPLETE);
  if (load<u32>(at) != xxh32(dst, pageSize)) return fail(STOP_BAD_CONTENT_CHECKSUM);
  return at + 4;
}

/**
 * Decodes at most `maxCount` frames from [src, src + size) to consecutive pages at `dst`. Fills page
 * numbers and frame sizes and, when `hashed`, page CRCs and page checksums, and advances the
 * file's register. Returns how many pages were decoded; how far it got and why it stopped are in
 * the result slot. A page that failed may have overwritten its place in the output.
 */
export function decodePages(
  src: usize,
  size: usize,
  dst: usize,
  maxCount: u32,
  hashed: bool,
): u32 {
  let register = load<u64>(RESULT_CRC);
  const end = src + size;
  let frame = src;
  let count: u32 = 0;
  failure = STOP_DONE;
  while (count < maxCount && frame < end) {
    if (end - frame < HEADER_SIZE) {
      failure = STOP_INCOMPLETE;
      break;
    }
    const pgno = bswap(load<u32>(frame));
    const flags = <u32>load<u16>(frame, 4);
    if (flags != FLAGS_BLOCK && flags != FLAGS_LEGACY) {
      failure = STOP_BAD_FLAGS;
      break;
    }
    if (pgno == 0) {
      failure = flags == 0 ? STOP_END_MARKER : STOP_BAD_FLAGS;
      break;
    }
    const next =
      flags == FLAGS_BLOCK
        ? loadBlockPayload(frame, end, dst)
        : loadLegacyPayload(frame, end, dst);
    if (next == 0) break;
    store<u32>(pgnos + (<usize>count << 2), pgno);
    if (hashed) {
      const pageCrc = update(0, dst, pageSize);
      register = hashFrame(register, frame, flags, pageCrc);
      storeRow(count, pgno, next - frame, pageCrc);
    } else {
      store<u32>(words + (<usize>count << 2), <u32>(next - frame));
    }
    frame = next;
    dst += pageSize;
    count++;
  }
  store<u64>(RESULT_CRC, register);
  store<u32>(RESULT_CONSUMED, <u32>(frame - src));
  store<u32>(RESULT_STOP, failure);
  return count;
}
