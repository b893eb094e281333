/**
 * Reads one LTX file a batch at a time and proves it while doing so.
 *
 * The page index is read first, from the file's end, and tells exactly which bytes the next frames
 * take: reads are exact, nothing is carried over in the kernel between calls (so any number of
 * decoders may share one), and every frame is compared with its index entry on the way. Memory is
 * bounded by the batch whatever the file's size.
 *
 * Refused, in addition to what the reference decoder refuses: pages out of order, out of range, or
 * the lock page; pages that do not decompress to exactly one page; payloads longer than LZ4 can
 * make; an index that disagrees with the frames; a snapshot with missing pages; checksums present
 * or absent against the header's flag; bytes behind the end.
 *
 * Source: superfly/ltx@8cb8f8e `Decoder`; docs/formats/ltx.md.
 */
import { ByteReader, rows } from "../base/bytes.ts";
import { NO_CHECKSUM, formatChecksum, toChecksum } from "../base/ids.ts";
import type { Checksum } from "../base/ids.ts";
import type { MillraceError } from "../errors.ts";
import { DECODE_STOP, crcValue, newCrc, openKernel } from "../kernel/kernel.ts";
import type { CrcRegister, DecodeStop, Kernel } from "../kernel/kernel.ts";
import {
  CHECKSUM_FLAG,
  HEADER_SIZE,
  INDEX_SIZE_SIZE,
  PAGE_HEADER_SIZE,
  TRAILER_FIELDS,
} from "./constants.ts";
import { SNIFF_SIZE, rejectOldEncodings } from "./encodings.ts";
import { ltxError, ltxMisuse } from "./errors.ts";
import type { LtxErrorCode, LtxErrorDetails } from "./errors.ts";
import type { FrameBatch } from "./frame-batch.ts";
import { decodeHeader, isSnapshot, isTracked } from "./header.ts";
import type { LtxHeader } from "./header.ts";
import { IndexReader } from "./index-reader.ts";
import { RollingChecksum } from "./rolling-checksum.ts";
import { ExactSource, readLtxHeader } from "./source.ts";
import type { LtxSource } from "./source.ts";

export { readLtxHeader } from "./source.ts";
export type { LtxSource } from "./source.ts";

/** Decoded pages with their frames. Everything is borrowed from the kernel until its next use. */
export interface LtxBatch extends FrameBatch {
  readonly count: number;
  /** One page after the other, in ascending order. */
  readonly pages: Uint8Array<ArrayBuffer>;
  readonly pgnos: Uint32Array<ArrayBuffer>;
  /** LTX page checksums. */
  readonly checksums: BigUint64Array<ArrayBuffer>;
  readonly frames: Uint8Array<ArrayBuffer>;
  readonly frameSizes: Uint32Array<ArrayBuffer>;
  readonly pageCrcs: BigUint64Array<ArrayBuffer>;
  /** Offset of the first frame in the file. */
  readonly offset: number;
}

export interface LtxProof {
  readonly pageCount: number;
  readonly fileChecksum: Checksum;
  /** From the trailer; NO_CHECKSUM when the file's chain is not tracked. */
  readonly postApplyChecksum: Checksum;
  /**
   * Rolling checksum of the database after applying the file: computed for a snapshot, else what
   * the header's tag or the trailer says; NO_CHECKSUM when nothing says it.
   */
  readonly databaseChecksum: Checksum;
}

export interface LtxDecoderOptions {
  /**
   * Opened for the file's page size; `readLtxHeader` tells it. Its areas are used during calls
   * only.
   */
  readonly kernel: Kernel;
  readonly source: LtxSource;
  /** Most pages of a batch; the kernel's by default. */
  readonly batchPages?: number | undefined;
}

const ACTION = "decode LTX file";

/** What is wrong with a frame at which decoding stopped. */
const STOP_PROBLEMS: Readonly<Record<DecodeStop, string>> = {
  [DECODE_STOP.done]: "frames that take fewer bytes than their index entries say",
  [DECODE_STOP.endMarker]: "the end of pages where the index has a frame",
  [DECODE_STOP.incomplete]: "a frame that takes more bytes than its index entry says",
  [DECODE_STOP.badFlags]: "a page header with unknown flags, or flags on page 0",
  [DECODE_STOP.badSize]: "a payload longer than a page can make",
  [DECODE_STOP.badPayload]: "a payload that does not decompress to exactly one page",
  [DECODE_STOP.badContentChecksum]: "a payload whose content checksum is wrong",
};

