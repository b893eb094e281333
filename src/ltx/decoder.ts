/**
 * Reads one LTX file a batch at a time and proves it while doing so.
 *
 * The page index is read first, from the file's end, and tells exactly which bytes the next frames take: reads are exact,
 * nothing is carried over in the kernel between calls (so any number of decoders may share one), and every frame is
 * compared with its index entry on the way. Memory is bounded by the batch whatever the file's size.
 *
 * Refused, in addition to what the reference decoder refuses: pages out of order, out of range, or the lock page; pages
 * that do not decompress to exactly one page; payloads longer than LZ4 can make; an index that disagrees with the frames;
 * a snapshot with missing pages; checksums present or absent against the header's flag; bytes behind the end.
 *
 * Source: replication-core spec 1 (superfly/ltx `Decoder`), 7.2 hazard 86.
 */
import { ByteReader, view } from "../base/bytes.ts";
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
import type { FrameBatch } from "./encoder.ts";
import { SNIFF_SIZE, rejectOldEncodings } from "./encodings.ts";
import { UNNAMED, ltxError, ltxMisuse } from "./errors.ts";
import type { LtxErrorCode, LtxErrorDetails } from "./errors.ts";
import { decodeHeader, isSnapshot, isTracked } from "./header.ts";
import type { LtxHeader } from "./header.ts";
import { INDEX_TAIL_SIZE, PageIndexCursor, locatePageIndex } from "./page-index.ts";
import type { PageIndex, PageIndexPlace } from "./page-index.ts";
import { RollingChecksum } from "./rolling-checksum.ts";

/** Where a file comes from: random access, synchronous. */
export interface LtxSource {
  readonly sizeBytes: number;
  /** Reads up to `target.length` bytes at `offset`; returns how many. Fewer only at the end of the file. */
  read(offset: number, target: Uint8Array): number;
  /** What messages call the file: a path or key. */
  readonly name?: string | undefined;
}

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
   * Rolling checksum of the database after applying the file: computed for a snapshot, else what the header's tag or the
   * trailer says; NO_CHECKSUM when nothing says it.
   */
  readonly databaseChecksum: Checksum;
}

export interface LtxDecoderOptions {
  /** Opened for the file's page size; `readLtxHeader` tells it. Its areas are used during calls only. */
  readonly kernel: Kernel;
  readonly source: LtxSource;
  /** Most pages of a batch; the kernel's by default. */
  readonly batchPages?: number | undefined;
}

/** Bytes read at once from the end of the file; holds the whole index of a small file. */
const TAIL_READ_SIZE = 4096;
/** Bytes of a large index that are read at once. */
const INDEX_READ_SIZE = 32 * 1024;
const ACTION = "decode LTX file";

const NO_ENTRIES: PageIndex = {
  pgnos: new Uint32Array(0),
  offsets: new Float64Array(0),
  sizes: new Uint32Array(0),
};

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

/** Reads and checks only the header, to learn the page size a kernel is needed for. */
export function readLtxHeader(source: LtxSource): LtxHeader {
  const name = source.name ?? UNNAMED;
  return decodeHeader(readHeaderBytes(source, name), name);
}

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

function readHeaderBytes(source: LtxSource, name: string): Uint8Array {
  return readExactly(source, 0, Math.min(source.sizeBytes, HEADER_SIZE), name);
}

function readExactly(source: LtxSource, offset: number, size: number, name: string): Uint8Array {
  const bytes = new Uint8Array(size);
  readInto(source, offset, bytes, name);
  return bytes;
}

function readInto(source: LtxSource, offset: number, target: Uint8Array, name: string): void {
  const got = source.read(offset, target);
  if (got === target.length) return;
  const problem = `${got} bytes at offset ${offset}, wanted ${target.length}`;
  throw ltxError("ltx/truncated", name, problem, { offset });
}

export class LtxDecoder {
  readonly header: LtxHeader;
  readonly #kernel: Kernel;
  readonly #source: LtxSource;
  readonly #name: string;
  readonly #batchPages: number;
  readonly #place: PageIndexPlace;
  /** The last bytes of the file, from `#tailOffset` on. */
  readonly #tail: Uint8Array;
  readonly #tailOffset: number;
  readonly #cursor: PageIndexCursor;
  readonly #crc: CrcRegister = newCrc();
  readonly #rolling = new RollingChecksum();
  /** Index bytes given to the cursor so far. */
  #indexed = 0;
  #entries = NO_ENTRIES;
  /** First of `#entries` that has not been decoded. */
  #row = 0;
  #pageCount = 0;
  #state: State = { at: "pages" };

