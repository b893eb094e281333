/**
 * The hot loops behind a small interface: CRC-64, WAL checksum, LZ4 and LTX page frames, a batch of pages at a time.
 *
 * A kernel owns one linear memory with an input area, an output area and per-page tables; callers read files straight
 * into `input`. Memory is laid out once at `openKernel` and never grows, so views stay attached. A kernel keeps no state
 * between calls that a caller must know of: registers are passed in and out. It is not for sharing between threads.
 */
import { assert } from "../base/assert.ts";
import {
  LZ4_MALFORMED,
  RESULT_SLOT,
  RESULT_SLOT_SIZE,
  WAL_FRAME_HEADER_SIZE,
  isPageSize,
  layOut,
  lz4BlockBound,
} from "./abi.ts";
import type { DecodeStop, KernelAbi, KernelLayout } from "./abi.ts";
import { decodeBase64 } from "./base64.ts";
import type { CrcRegister } from "./crc.ts";
import { createTwin } from "./twin/twin.ts";
import { KERNEL_WASM_BASE64 } from "./wasm.ts";

export { newCrc, crcValue, xorCrc } from "./crc.ts";
export type { CrcRegister } from "./crc.ts";
export { DECODE_STOP, isPageSize, lz4BlockBound, maxPageFrameSize } from "./abi.ts";
export type { DecodeStop } from "./abi.ts";

/** How a page is compressed: a raw LZ4 block, or a whole LZ4 frame as Litestream 0.5.0 to 0.5.15 reads it. */
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
  /** `batchPages * (24 + pageSize)` bytes: pages, WAL frames or LTX frames to work on. */
  readonly input: Uint8Array<ArrayBuffer>;
  /** Where encoded frames or decoded pages appear, from offset 0. Valid until the next call. */
  readonly output: Uint8Array<ArrayBuffer>;
  /** Page numbers of a batch: in for `encodePages` and `pageChecksums`, out for `decodePages` and `walFrames`. */
  readonly pgnos: Uint32Array<ArrayBuffer>;
  /** Out: total size of each frame, header included (`encodePages`, `decodePages`); in for `hashFrames`. */
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
   * Checksums of the pages in `input` that have these numbers, at most a batch. Also fills `pageCrcs`. The result is
   * borrowed until the next call.
   */
  pageChecksums(pgnos: Uint32Array, place?: BatchPlace): BigUint64Array<ArrayBuffer>;
  /** Advances `sum` over `bytes`, a multiple of 8 and at most 4096 bytes. */
  walSum(sum: WalSum, bytes: Uint8Array, options: { readonly bigEndian: boolean }): void;
  /**
   * Checks `count` WAL frames that lie in `input` from offset 0. Returns how many hold, from the first on: right salts
   * and a cumulative checksum that continues `sum`. `sum` becomes that of the last of them; `pgnos` and `commits` are
   * filled for them.
   */
  walFrames(count: number, generation: WalGeneration, sum: WalSum): number;
  /**
   * Encodes `count` pages in `input` whose numbers are in `pgnos` as frames in `output`; advances the file's `crc`.
   * Returns the bytes written.
   */
  encodePages(count: number, format: PageFormat, crc: CrcRegister, place?: BatchPlace): number;
  /** Decodes frames of either kind that lie in `input` to pages in `output`; advances the file's `crc`. */
  decodePages(
    crc: CrcRegister,
    source: { offset: number; size: number; maxCount: number },
  ): DecodedRun;
  /**
   * Advances the file's `crc` over `count` frames in `input`, from offset 0, whose sizes and page CRCs are in
   * `frameSizes` and `pageCrcs`.
   */
  hashFrames(count: number, crc: CrcRegister): void;
  /** Compresses at most one page's worth of bytes as a raw LZ4 block. Uses `input`; the result lies in `output`. */
  lz4Compress(bytes: Uint8Array): Uint8Array;
  /** Decompresses a raw LZ4 block of at most one page; `undefined` when malformed. Uses `input` and `output`. */
  lz4Decompress(block: Uint8Array): Uint8Array | undefined;
  /** XXH32 with seed 0 of at most one page's worth of bytes, unsigned. Uses `input`. */
  xxh32(bytes: Uint8Array): number;
}

