/**
 * Page frames to pages of the database file: the work of one decoding thread, without the thread.
 *
 * Input is a piece of an LTX file and where the page index says its frames are; between them may come frames of
 * newer files out of the scratch file. Each frame must be what the index says (number, size), decode to exactly one
 * page, and is then written to its place; pages of zeros are left as holes of the new file. Two sums come back: the
 * XOR of the page checksums of what was written, which add up to the database checksum, and the raw CRC of all
 * frames, from which the file's checksum can be joined in order.
 */
import { assert, defined } from "../base/assert.ts";
import { MillraceError, type ErrorCode } from "../errors.ts";
import {
  DECODE_STOP,
  openKernel,
  type CrcRegister,
  type DecodeStop,
  type Kernel,
} from "../kernel/kernel.ts";
import { lockPgno } from "../ltx/header.ts";
import type { Files } from "../platform/files.ts";
import type { LocalFile } from "./local-file.ts";
import type { PageRun } from "./page-set.ts";

/** Words of one row in `FrameTask.frames`. */
export const FRAME_WORDS = 3;

/** What becomes of a page: only decoded, or written and counted; or that, with the frame out of the scratch file. */
export const FRAME_USE = { check: 0, take: 1, patch: 2 } as const;
export type FrameUse = (typeof FRAME_USE)[keyof typeof FRAME_USE];

/** Frames of one LTX file, ascending, to be decoded. */
export interface FrameTask {
  /** The piece of the file that holds the frames, or the path of the whole file. */
  readonly source: Uint8Array<ArrayBuffer> | string;
  /** Where the piece begins in the LTX file. */
  readonly fileOffset: number;
  readonly sizeBytes: number;
  /** Three words a frame: page number, offset in the piece (of a patch: in the scratch file), size. */
  readonly frames: Uint32Array<ArrayBuffer>;
  /** One byte a frame, a `FrameUse`. */
  readonly uses: Uint8Array<ArrayBuffer>;
  /** Where in the scratch file to keep the whole piece. */
  readonly keepAt: number | undefined;
}

export interface FrameSums {
  /** Pages taken. */
  readonly pages: number;
  /** XOR of the checksums of these pages; bit 63 means nothing in it. */
  readonly sum: CrcRegister;
  /** CRC of the frames as the file checksum hashes them, from register 0 and not inverted. */
  readonly crc: CrcRegister;
  /** How many bytes that CRC covers. */
  readonly hashedBytes: number;
}

const WRITE_OP = "restore page write";
const READ_OP = "restore output read";
const KEEP_OP = "restore scratch write";
const PATCH_OP = "restore scratch read";
/**
 * Bytes of pages decoded and written at a time. Threads write to one file, which lets one of them in at a time: with less,
 * they wait for each other more; more no longer fits the second-level cache.
 */
const BATCH_BYTES = 256 * 1024;
const MIN_BATCH_PAGES = 16;
const MAX_BATCH_PAGES = 1024;
const BLOCK_HEADER_SIZE = 10;
const LEGACY_HEADER_SIZE = 6;

const STOPS: Readonly<Record<DecodeStop, { code: ErrorCode; found: string }>> = {
  [DECODE_STOP.done]: { code: "ltx/invalid", found: "the page index names a longer frame" },
  [DECODE_STOP.endMarker]: {
    code: "ltx/invalid",
    found: "an end marker where the page index names a frame",
  },
  [DECODE_STOP.incomplete]: {
    code: "ltx/invalid",
    found: "the frame is longer than the page index says",
  },
  [DECODE_STOP.badFlags]: { code: "ltx/invalid", found: "unknown page flags" },
  [DECODE_STOP.badSize]: { code: "ltx/invalid", found: "an impossible payload size" },
  [DECODE_STOP.badPayload]: {
    code: "ltx/invalid",
    found: "a payload that does not decompress to one page",
  },
  [DECODE_STOP.badContentChecksum]: {
    code: "ltx/checksum-mismatch",
    found: "a payload with a wrong checksum",
  },
};

/** Decodes frames of one page size into one open file, or into nothing. */
export class FrameDecoder {
  readonly #kernel: Kernel;
  readonly #files: Files;
  readonly #local: LocalFile;
  readonly #fd: number | undefined;
  readonly #scratchFd: number | undefined;
  readonly #hashed: boolean;
  /** The kernel's checksums as pairs of words. */
  readonly #checksumWords: Uint32Array<ArrayBuffer>;
  readonly #outputWords: Uint32Array<ArrayBuffer>;