  /**
   * Reads header and tail. Throws `ltx/truncated`, `ltx/invalid`, `ltx/unsupported` for encodings before version 3, and
   * `ltx/misuse` when the kernel has another page size.
   */
  constructor(options: LtxDecoderOptions) {
    const { kernel, source } = options;
    this.#kernel = kernel;
    this.#source = source;
    this.#name = source.name ?? UNNAMED;
    this.#batchPages = Math.min(options.batchPages ?? kernel.batchPages, kernel.batchPages);
    const headerBytes = readHeaderBytes(source, this.#name);
    this.header = decodeHeader(headerBytes, this.#name);
    if (kernel.pageSize !== this.header.pageSize) {
      const problem = `kernel for pages of ${kernel.pageSize}, header says ${this.header.pageSize}`;
      throw ltxMisuse(ACTION, problem);
    }
    this.#rejectOldEncodings();
    const tailSize = Math.min(source.sizeBytes - HEADER_SIZE, TAIL_READ_SIZE);
    this.#tailOffset = source.sizeBytes - tailSize;
    this.#tail = this.#read(this.#tailOffset, tailSize);
    const indexTail = this.#tail.subarray(Math.max(0, tailSize - INDEX_TAIL_SIZE));
    this.#place = locatePageIndex(indexTail, source.sizeBytes, this.#name);
    const { framesEnd } = this.#place;
    this.#cursor = new PageIndexCursor({ header: this.header, framesEnd, name: this.#name });
    kernel.crc64(this.#crc, headerBytes);
  }

  /** The next pages, `undefined` after the last. Throws `ltx/invalid` or `ltx/truncated`. */
  next(): LtxBatch | undefined {
    if (this.#state.at === "end" || this.#state.at === "finished") return undefined;
    this.#expectUsable();
    return this.#guard(() => {
      if (!this.#refill()) {
        this.#state = { at: "end" };
        return undefined;
      }
      return this.#decodeBatch();
    });
  }

  /**
   * Checks everything that can be known only at the end: that all pages were read, the end marker, the file checksum,
   * and for a snapshot the database checksums it carries. A second call returns the same. Throws
   * `ltx/checksum-mismatch` or `ltx/invalid`.
   */
  finish(): LtxProof {
    if (this.#state.at === "finished") return this.#state.proof;
    this.#expectUsable();
    if (this.#state.at === "pages" && this.next() !== undefined) {
      throw ltxMisuse(ACTION, "finished before all pages were read");
    }
    const proof = this.#guard(() => this.#checkEnd());
    this.#state = { at: "finished", proof };
    return proof;
  }

  /** Makes sure that an entry is at hand; false at the end of the index. */
  #refill(): boolean {
    while (this.#row === this.#entries.pgnos.length) {
      if (this.#indexed === this.#place.size) {
        this.#cursor.finish();
        return false;
      }
      const chunk = this.#indexChunk(this.#indexed);
      this.#entries = this.#cursor.push(chunk);
      this.#indexed += chunk.length;
      this.#row = 0;
    }
    return true;
  }

  /** The next index bytes from `at` on, from what was read of the tail when they are there. */
  #indexChunk(at: number): Uint8Array {
    const offset = this.#place.offset + at;
    const rest = this.#place.size - at;
    if (offset < this.#tailOffset) {
      return this.#read(offset, Math.min(rest, INDEX_READ_SIZE, this.#tailOffset - offset));
    }
    return view(this.#tail, offset - this.#tailOffset, rest, this.#origin());
  }

  #decodeBatch(): LtxBatch {
    const kernel = this.#kernel;
    const { offset, size, count } = this.#nextRun();
    const frames = view(kernel.input, 0, size, this.#origin());
    this.#readInto(offset, frames);
    const run = kernel.decodePages(this.#crc, { offset: 0, size, maxCount: count });
    this.#compareWithIndex(run.count);
    if (run.count !== count || run.stop !== DECODE_STOP.done || run.consumed !== size) {
      throw this.#frameError(run.count, STOP_PROBLEMS[run.stop]);
    }
    this.#row += count;
    this.#pageCount += count;
    const checksums = kernel.checksums.subarray(0, count);
    if (isSnapshot(this.header)) this.#rolling.fold(checksums);
    return {
      count,
      offset,
      pgnos: kernel.pgnos.subarray(0, count),
      pages: kernel.output.subarray(0, count * kernel.pageSize),
      checksums,
      frames,
      frameSizes: kernel.frameSizes.subarray(0, count),
      pageCrcs: kernel.pageCrcs.subarray(0, count),
    };
  }

  /** The entries from `#row` on whose frames fit into a batch and the kernel's input. */
  #nextRun(): { offset: number; size: number; count: number } {
    const { offsets, sizes } = this.#entries;
    let size = 0;
    let count = 0;
    while (count < this.#batchPages && this.#row + count < sizes.length) {
      const next = size + (sizes[this.#row + count] ?? 0);
      if (next > this.#kernel.input.length) break;
      size = next;
      count += 1;
    }
    return { offset: offsets[this.#row] ?? 0, size, count };
  }

  /** Compares the first `count` decoded frames with their index entries. */
  #compareWithIndex(count: number): void {
    const { pgnos, frameSizes } = this.#kernel;
    for (let i = 0; i < count; i++) {
      const pgno = this.#entries.pgnos[this.#row + i];
      const size = this.#entries.sizes[this.#row + i];
      if (pgnos[i] === pgno && frameSizes[i] === size) continue;
      const found = `page ${pgnos[i]} in ${frameSizes[i]} bytes`;
      throw this.#frameError(i, `${found}, its index entry says page ${pgno} in ${size} bytes`);
    }
  }

  #frameError(i: number, problem: string): MillraceError {
    const row = Math.min(this.#row + i, this.#entries.pgnos.length - 1);
    const pgno = this.#entries.pgnos[row] ?? 0;
    const offset = this.#entries.offsets[row] ?? 0;
    return this.#error("ltx/invalid", `frame of page ${pgno} at offset ${offset}: ${problem}`, {
      pgno,
      offset,
    });
  }

  #checkEnd(): LtxProof {
    this.#checkEndMarker();
    for (let at = 0; at < this.#place.size;) {
      const chunk = this.#indexChunk(at);
      this.#kernel.crc64(this.#crc, chunk);
      at += chunk.length;
    }
    const tailOffset = this.#source.sizeBytes - INDEX_TAIL_SIZE - this.#tailOffset;
    const tail = view(this.#tail, tailOffset, INDEX_TAIL_SIZE, this.#origin());
    const hashed = INDEX_TAIL_SIZE - TRAILER_FIELDS.fileChecksum.size;
    this.#kernel.crc64(this.#crc, tail.subarray(0, hashed));
    const reader = new ByteReader(tail, this.#origin());
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
    const offset = this.#place.framesEnd;
    const marker = this.#read(offset, PAGE_HEADER_SIZE);
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

  #rejectOldEncodings(): void {
    const start = this.#read(
      HEADER_SIZE,
      Math.min(this.#source.sizeBytes - HEADER_SIZE, SNIFF_SIZE),
    );
    rejectOldEncodings(start, this.header, { name: this.#name, sizeBytes: this.#source.sizeBytes });
  }

  #read(offset: number, size: number): Uint8Array {
    return readExactly(this.#source, offset, size, this.#name);
  }

  #readInto(offset: number, target: Uint8Array): void {
    readInto(this.#source, offset, target, this.#name);
  }

  #origin(): { readonly code: LtxErrorCode; readonly what: string } {
    return { code: "ltx/truncated", what: `LTX file "${this.#name}"` };
  }

  #error(code: LtxErrorCode, problem: string, details: LtxErrorDetails = {}): MillraceError {
    return ltxError(code, this.#name, problem, details);
  }

  #expectUsable(): void {
    if (this.#state.at !== "failed") return;
    throw Object.assign(ltxMisuse(ACTION, "an earlier call failed"), { cause: this.#state.cause });
  }

  #guard<T>(step: () => T): T {
    try {
      return step();
    } catch (error) {
      this.#state = { at: "failed", cause: error };
      throw error;
    }
  }
}