export interface KernelOptions {
  /** A power of two from 512 to 65,536. */
  readonly pageSize: number;
  readonly batchPages?: number | undefined;
  /** Use the plain TypeScript twin although WebAssembly is there. */
  readonly twin?: boolean | undefined;
}

/** Bytes of pages that a default batch holds: large enough to hide call costs, small enough for the second-level cache. */
const DEFAULT_BATCH_BYTES = 256 * 1024;
const MIN_DEFAULT_BATCH_PAGES = 16;
const MAX_DEFAULT_BATCH_PAGES = 256;
const MAX_BATCH_PAGES = 4096;

/** 64 pages of 4096 bytes; never fewer than 16 pages. */
export function defaultBatchPages(pageSize: number): number {
  const fitting = Math.floor(DEFAULT_BATCH_BYTES / pageSize);
  return Math.min(MAX_DEFAULT_BATCH_PAGES, Math.max(MIN_DEFAULT_BATCH_PAGES, fitting));
}

/** Opens a kernel for one page size. Takes about half a millisecond the first time and a memory of two to three batches. */
export function openKernel(options: KernelOptions): Kernel {
  const { pageSize } = options;
  const batchPages = options.batchPages ?? defaultBatchPages(pageSize);
  assert(isPageSize(pageSize), `page size ${pageSize} is a power of two from 512 to 65536`);
  assert(
    Number.isInteger(batchPages) && batchPages >= 1 && batchPages <= MAX_BATCH_PAGES,
    `batch of ${batchPages} pages is between 1 and ${MAX_BATCH_PAGES}`,
  );
  const useTwin = options.twin === true || typeof WebAssembly === "undefined";
  return new BoundKernel(useTwin ? openTwin(pageSize, batchPages) : openWasm(pageSize, batchPages));
}

/** An implementation of the hot loops together with the memory it works on. */
export interface KernelEngine {
  readonly engine: "wasm" | "twin";
  readonly abi: KernelAbi;
  readonly layout: KernelLayout;
  readonly buffer: ArrayBuffer;
  /** Address of the result slot. */
  readonly slot: number;
}

interface WasmExports extends KernelAbi {
  readonly memory: WebAssembly.Memory;
  heapBase(): number;
  resultSlot(): number;
}

const WASM_PAGE_SIZE = 65536;
let compiledModule: WebAssembly.Module | undefined;

/** Exported for the tests that compare both implementations address by address. */
export function openWasm(pageSize: number, batchPages: number): KernelEngine {
  compiledModule ??= new WebAssembly.Module(decodeBase64(KERNEL_WASM_BASE64));
  const instance = new WebAssembly.Instance(compiledModule, {});
  const abi = instance.exports as unknown as WasmExports;
  const layout = layOut(abi.heapBase(), pageSize, batchPages);
  const missing = layout.end - abi.memory.buffer.byteLength;
  if (missing > 0) abi.memory.grow(Math.ceil(missing / WASM_PAGE_SIZE));
  abi.configure(pageSize, layout.pgnos, layout.words, layout.checksums, layout.pageCrcs);
  return { engine: "wasm", abi, layout, buffer: abi.memory.buffer, slot: abi.resultSlot() };
}

/** `base` lets a test place the areas where the WebAssembly module has them. */
export function openTwin(
  pageSize: number,
  batchPages: number,
  base: number = RESULT_SLOT_SIZE,
): KernelEngine {
  const layout = layOut(base, pageSize, batchPages);
  const buffer = new ArrayBuffer(layout.end);
  return { engine: "twin", abi: createTwin(buffer, layout, 0), layout, buffer, slot: 0 };
}

