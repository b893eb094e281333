/**
 * Sizes and offsets of SQLite's write-ahead log, all integers big-endian.
 *
 * Source: sqlite.org/fileformat2.html section 4, "The Write-Ahead Log".
 * docs/formats/wal.md is compared with these tables by a test.
 */

export const WAL_HEADER_SIZE = 32;
export const FRAME_HEADER_SIZE = 24;

/** Low bit clear: checksum words are little-endian; low bit set: big-endian. */
export const WAL_MAGIC_LITTLE_ENDIAN = 0x377f0682;
export const WAL_MAGIC_BIG_ENDIAN = 0x377f0683;
export const WAL_VERSION = 3007000;

/** Field offsets inside the WAL header; every field is a u32. */
export const WAL_HEADER_FIELDS = {
  magic: 0,
  version: 4,
  pageSize: 8,
  checkpointSequence: 12,
  salt1: 16,
  salt2: 20,
  checksum1: 24,
  checksum2: 28,
} as const;

/** Field offsets inside a frame header; every field is a u32. */
export const FRAME_HEADER_FIELDS = {
  pgno: 0,
  commit: 4,
  salt1: 8,
  salt2: 12,
  checksum1: 16,
  checksum2: 20,
} as const;

/** Bytes of one frame. */
export function frameSize(pageSize: number): number {
  return FRAME_HEADER_SIZE + pageSize;
}

/** Bytes of a WAL that holds `frames` frames. */
export function walSize(frames: number, pageSize: number): number {
  return WAL_HEADER_SIZE + frames * frameSize(pageSize);
}