type State =
  | { readonly at: "pages" }
  | { readonly at: "end" }
  | { readonly at: "finished"; readonly proof: LtxProof }
  | { readonly at: "failed"; readonly cause: unknown };

/** Reads a whole file and proves it. Throws what `LtxDecoder` throws. */
export function verifyLtx(
  source: LtxSource,
  options: { readonly kernel?: Kernel | undefined } = {},
): LtxProof & { readonly header: LtxHeader } {
  const kernel = options.kernel ?? openKernel({ pageSize: readLtxHeader(source).pageSize });
  const decoder = new LtxDecoder({ kernel, source });
  while (decoder.next() !== undefined);
  return { ...decoder.finish(), header: decoder.header };
}

export class LtxDecoder {
  readonly header: LtxHeader;
  readonly #kernel: Kernel;
  readonly #source: ExactSource;
  readonly #batchPages: number;
  readonly #index: IndexReader;
  readonly #crc: CrcRegister = newCrc();
  readonly #rolling = new RollingChecksum();
  #pageCount = 0;
  #state: State = { at: "pages" };

  /**
   * Reads header and tail. Throws `ltx/truncated`, `ltx/invalid`, `ltx/unsupported` for encodings
   * before version 3, and `ltx/misuse` when the kernel has another page size.
   */
  constructor(options: LtxDecoderOptions) {
    const { kernel, batchPages = kernel.batchPages } = options;
    const source = new ExactSource(options.source);
    const headerBytes = source.readHeader();
    this.header = decodeHeader(headerBytes, source.name);
    if (kernel.pageSize !== this.header.pageSize) {
      const problem = `kernel for pages of ${kernel.pageSize}, header says ${this.header.pageSize}`;
      throw ltxMisuse(ACTION, problem);
    }
    this.#kernel = kernel;
    this.#source = source;
    this.#batchPages = Math.min(Math.max(1, batchPages), kernel.batchPages);
    const start = source.read(HEADER_SIZE, Math.min(source.sizeBytes - HEADER_SIZE, SNIFF_SIZE));
    rejectOldEncodings(start, this.header, source);
    this.#index = new IndexReader(source, this.header);
    kernel.crc64(this.#crc, headerBytes);
  }

  /** The next pages, `undefined` after the last. Throws `ltx/invalid` or `ltx/truncated`. */
  next(): LtxBatch | undefined {
    if (this.#state.at === "end" || this.#state.at === "finished") return undefined;
    return this.#guard(() => {
      if (this.#index.refill()) return this.#decodeBatch();
      this.#state = { at: "end" };
      return undefined;
    });
  }

  /**
   * Checks everything that can be known only at the end: that all pages were read, the end marker,
   * the file checksum, and for a snapshot the database checksums it carries. A second call returns
   * the same. Throws `ltx/checksum-mismatch` or `ltx/invalid`.
   */
  finish(): LtxProof {
    if (this.#state.at === "finished") return this.#state.proof;
    const proof = this.#guard(() => {
      if (this.#state.at === "pages" && this.#index.refill()) {
        throw ltxMisuse(ACTION, "finished before all pages were read");
      }
      return this.#checkEnd();
    });
    this.#state = { at: "finished", proof };
    return proof;
  }