class BoundKernel implements Kernel {
  readonly engine: "wasm" | "twin";
  readonly pageSize: number;
  readonly batchPages: number;
  readonly input: Uint8Array<ArrayBuffer>;
  readonly output: Uint8Array<ArrayBuffer>;
  readonly pgnos: Uint32Array<ArrayBuffer>;
  readonly frameSizes: Uint32Array<ArrayBuffer>;
  readonly commits: Uint32Array<ArrayBuffer>;
  readonly checksums: BigUint64Array<ArrayBuffer>;
  readonly pageCrcs: BigUint64Array<ArrayBuffer>;
  readonly #abi: KernelAbi;
  readonly #layout: KernelLayout;
  readonly #scratch: Uint8Array<ArrayBuffer>;
  /** The result slot as signed words. */
  readonly #slot: Int32Array<ArrayBuffer>;

  constructor(engine: KernelEngine) {
    const { abi, layout, buffer, slot } = engine;
    this.engine = engine.engine;
    this.pageSize = layout.pageSize;
    this.batchPages = layout.batchPages;
    this.input = new Uint8Array(buffer, layout.input, layout.inputSize);
    this.output = new Uint8Array(buffer, layout.output, layout.outputSize);
    this.pgnos = new Uint32Array(buffer, layout.pgnos, layout.batchPages);
    this.frameSizes = new Uint32Array(buffer, layout.words, layout.batchPages);
    this.commits = this.frameSizes;
    this.checksums = new BigUint64Array(buffer, layout.checksums, layout.batchPages);
    this.pageCrcs = new BigUint64Array(buffer, layout.pageCrcs, layout.batchPages);
    this.#abi = abi;
    this.#layout = layout;
    this.#scratch = new Uint8Array(buffer, layout.scratch, layout.scratchSize);
    this.#slot = new Int32Array(buffer, slot, RESULT_SLOT_SIZE / 4);
  }

  crc64(crc: CrcRegister, bytes: Uint8Array): void {
    this.#putCrc(crc);
    if (bytes.buffer === this.input.buffer) {
      this.#abi.crc64(bytes.byteOffset, bytes.length);
    } else {
      this.#crcOfForeign(bytes);
    }
    this.#getCrc(crc);
  }

  crc64Shift(crc: CrcRegister, count: number): void {
    assert(Number.isSafeInteger(count) && count >= 0, `shift of ${count} bytes is in range`);
    this.#putCrc(crc);
    this.#abi.crc64Shift(count >>> 0, Math.floor(count / 2 ** 32));
    this.#getCrc(crc);
  }

  pageChecksums(pgnos: Uint32Array, place: BatchPlace = {}): BigUint64Array<ArrayBuffer> {
    const count = pgnos.length;
    const { offset, stride } = this.#checkPlace(count, place);
    this.pgnos.set(pgnos);
    this.#abi.pageChecksums(this.#layout.input + offset, stride, count);
    return this.checksums.subarray(0, count);
  }

  walSum(sum: WalSum, bytes: Uint8Array, options: { readonly bigEndian: boolean }): void {
    assert(
      bytes.length % 8 === 0 && bytes.length <= this.#scratch.length,
      `${bytes.length} bytes are whole words and fit the scratch area`,
    );
    this.#scratch.set(bytes);
    this.#putWalSum(sum);
    this.#abi.walSum(this.#layout.scratch, bytes.length, options.bigEndian ? 1 : 0);
    this.#getWalSum(sum);
  }

  walFrames(count: number, generation: WalGeneration, sum: WalSum): number {
    this.#checkPlace(count, { stride: WAL_FRAME_HEADER_SIZE + this.pageSize });
    this.#putWalSum(sum);
    const { salt1, salt2, bigEndian } = generation;
    const held = this.#abi.walFrames(this.#layout.input, count, salt1, salt2, bigEndian ? 1 : 0);
    this.#getWalSum(sum);
    return held;
  }

  encodePages(count: number, format: PageFormat, crc: CrcRegister, place: BatchPlace = {}): number {
    const { offset, stride } = this.#checkPlace(count, place);
    const { input, output } = this.#layout;
    this.#putCrc(crc);
    const legacy = format === "frame" ? 1 : 0;
    const size = this.#abi.encodePages(input + offset, stride, count, legacy, output);
    this.#getCrc(crc);
    return size;
  }