  /** `fd` and `scratchFd` are borrowed; without `fd`, pages are decoded only. Unless `hashed` all sums are zero. */
  constructor(options: {
    readonly pageSize: number;
    readonly files: Files;
    readonly local: LocalFile;
    readonly fd?: number | undefined;
    readonly scratchFd?: number | undefined;
    readonly hashed: boolean;
  }) {
    const { pageSize, files, local, fd, scratchFd, hashed } = options;
    this.#local = local;
    this.#hashed = hashed;
    const batchPages = Math.max(
      MIN_BATCH_PAGES,
      Math.min(MAX_BATCH_PAGES, Math.floor(BATCH_BYTES / pageSize)),
    );
    this.#kernel = openKernel({ pageSize, batchPages });
    this.#files = files;
    this.#fd = fd;
    this.#scratchFd = scratchFd;
    this.#checksumWords = wordsOf(this.#kernel.checksums);
    const { output } = this.#kernel;
    this.#outputWords = new Uint32Array(output.buffer, output.byteOffset, output.length >>> 2);
  }

  /** Throws `ltx/invalid` or `ltx/checksum-mismatch` with the page and its offset, what writing throws
   * (`fs/*`), or `storage/unavailable` when a file cannot be read by its path.
   */
  decode(task: FrameTask): FrameSums {
    if (task.keepAt !== undefined) this.#keep(task, task.keepAt);
    const count = task.frames.length / FRAME_WORDS;
    const sums = { pages: 0, sum: { low: 0, high: 0 }, crc: { low: 0, high: 0 }, hashedBytes: 0 };
    for (let done = 0; done < count;) {
      const packed = this.#pack(task, done, count);
      const run = this.#kernel.decodePages(sums.crc, {
        offset: 0,
        size: packed.sizeBytes,
        maxCount: packed.count,
        hashed: this.#hashed,
      });
      let at = 0;
      for (let i = 0; i < packed.count; i += 1) {
        this.#checkFrame(
          task,
          done + i,
          i < run.count ? this.#kernel.frameSizes[i] : undefined,
          run.stop,
          i,
        );
        const flags = this.#kernel.input[at + 5];
        at += word(task.frames, done + i, 2);
        sums.hashedBytes +=
          (flags === 0 ? LEGACY_HEADER_SIZE : BLOCK_HEADER_SIZE) + this.#kernel.pageSize;
      }
      sums.pages += this.#place(task, done, packed.count, sums.sum);
      done += packed.count;
    }
    return sums;
  }

  /** XOR of the checksums of pages as they are in the output, which must be open; the lock page does not count. */
  sumOutput({ first, last }: PageRun): CrcRegister {
    const { pageSize, batchPages, input } = this.#kernel;
    const fd = defined(this.#fd, "the output to be read");
    const lock = lockPgno(pageSize);
    const sum = { low: 0, high: 0 };
    for (let pgno = first; pgno <= last;) {
      const count = Math.min(batchPages, last - pgno + 1);
      const bytes = input.subarray(0, count * pageSize);
      const got = this.#files.read(READ_OP, fd, bytes, (pgno - 1) * pageSize);
      if (got !== bytes.length) {
        const message = `${READ_OP}: it ends ${bytes.length - got} bytes early`;
        throw new MillraceError("restore/unproven", message, { op: READ_OP });
      }
      this.#kernel.pageChecksums(Uint32Array.from({ length: count }, (_, i) => pgno + i));
      for (let i = 0; i < count; i += 1) if (pgno + i !== lock) this.#addChecksum(sum, i);
      pgno += count;
    }
    return sum;
  }

  /** Lays as many frames as fit, from `start` on, one after the other into the kernel's input. */
  #pack(task: FrameTask, start: number, end: number): { count: number; sizeBytes: number } {
    const { input, batchPages } = this.#kernel;
    const { frames } = task;
    const limit = Math.min(end, start + batchPages);
    let sizeBytes = 0;
    let index = start;
    while (index < limit) {
      const from = word(frames, index, 1);
      if (task.uses[index] === FRAME_USE.patch) {
        const size = word(frames, index, 2);
        if (sizeBytes + size > input.length) break;
        this.#readPatch(from, input.subarray(sizeBytes, sizeBytes + size));
        sizeBytes += size;
        index += 1;
        continue;
      }
      let to = from;
      // Neighbours in the file are copied together.
      while (
        index < limit &&
        word(frames, index, 1) === to &&
        task.uses[index] !== FRAME_USE.patch
      ) {
        const size = word(frames, index, 2);
        if (sizeBytes + (to - from) + size > input.length) break;
        to += size;
        index += 1;
      }
      if (to === from) break;
      this.#copy(task, from, input.subarray(sizeBytes, sizeBytes + to - from));
      sizeBytes += to - from;
    }
    assert(index > start, "a frame fits the kernel's input");
    return { count: index - start, sizeBytes };
  }

  /** Copies the task's piece into the scratch file. */
  #keep(task: FrameTask, keepAt: number): void {
    const fd = defined(this.#scratchFd, "the scratch file");
    const { input } = this.#kernel;
    for (let done = 0; done < task.sizeBytes; done += input.length) {
      const part = input.subarray(0, Math.min(input.length, task.sizeBytes - done));
      this.#copy(task, done, part);
      this.#files.write(KEEP_OP, fd, part, keepAt + done);
    }
  }

  #readPatch(offset: number, target: Uint8Array): void {
    const fd = defined(this.#scratchFd, "the scratch file");
    const got = this.#files.read(PATCH_OP, fd, target, offset);
    assert(got === target.length, "a patch lies in the scratch file");
  }

  /** Fills `target` from `offset` of the task's piece on. */
  #copy({ source, fileOffset }: FrameTask, offset: number, target: Uint8Array): void {
    if (typeof source === "string") {
      this.#local.read(source, fileOffset + offset, target);
      return;
    }
    assert(
      offset + target.length <= source.length,
      "the frames lie in the bytes that came with them",
    );
    target.set(source.subarray(offset, offset + target.length));
  }

  /** Compares what was decoded as the batch's `i`th frame with what the index says of frame `index`. */
  #checkFrame(
    task: FrameTask,
    index: number,
    size: number | undefined,
    stop: DecodeStop,
    i: number,
  ): void {
    const pgno = word(task.frames, index, 0);
    if (size === word(task.frames, index, 2) && this.#kernel.pgnos[i] === pgno) return;
    const { code, found } =
      size === undefined
        ? STOPS[stop]
        : { code: "ltx/invalid" as const, found: `page ${this.#kernel.pgnos[i]} of ${size} bytes` };
    const isPatch = task.uses[index] === FRAME_USE.patch;
    const offset = (isPatch ? 0 : task.fileOffset) + word(task.frames, index, 1);
    // Which file a patch came from is found out by checking them all.
    const file = isPatch ? { file: "the scratch file" } : {};
    throw new MillraceError(code, `decode page ${pgno} at offset ${offset}: ${found}`, {
      op: "decode page",
      details: { pgno, offset, reason: found, ...file },
    });
  }

  /** Writes the wanted pages of a decoded batch in runs of neighbours and adds up their checksums. */
  #place(task: FrameTask, start: number, count: number, sum: CrcRegister): number {
    const { pgnos } = this.#kernel;
    let pages = 0;
    let first = 0;
    for (let i = 0; i < count; i += 1) {
      const use = task.uses[start + i];
      if (use !== FRAME_USE.check) {
        if (this.#hashed) this.#addChecksum(sum, i);
        pages += 1;
      }
      const isNeighbour = i > first && pgnos[i] === (pgnos[i - 1] ?? 0) + 1;
      const isWritten = use !== FRAME_USE.check && !this.#isZero(i);
      if (isWritten && (isNeighbour || i === first)) continue;
      this.#write(first, i);
      first = isWritten ? i : i + 1;
    }
    this.#write(first, count);
    return pages;
  }

  #write(first: number, end: number): void {
    if (this.#fd === undefined || first >= end) return;
    const { output, pageSize, pgnos } = this.#kernel;
    const offset = ((pgnos[first] ?? 1) - 1) * pageSize;
    this.#files.write(
      WRITE_OP,
      this.#fd,
      output.subarray(first * pageSize, end * pageSize),
      offset,
    );
  }

  /** Whether page `i` of the batch is zeros, which a new file has without being written. */
  #isZero(i: number): boolean {
    const words = this.#kernel.pageSize / 4;
    const end = (i + 1) * words;
    for (let k = i * words; k < end; k += 1) if (this.#outputWords[k] !== 0) return false;
    return true;
  }

  #addChecksum(sum: CrcRegister, i: number): void {
    sum.low ^= this.#checksumWords[2 * i] ?? 0;
    sum.high ^= this.#checksumWords[2 * i + 1] ?? 0;
  }
}

function wordsOf(pairs: BigUint64Array<ArrayBuffer>): Uint32Array<ArrayBuffer> {
  return new Uint32Array(pairs.buffer, pairs.byteOffset, pairs.length * 2);
}

function word(frames: Uint32Array<ArrayBuffer>, index: number, column: number): number {
  return frames[index * FRAME_WORDS + column] ?? 0;
}