  #decodeBatch(): LtxBatch {
    const kernel = this.#kernel;
    const limit = { count: this.#batchPages, sizeBytes: kernel.input.length };
    const { offset, sizeBytes, count } = this.#index.nextRun(limit);
    const frames = rows(kernel.input, 0, sizeBytes);
    this.#source.readInto(offset, frames);
    const run = kernel.decodePages(this.#crc, { offset: 0, size: sizeBytes, maxCount: count });
    const pgnos = rows(kernel.pgnos, 0, run.count);
    const frameSizes = rows(kernel.frameSizes, 0, run.count);
    this.#index.expectFrames(pgnos, frameSizes);
    if (run.count !== count) {
      throw this.#index.frameError(run.count, STOP_PROBLEMS[run.stop]);
    }
    this.#index.advance(count);
    this.#pageCount += count;
    const checksums = rows(kernel.checksums, 0, count);
    if (isSnapshot(this.header)) this.#rolling.fold(checksums);
    const pages = rows(kernel.output, 0, count * kernel.pageSize);
    const pageCrcs = rows(kernel.pageCrcs, 0, count);
    return { count, offset, pgnos, pages, checksums, frames, frameSizes, pageCrcs };
  }

  #checkEnd(): LtxProof {
    this.#checkEndMarker();
    for (const piece of this.#index.pieces()) this.#kernel.crc64(this.#crc, piece);
    const tail = this.#index.fileTail;
    const hashed = tail.length - TRAILER_FIELDS.fileChecksum.size;
    this.#kernel.crc64(this.#crc, rows(tail, 0, hashed));
    const reader = new ByteReader(tail, { code: "ltx/truncated", what: "trailer" });
    reader.skip(INDEX_SIZE_SIZE);
    const postApplyChecksum = toChecksum(reader.u64());
    const fileChecksum = toChecksum(reader.u64());
    const computed = toChecksum(crcValue(this.#crc) | CHECKSUM_FLAG);
    this.#expectChecksum("file checksum", fileChecksum, computed);
    this.#checkPostApply(postApplyChecksum);
    const databaseChecksum = this.#checkDatabase(postApplyChecksum);
    return { pageCount: this.#pageCount, fileChecksum, postApplyChecksum, databaseChecksum };
  }

  #checkEndMarker(): void {
    const offset = this.#index.place.framesEnd;
    const marker = this.#source.read(offset, PAGE_HEADER_SIZE);
    if (marker.some((byte) => byte !== 0)) {
      throw this.#error("ltx/invalid", `no end of pages at offset ${offset}`, { offset });
    }
    this.#kernel.crc64(this.#crc, marker);
  }

  #checkPostApply(checksum: Checksum): void {
    const found = `post-apply checksum ${formatChecksum(checksum)}`;
    if (!isTracked(this.header)) {
      if (checksum === NO_CHECKSUM) return;
      throw this.#error("ltx/invalid", `${found}, wanted 0: flag NoChecksum is set`);
    }
    if ((checksum & CHECKSUM_FLAG) === 0n) {
      throw this.#error("ltx/invalid", `${found}, wanted bit 63 set`);
    }
    if (this.header.commit === 0 && checksum !== CHECKSUM_FLAG) {
      throw this.#error("ltx/invalid", `${found}, wanted that of an empty database`);
    }
  }

  /** Compares what a snapshot says of its database with its pages. */
  #checkDatabase(postApplyChecksum: Checksum): Checksum {
    const tagged = this.header.databaseChecksum;
    if (!isSnapshot(this.header)) return tagged === NO_CHECKSUM ? postApplyChecksum : tagged;
    const computed = this.#rolling.value;
    if (tagged !== NO_CHECKSUM) this.#expectChecksum("database checksum", tagged, computed);
    if (isTracked(this.header)) {
      this.#expectChecksum("post-apply checksum", postApplyChecksum, computed);
    }
    return computed;
  }

  #expectChecksum(what: string, found: Checksum, computed: Checksum): void {
    if (found === computed) return;
    const problem = `${what} ${formatChecksum(found)}, its content has ${formatChecksum(computed)}`;
    throw this.#error("ltx/checksum-mismatch", problem);
  }

  #error(code: LtxErrorCode, problem: string, details: LtxErrorDetails = {}): MillraceError {
    return ltxError(code, this.#source.name, problem, details);
  }

  /** Runs a step; when it throws, the decoder is of no more use. */
  #guard<T>(step: () => T): T {
    if (this.#state.at === "failed") {
      throw ltxMisuse(ACTION, "an earlier call failed", this.#state.cause);
    }
    try {
      return step();
    } catch (error) {
      this.#state = { at: "failed", cause: error };
      throw error;
    }
  }
}