  decodePages(
    crc: CrcRegister,
    source: { offset: number; size: number; maxCount: number },
  ): DecodedRun {
    const { offset, size, maxCount } = source;
    assert(
      offset >= 0 && size >= 0 && offset + size <= this.input.length,
      `frames at ${offset}, ${size} bytes, lie in the input area`,
    );
    assert(maxCount >= 0 && maxCount <= this.batchPages, `${maxCount} pages fit a batch`);
    const { input, output } = this.#layout;
    this.#putCrc(crc);
    const count = this.#abi.decodePages(input + offset, size, output, maxCount);
    this.#getCrc(crc);
    const consumed = this.#word(RESULT_SLOT.consumed) >>> 0;
    return { count, consumed, stop: this.#word(RESULT_SLOT.stop) as DecodeStop };
  }

  hashFrames(count: number, crc: CrcRegister): void {
    let size = 0;
    assert(count >= 0 && count <= this.batchPages, `${count} frames fit a batch`);
    for (let i = 0; i < count; i++) size += this.frameSizes[i] ?? 0;
    assert(size <= this.input.length, `frames of ${size} bytes lie in the input area`);
    this.#putCrc(crc);
    this.#abi.hashFrames(this.#layout.input, count);
    this.#getCrc(crc);
  }

  lz4Compress(bytes: Uint8Array): Uint8Array {
    assert(bytes.length <= this.pageSize, `${bytes.length} bytes are at most a page`);
    this.input.set(bytes);
    const { input, output } = this.#layout;
    const size = this.#abi.lz4Compress(input, bytes.length, output);
    return this.output.subarray(0, size);
  }

  lz4Decompress(block: Uint8Array): Uint8Array | undefined {
    if (block.length > lz4BlockBound(this.pageSize)) return undefined;
    assert(
      block.length <= this.input.length,
      `a block of ${block.length} bytes fits the input area`,
    );
    this.input.set(block);
    const { input, output } = this.#layout;
    const size = this.#abi.lz4Decompress(input, block.length, output, this.pageSize);
    return size === LZ4_MALFORMED ? undefined : this.output.subarray(0, size);
  }

  xxh32(bytes: Uint8Array): number {
    assert(bytes.length <= this.pageSize, `${bytes.length} bytes are at most a page`);
    this.input.set(bytes);
    return this.#abi.xxh32(this.#layout.input, bytes.length) >>> 0;
  }

  /** Bytes of another memory go through the scratch area, so that neither input nor output is disturbed. */
  #crcOfForeign(bytes: Uint8Array): void {
    const piece = this.#scratch.length;
    for (let offset = 0; offset < bytes.length; offset += piece) {
      const part = bytes.subarray(offset, offset + piece);
      this.#scratch.set(part);
      this.#abi.crc64(this.#layout.scratch, part.length);
    }
  }

  #checkPlace(count: number, place: BatchPlace): { offset: number; stride: number } {
    const { offset = 0, stride = this.pageSize } = place;
    assert(
      count >= 0 && count <= this.batchPages,
      `${count} pages fit a batch of ${this.batchPages}`,
    );
    const end = count === 0 ? 0 : offset + (count - 1) * stride + this.pageSize;
    assert(
      offset >= 0 && stride >= 0 && end <= this.input.length,
      `${count} pages from ${offset} on lie in the input area`,
    );
    return { offset, stride };
  }

  #word(offset: number): number {
    return this.#slot[offset / 4] ?? 0;
  }

  #putCrc(crc: CrcRegister): void {
    this.#slot[RESULT_SLOT.crc / 4] = crc.low;
    this.#slot[RESULT_SLOT.crc / 4 + 1] = crc.high;
  }

  #getCrc(crc: CrcRegister): void {
    crc.low = this.#word(RESULT_SLOT.crc);
    crc.high = this.#word(RESULT_SLOT.crc + 4);
  }

  #putWalSum(sum: WalSum): void {
    this.#slot[RESULT_SLOT.walSum / 4] = sum.s0;
    this.#slot[RESULT_SLOT.walSum / 4 + 1] = sum.s1;
  }

  #getWalSum(sum: WalSum): void {
    sum.s0 = this.#word(RESULT_SLOT.walSum) >>> 0;
    sum.s1 = this.#word(RESULT_SLOT.walSum + 4) >>> 0;
  }
}
