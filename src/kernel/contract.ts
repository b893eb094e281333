/**
 * The kernel as its users see it: CRC-64, WAL checksum, LZ4 and LTX page frames, a batch of pages
 * at a time.
 *
 * A kernel owns one linear memory with an input area, an output area and per-page tables; callers
 * read files straight into `input`. Memory is laid out once and never grows, so views stay
 * attached. No state that a caller must know of is kept between calls: registers are passed in and
 * out. A kernel is not for sharing between threads.
 */
import type { DecodeStop } from "./abi.ts";
import type { CrcRegister } from "./crc.ts";

/**
 * How a page is compressed: a raw LZ4 block, or a whole LZ4 frame as Litestream 0.5.0 to 0.5.15
 * reads it.
 */
export type PageFormat = "block" | "frame";

/** A running WAL checksum; halves are any 32-bit numbers, signed or not. */
export interface WalSum {
  s0: number;
  s1: number;
}

/** What all frames of one WAL generation share. */
export interface WalGeneration {
  readonly salt1: number;
  readonly salt2: number;
  /** Whether checksum words are big-endian (WAL magic 377f0683). */
  readonly bigEndian: boolean;
}

/** Where a batch of pages lies in the input area. */
export interface BatchPlace {
  /** Byte offset of the first page in `input`; 0 by default. */
  readonly offset?: number | undefined;
  /** Bytes from one page to the next; the page size by default. */
  readonly stride?: number | undefined;
}

export interface DecodedRun {
  readonly count: number;
  /** Input bytes that the decoded frames took. */
  readonly consumed: number;
  readonly stop: DecodeStop;
}

export interface Kernel {
  readonly engine: "wasm" | "twin";
  readonly pageSize: number;
  /** Most pages that one call takes. */
  readonly batchPages: number;
  /** At least `batchPages * (24 + pageSize)` bytes: pages, WAL frames or LTX frames to work on. */
  readonly input: Uint8Array<ArrayBuffer>;
  /** Where encoded frames or decoded pages appear, from offset 0. Valid until the next call. */
  readonly output: Uint8Array<ArrayBuffer>;
  /**
   * Page numbers of a batch: in for `encodePages` and `pageChecksums`, out for `decodePages` and
   * `walFrames`.
   */
  readonly pgnos: Uint32Array<ArrayBuffer>;
  /**
   * Out: total size of each frame, header included (`encodePages`, `decodePages`); in for
   * `hashFrames`.
   */
  readonly frameSizes: Uint32Array<ArrayBuffer>;
  /** Out: commit field of each WAL frame (`walFrames`). The same memory as `frameSizes`. */
  readonly commits: Uint32Array<ArrayBuffer>;
  /** Out: LTX page checksums, bit 63 set. */
  readonly checksums: BigUint64Array<ArrayBuffer>;
  /** Out: CRC of each bare page from register 0, not inverted; in for `hashFrames`. */
  readonly pageCrcs: BigUint64Array<ArrayBuffer>;

  /** Advances `crc` over `bytes`, of any length and from any memory. */
  crc64(crc: CrcRegister, bytes: Uint8Array): void;
  /** Advances `crc` as if `count` zero bytes followed; `count` is at most 2^53. */
  crc64Shift(crc: CrcRegister, count: number): void;
  /**
   * Checksums of the pages in `input` that have these numbers, at most a batch. Also fills
   * `pageCrcs`. The result is borrowed until the next call.
   */
  pageChecksums(pgnos: Uint32Array, place?: BatchPlace): BigUint64Array<ArrayBuffer>;
  /** Advances `sum` over `bytes`, a multiple of 8 and at most 4096 bytes. */
  walSum(sum: WalSum, bytes: Uint8Array, options: { readonly bigEndian: boolean }): void;
  /**
   * Checks `count` WAL frames that lie in `input` from offset 0. Returns how many hold, from the
   * first on: right salts and a cumulative checksum that continues `sum`. `sum` becomes that of the
   * last of them; `pgnos` and `commits` are filled for them.
   */
  walFrames(count: number, generation: WalGeneration, sum: WalSum): number;
  /**
   * Encodes `count` pages in `input` whose numbers are in `pgnos` as frames in `output`; advances
   * the file's `crc`. Returns the bytes written.
   */
  encodePages(count: number, format: PageFormat, crc: CrcRegister, place?: BatchPlace): number;
  /**
   * Decodes frames of either kind that lie in `input` to pages in `output`; advances the file's
   * `crc`. With `hashed: false` neither that nor `checksums` and `pageCrcs` are touched, which takes
   * two thirds of the time.
   */
  decodePages(
    crc: CrcRegister,
    source: { offset: number; size: number; maxCount: number; hashed?: boolean | undefined },
  ): DecodedRun;
  /**
   * Advances the file's `crc` over `count` frames in `input`, from offset 0, whose sizes and page
   * CRCs are in `frameSizes` and `pageCrcs`; fills `checksums`. Their pages are not needed.
   */
  hashFrames(count: number, crc: CrcRegister): void;
  /**
   * Compresses at most one page's worth of bytes as a raw LZ4 block. Uses `input`; the result lies
   * in `output`.
   */
  lz4Compress(bytes: Uint8Array): Uint8Array;
  /**
   * Decompresses a raw LZ4 block of at most `capacity` bytes, by default one page; `undefined` when
   * malformed. Uses `input` and `output`, which block and content have to fit.
   */
  lz4Decompress(block: Uint8Array, capacity?: number): Uint8Array | undefined;
  /** XXH32 with seed 0 of at most one page's worth of bytes, unsigned. Uses `input`. */
  xxh32(bytes: Uint8Array): number;
}
