/**
 * The LTX version 3 file format in numbers.
 *
 * A file is: header, page frames, an all-zero page header, page index, index size, trailer.
 * Fixed-width integers are big-endian. Everything here is frozen on disk; docs/formats/ltx.md shows
 * the same tables and a test compares them.
 *
 * Source: superfly/ltx@8cb8f8e `Header`, `PageHeader`, `Trailer`, `LockPgno`.
 */

/** One fixed-width field of a structure. */
export interface Field {
  readonly offset: number;
  readonly size: number;
}

export const HEADER_FIELDS = {
  /** ASCII `LTX1`. There is no version number on disk. */
  magic: { offset: 0, size: 4 },
  flags: { offset: 4, size: 4 },
  pageSize: { offset: 8, size: 4 },
  /** Database size in pages after applying the file. */
  commit: { offset: 12, size: 4 },
  minTxid: { offset: 16, size: 8 },
  maxTxid: { offset: 24, size: 8 },
  /** Unix milliseconds, signed. */
  timestamp: { offset: 32, size: 8 },
  preApplyChecksum: { offset: 40, size: 8 },
  walOffset: { offset: 48, size: 8 },
  walSize: { offset: 56, size: 8 },
  walSalt1: { offset: 64, size: 4 },
  walSalt2: { offset: 68, size: 4 },
  nodeId: { offset: 72, size: 8 },
  /**
   * Reserved by the format, written as zeros by others and ignored by every reader. Ours starts
   * with RESERVED_TAG.
   */
  reserved: { offset: 80, size: 20 },
} as const;
export const HEADER_SIZE = 100;

/** What Millrace keeps in the reserved bytes, relative to the file's start. */
export const RESERVED_FIELDS = {
  tag: { offset: 80, size: 4 },
  /** Rolling checksum of the database after applying the file. */
  databaseChecksum: { offset: 84, size: 8 },
  unused: { offset: 92, size: 8 },
} as const;

export const PAGE_HEADER_FIELDS = {
  pgno: { offset: 0, size: 4 },
  flags: { offset: 4, size: 2 },
} as const;
export const PAGE_HEADER_SIZE = 6;

/** Follows the page header when PAGE_FLAG_SIZE is set: bytes of the LZ4 block. */
export const PAYLOAD_SIZE_SIZE = 4;

export const TRAILER_FIELDS = {
  postApplyChecksum: { offset: 0, size: 8 },
  /** CRC over everything before it, pages uncompressed. */
  fileChecksum: { offset: 8, size: 8 },
} as const;
export const TRAILER_SIZE = 16;

/** The u64 between page index and trailer: bytes of the index. */
export const INDEX_SIZE_SIZE = 8;

export const MAGIC = 0x4c545831;
/** Header flag: the chain carries no pre- and post-apply checksums. The only flag there is. */
export const FLAG_NO_CHECKSUM = 2;
/** Header flag of an encoding that is gone: the whole page block is one LZ4 frame. */
export const FLAG_COMPRESSED_V1 = 1;
/**
 * Page flag: a size field and one raw LZ4 block follow. Without it, one whole LZ4 frame. The only
 * flag there is.
 */
export const PAGE_FLAG_SIZE = 1;
/** Bit 63, set in every checksum that is present. */
export const CHECKSUM_FLAG: bigint = 1n << 63n;
/** ASCII `MRC1`: the reserved bytes carry a database checksum. */
export const RESERVED_TAG = 0x4d524331;

/** SQLite's lock byte: the page that holds it is never written. */
export const PENDING_BYTE = 0x40000000;
/** First four bytes of an LZ4 frame, as a big-endian load. */
export const LZ4_FRAME_MAGIC = 0x04224d18;

/** Shortest file: header, end of pages, an index that is only its terminator, its size, trailer. */
export const MIN_FILE_SIZE: number =
  HEADER_SIZE + PAGE_HEADER_SIZE + 1 + INDEX_SIZE_SIZE + TRAILER_SIZE;
