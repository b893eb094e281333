/**
 * Reads a file's page index from its end, a piece at a time, ahead of the frames that it describes.
 *
 * The last few kilobytes are read once: they hold the trailer and, in a small file, the whole
 * index. The index of a large file is read twice, here and for the file checksum, and never held.
 */
import { rows, view } from "../base/bytes.ts";
import type { MillraceError } from "../errors.ts";
import { HEADER_SIZE } from "./constants.ts";
import { ltxError } from "./errors.ts";
import type { LtxHeader } from "./header.ts";
import { INDEX_TAIL_SIZE, PageIndexCursor, locatePageIndex } from "./page-index.ts";
import type { PageIndex, PageIndexPlace } from "./page-index.ts";
import type { ExactSource } from "./source.ts";

/** Bytes read at once from the end of the file. */
const TAIL_SIZE = 4096;
/** Bytes of a large index that are read at once. */
const PIECE_SIZE = 32 * 1024;

const NO_ENTRIES: PageIndex = {
  pgnos: new Uint32Array(0),
  offsets: new Float64Array(0),
  sizes: new Uint32Array(0),
};

/** Frames that follow each other in the file. */
export interface FrameRun {
  readonly offset: number;
  readonly sizeBytes: number;
  readonly count: number;
}

export interface FrameRunLimit {
  readonly count: number;
  readonly sizeBytes: number;
}

export class IndexReader {
  readonly place: PageIndexPlace;
  readonly #source: ExactSource;
  readonly #tail: Uint8Array;
  readonly #tailOffset: number;
  readonly #cursor: PageIndexCursor;
  /** Index bytes given to the cursor so far. */
  #consumed = 0;
  #entries = NO_ENTRIES;
  #row = 0;

  /** Reads the file's tail. Throws `ltx/truncated` or `ltx/invalid`. */
  constructor(source: ExactSource, header: LtxHeader) {
    this.#source = source;
    const tailSize = Math.min(source.sizeBytes - HEADER_SIZE, TAIL_SIZE);
    this.#tailOffset = source.sizeBytes - tailSize;
    this.#tail = source.read(this.#tailOffset, tailSize);
    const end = rows(this.#tail, Math.max(0, tailSize - INDEX_TAIL_SIZE), tailSize);
    this.place = locatePageIndex(end, source.sizeBytes, source.name);
    const { framesEnd } = this.place;
    this.#cursor = new PageIndexCursor({ header, framesEnd, name: source.name });
  }

  /** The index's size field and the trailer. */
  get fileTail(): Uint8Array {
    return rows(this.#tail, this.#tail.length - INDEX_TAIL_SIZE, this.#tail.length);
  }

  /** Makes sure that an entry is at hand; false after the last. */
  refill(): boolean {
    while (this.#row === this.#entries.pgnos.length) {
      if (this.#consumed === this.place.size) {
        this.#cursor.finish();
        return false;
      }
      const piece = this.#piece(this.#consumed);
      this.#entries = this.#cursor.push(piece);
      this.#consumed += piece.length;
      this.#row = 0;
    }
    return true;
  }

  /** As many of the entries at hand as the limit allows. */
  nextRun(limit: FrameRunLimit): FrameRun {
    const { offsets, sizes } = this.#entries;
    let sizeBytes = 0;
    let count = 0;
    while (count < limit.count && this.#row + count < sizes.length) {
      const next = sizeBytes + (sizes[this.#row + count] ?? 0);
      if (next > limit.sizeBytes) break;
      sizeBytes = next;
      count += 1;
    }
    return { offset: offsets[this.#row] ?? 0, sizeBytes, count };
  }

  /** Moves past the entries of a run. */
  advance(count: number): void {
    this.#row += count;
  }

  /** Compares decoded frames with the entries at hand; throws `ltx/invalid`. */
  expectFrames(pgnos: Uint32Array, sizes: Uint32Array): void {
    for (let i = 0; i < pgnos.length; i++) {
      const pgno = this.#entries.pgnos[this.#row + i];
      const size = this.#entries.sizes[this.#row + i];
      if (pgnos[i] === pgno && sizes[i] === size) continue;
      const wanted = `its index entry says page ${pgno} in ${size} bytes`;
      throw this.frameError(i, `page ${pgnos[i]} in ${sizes[i]} bytes, ${wanted}`);
    }
  }

  /** An error about the `i`th frame of the run at hand. */
  frameError(i: number, problem: string): MillraceError {
    const row = Math.min(this.#row + i, this.#entries.pgnos.length - 1);
    const pgno = this.#entries.pgnos[row] ?? 0;
    const offset = this.#entries.offsets[row] ?? 0;
    const where = `frame of page ${pgno} at offset ${offset}`;
    return ltxError("ltx/invalid", this.#source.name, `${where}: ${problem}`, { pgno, offset });
  }

  /** All of the index again, entries and terminator. A piece is borrowed until the next. */
  *pieces(): Generator<Uint8Array> {
    for (let at = 0; at < this.place.size;) {
      const piece = this.#piece(at);
      yield piece;
      at += piece.length;
    }
  }

  #piece(at: number): Uint8Array {
    const offset = this.place.offset + at;
    const rest = this.place.size - at;
    if (offset < this.#tailOffset) {
      return this.#source.read(offset, Math.min(rest, PIECE_SIZE));
    }
    const what = `page index of LTX file "${this.#source.name}"`;
    return view(this.#tail, offset - this.#tailOffset, rest, { code: "ltx/truncated", what });
  }
}
