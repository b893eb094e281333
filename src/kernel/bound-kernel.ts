/**
 * The kernel's interface on top of one engine: views, checks of arguments, and registers through
 * the result slot.
 */
import { assert } from "../base/assert.ts";
import {
  LZ4_MALFORMED,
  RESULT_SLOT,
  RESULT_SLOT_SIZE,
  WAL_FRAME_HEADER_SIZE,
  lz4BlockBound,
} from "./abi.ts";
import type { DecodeStop, KernelAbi, KernelLayout } from "./abi.ts";
import type {
  BatchPlace,
  DecodedRun,
  Kernel,
  PageFormat,
  WalGeneration,
  WalSum,
} from "./contract.ts";
import type { CrcRegister } from "./crc.ts";
import type { KernelEngine } from "./engine.ts";

export class BoundKernel implements Kernel {
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
    source: { offset: number; size: number; maxCount: number; hashed?: boolean | undefined },
  ): DecodedRun {
    const { offset, size, maxCount, hashed = true } = source;
    assert(
      offset >= 0 && size >= 0 && offset + size <= this.input.length,
      `frames at ${offset}, ${size} bytes, lie in the input area`,
    );
    assert(maxCount >= 0 && maxCount <= this.batchPages, `${maxCount} pages fit a batch`);
    const { input, output } = this.#layout;
    this.#putCrc(crc);
    const isHashed = hashed ? 1 : 0;
    const count = this.#abi.decodePages(input + offset, size, output, maxCount, isHashed);
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

  lz4Decompress(block: Uint8Array, capacity: number = this.pageSize): Uint8Array | undefined {
    assert(
      capacity <= this.output.length,
      `a block that holds ${capacity} bytes fits the output area`,
    );
    if (block.length > lz4BlockBound(capacity)) return undefined;
    assert(
      block.length <= this.input.length,
      `a block of ${block.length} bytes fits the input area`,
    );
    this.input.set(block);
    const { input, output } = this.#layout;
    const size = this.#abi.lz4Decompress(input, block.length, output, capacity);
    return size === LZ4_MALFORMED ? undefined : this.output.subarray(0, size);
  }

  xxh32(bytes: Uint8Array): number {
    assert(bytes.length <= this.pageSize, `${bytes.length} bytes are at most a page`);
    this.input.set(bytes);
    return this.#abi.xxh32(this.#layout.input, bytes.length) >>> 0;
  }

  /**
   * Bytes of another memory go through the scratch area, so that neither input nor output is
   * disturbed.
   */
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
