/**
 * Reads committed transactions out of a WAL: from a position whose checksum is known, frame by frame, each
 * verified against salts and the cumulative checksum, up to the last commit.
 *
 * The result keeps offsets, not page images, so a transaction larger than memory costs a few bytes a page.
 * Frames after the last commit are left for the next scan: their transaction may still be rolled back.
 *
 * Source: benbjohnson/litestream@63225f1 `WALReader.pageMap`; sqlite.org/fileformat2.html section 4.
 */
import { rows } from "../base/bytes.ts";
import type { Kernel } from "../kernel/kernel.ts";
import { FRAME_HEADER_SIZE, frameSize, WAL_HEADER_SIZE } from "./constants.ts";
import { parseFrameHeader } from "./frame.ts";
import type { WalHeader, WalSum } from "./header.ts";

/** A place between two transactions of one WAL generation. */
export interface WalPosition {
  /** Bytes from the start of the WAL file; `WAL_HEADER_SIZE` before the first frame. */
  readonly offset: number;
  /** Cumulative checksum of everything before `offset`. */
  readonly sum: WalSum;
}

/** Where the WAL's bytes come from: reads up to `target.length` bytes, short only at the end. */
export type WalRead = (target: Uint8Array, offset: number) => number;

/** The transactions between two positions, newest image of each page. */
export interface WalChunk {
  /** Byte offset of the newest frame of every page changed, keyed by page number; no page above `commit`. */
  readonly frames: ReadonlyMap<number, number>;
  /** Database size in pages after the last transaction; 0 when the chunk is empty. */
  readonly commit: number;
  readonly transactions: number;
  /** After the last transaction of the chunk. */
  readonly end: WalPosition;
  /** After the last frame that held, whether or not its transaction ends there. */
  readonly validEnd: number;
  /** The scan stopped at a commit because `maxBytes` was reached; more may follow. */
  readonly limited: boolean;
}

export function startOfGeneration(header: WalHeader): WalPosition {
  return { offset: WAL_HEADER_SIZE, sum: header.sum };
}

export interface WalScanOptions {
  readonly kernel: Kernel;
  readonly read: WalRead;
  readonly header: WalHeader;
  readonly from: WalPosition;
  /** Stop at the first commit at or past this many bytes; default unlimited. */
  readonly maxBytes?: number | undefined;
  /** Ignore everything at and after this offset. */
  readonly endOffset?: number | undefined;
  /** Keep pages above the final commit: frames that a later growth may bring back. */
  readonly keepCutOff?: boolean | undefined;
}

/** Scans from `from` to the last commit, or to the first commit past `maxBytes`. Uses the kernel's input area. */
export function scanWal(options: WalScanOptions): WalChunk {
  const scan = new Scan(options);
  while (scan.readBatch());
  return scan.finish();
}

class Scan {
  readonly #options: WalScanOptions;
  readonly #frameSize: number;
  /** Newest frame index by page number, of committed transactions. */
  readonly #committed = new Map<number, number>();
  /** Page numbers of the open transaction's frames, in order. */
  #open: number[] = [];
  #openStart: number;
  #sum: { s0: number; s1: number };
  #offset: number;
  #end: WalPosition;
  #commit = 0;
  #transactions = 0;
  #limited = false;

  constructor(options: WalScanOptions) {
    this.#options = options;
    this.#frameSize = frameSize(options.header.pageSize);
    this.#sum = { ...options.from.sum };
    this.#offset = options.from.offset;
    this.#openStart = this.#offset;
    this.#end = options.from;
  }

  /** Reads and takes one batch of frames; false at the end of what is valid or wanted. */
  readBatch(): boolean {
    const { kernel, read, header, endOffset = Number.POSITIVE_INFINITY } = this.#options;
    const wanted = Math.min(kernel.batchPages * this.#frameSize, endOffset - this.#offset);
    if (wanted < this.#frameSize) return false;
    const got = read(rows(kernel.input, 0, wanted), this.#offset);
    const complete = Math.floor(got / this.#frameSize);
    if (complete === 0) return false;
    const valid = this.#takeFrames(complete, header);
    return !this.#limited && valid === complete && got === wanted;
  }

  /** Verifies `count` frames in the kernel's input and files the valid ones; returns how many were valid. */
  #takeFrames(count: number, header: WalHeader): number {
    const { kernel, from, maxBytes } = this.#options;
    const valid = kernel.walFrames(count, header, this.#sum);
    for (let index = 0; index < valid; index++) {
      this.#open.push(kernel.pgnos[index] ?? 0);
      this.#offset += this.#frameSize;
      const commit = kernel.commits[index] ?? 0;
      if (commit === 0) continue;
      this.#endTransaction(commit, this.#sumOf(index));
      if (maxBytes !== undefined && this.#offset - from.offset >= maxBytes) {
        this.#limited = true;
        break;
      }
    }
    return valid;
  }

  /** The cumulative checksum that a verified frame in the kernel's input carries. */
  #sumOf(index: number): WalSum {
    const at = index * this.#frameSize;
    return parseFrameHeader(this.#options.kernel.input.slice(at, at + FRAME_HEADER_SIZE)).sum;
  }

  #endTransaction(commit: number, sum: WalSum): void {
    for (let index = 0; index < this.#open.length; index++) {
      const pgno = this.#open[index];
      if (pgno !== undefined) this.#committed.set(pgno, this.#openStart + index * this.#frameSize);
    }
    this.#open = [];
    this.#openStart = this.#offset;
    this.#commit = commit;
    this.#transactions += 1;
    this.#end = { offset: this.#offset, sum };
  }

  finish(): WalChunk {
    for (const pgno of this.#committed.keys()) {
      if (pgno > this.#commit && this.#options.keepCutOff !== true) this.#committed.delete(pgno);
    }
    return {
      frames: this.#committed,
      commit: this.#commit,
      transactions: this.#transactions,
      end: this.#end,
      validEnd: this.#offset,
      limited: this.#limited,
    };
  }
}
