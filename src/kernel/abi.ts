/**
 * The border between the kernel's hot loops and the host: their signatures and the memory they work
 * on.
 *
 * There are two implementations, the WebAssembly module built from `assembly/` and its twin in
 * plain TypeScript. Both work on one linear memory and take addresses into it, so that a test can
 * run them side by side and compare every byte, including those that nobody may touch.
 */

/** Free bytes after every area: wide copies may read and write that far past its end. */
export const AREA_SLACK = 64;

/** Bytes of a WAL frame's header, which lies before the page in a batch of WAL frames. */
export const WAL_FRAME_HEADER_SIZE = 24;

/** Byte offsets in the result slot. */
export const RESULT_SLOT = {
  /** Two u32, low half first: the CRC-64 register, before the final inversion. */
  crc: 0,
  /** Two u32: the running WAL checksum. */
  walSum: 8,
  /** u32: input bytes consumed by `decodePages`. */
  consumed: 16,
  /** u32: why `decodePages` stopped, one of DECODE_STOP. */
  stop: 20,
} as const;
export const RESULT_SLOT_SIZE = 64;

/** Why a run of frames ended. */
export const DECODE_STOP = {
  /** Everything that was asked for or given has been decoded. */
  done: 0,
  /** An all-zero page header: the end of the file's pages. It is not consumed and not hashed. */
  endMarker: 1,
  /** The given bytes end inside a frame. */
  incomplete: 2,
  /** Page flags that do not exist, or flags on page number 0. */
  badFlags: 3,
  /** A payload longer than any encoder makes it. */
  badSize: 4,
  /** A payload that is not LZ4 or does not make exactly one page. */
  badPayload: 5,
  /** A legacy frame whose content checksum is wrong. */
  badContentChecksum: 6,
} as const;
export type DecodeStop = (typeof DECODE_STOP)[keyof typeof DECODE_STOP];

/** What `lz4Decompress` returns for a malformed block. */
export const LZ4_MALFORMED = -1;

export const MIN_PAGE_SIZE = 512;
export const MAX_PAGE_SIZE = 65536;

/** Whether SQLite has pages of `size` bytes: a power of two from 512 to 65,536. */
export function isPageSize(size: number): boolean {
  const inRange = Number.isInteger(size) && size >= MIN_PAGE_SIZE && size <= MAX_PAGE_SIZE;
  return inRange && (size & (size - 1)) === 0;
}

/** Longest LZ4 block that `size` bytes can become. */
export function lz4BlockBound(size: number): number {
  return size + Math.floor(size / 255) + 16;
}

/** Longest frame of either kind for a page: header, size field and a block that is all literals. */
export function maxPageFrameSize(pageSize: number): number {
  return 10 + lz4BlockBound(pageSize);
}

/**
 * The hot loops. All addresses are byte offsets into one memory, `size` and `stride` are bytes,
 * flags are 0 or 1. "Table" means the per-page tables announced with `configure`; a call uses their
 * first `count` rows.
 */
export interface KernelAbi {
  /**
   * Fixes the page size and where the tables lie: page numbers and words (u32), checksums and page
   * CRCs (u64).
   */
  configure(
    pageSize: number,
    pgnos: number,
    words: number,
    checksums: number,
    pageCrcs: number,
  ): void;
  /** Advances the register in the slot over the bytes. */
  crc64(at: number, size: number): void;
  /**
   * Advances the register in the slot as if `high * 2^32 + low` zero bytes followed, less than
   * 2^53.
   */
  crc64Shift(low: number, high: number): void;
  /** Fills checksums and page CRCs for pages whose numbers are in the table; sizes become 0. */
  pageChecksums(src: number, stride: number, count: number): void;
  /** Adds the bytes, a multiple of 8, to the WAL checksum in the slot. */
  walSum(at: number, size: number, bigEndian: number): void;
  /**
   * Checks consecutive WAL frames; returns how many hold, with page numbers and commit fields in
   * the tables.
   */
  walFrames(at: number, count: number, salt1: number, salt2: number, bigEndian: number): number;
  /**
   * Compresses at most 65,536 bytes; `dst` has room for `lz4BlockBound(size)`. Returns the block's
   * size.
   */
  lz4Compress(src: number, size: number, dst: number): number;
  /** Returns the number of bytes written, at most `capacity`, or LZ4_MALFORMED. */
  lz4Decompress(src: number, size: number, dst: number, capacity: number): number;
  /** The result is a signed or unsigned 32-bit number: normalise with `>>> 0`. */
  xxh32(at: number, size: number): number;
  /**
   * Encodes pages whose numbers are in the table; fills all tables, advances the register, returns
   * bytes written.
   */
  encodePages(src: number, stride: number, count: number, legacy: number, dst: number): number;
  /**
   * Decodes consecutive frames; fills page numbers and frame sizes, returns the count of pages. When
   * `hashed` also fills the other tables and advances the register.
   */
  decodePages(src: number, size: number, dst: number, maxCount: number, hashed: number): number;
  /**
   * Advances the register over consecutive frames whose sizes and page CRCs are in the tables;
   * fills checksums.
   */
  hashFrames(src: number, count: number): void;
}

/** Addresses of everything whose size depends on the page size. */
export interface KernelLayout {
  readonly pageSize: number;
  readonly batchPages: number;
  readonly pgnos: number;
  readonly words: number;
  readonly checksums: number;
  readonly pageCrcs: number;
  readonly input: number;
  readonly inputSize: number;
  readonly output: number;
  readonly outputSize: number;
  /** Small room for bytes that come from another memory. */
  readonly scratch: number;
  readonly scratchSize: number;
  /** First address after the last area's slack. */
  readonly end: number;
}

const AREA_ALIGNMENT = 64;
const SCRATCH_SIZE = 32 * 1024;

/** Lays the areas out one after the other from `base` on, each with slack behind it. */
export function layOut(base: number, pageSize: number, batchPages: number): KernelLayout {
  let end = base;
  const area = (size: number): number => {
    const start = Math.ceil(end / AREA_ALIGNMENT) * AREA_ALIGNMENT;
    end = start + size + AREA_SLACK;
    return start;
  };
  const frameSize = maxPageFrameSize(pageSize);
  const inputSize = Math.max(frameSize, batchPages * (WAL_FRAME_HEADER_SIZE + pageSize));
  const outputSize = batchPages * frameSize;
  const pgnos = area(batchPages * 4);
  const words = area(batchPages * 4);
  const checksums = area(batchPages * 8);
  const pageCrcs = area(batchPages * 8);
  const input = area(inputSize);
  const output = area(outputSize);
  const scratch = area(SCRATCH_SIZE);
  return {
    pageSize,
    batchPages,
    pgnos,
    words,
    checksums,
    pageCrcs,
    input,
    inputSize,
    output,
    outputSize,
    scratch,
    scratchSize: SCRATCH_SIZE,
    end,
  };
}
