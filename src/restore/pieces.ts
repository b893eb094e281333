/**
 * Frames that are wanted from one LTX file, gathered into pieces worth one read each.
 *
 * Frames of a file lie in page order. Wanted ones that are near each other share a read and what lies
 * between them is read for nothing, because a request costs more than some kilobytes do.
 */
import { FRAME_WORDS, type FrameUse } from "./decode-frames.ts";

/** Most bytes of one read. */
export const PIECE_BYTES: number = 2 * 1024 * 1024;
/** Most frames of one piece, so that highly compressed pages do not make one thread work alone for long. */
export const PIECE_FRAMES: number = 16 * 1024;
/** Unwanted bytes that are read rather than making another request. */
export const GAP_BYTES: number = 128 * 1024;

/** One frame as the page index names it. */
export interface FrameEntry {
  readonly pgno: number;
  /** Of the frame in its file. */
  readonly offset: number;
  readonly size: number;
}

export interface Piece {
  /** Of the piece in its file. */
  readonly offset: number;
  readonly sizeBytes: number;
  /** As `FrameTask.frames`: page number, offset in the piece, size. */
  readonly frames: Uint32Array<ArrayBuffer>;
  /** As `FrameTask.uses`. */
  readonly uses: Uint8Array<ArrayBuffer>;
}

export interface PieceLimits {
  readonly pieceBytes: number;
  readonly pieceFrames: number;
  readonly gapBytes: number;
}

export const PIECE_LIMITS: PieceLimits = {
  pieceBytes: PIECE_BYTES,
  pieceFrames: PIECE_FRAMES,
  gapBytes: GAP_BYTES,
};
/** For files whose bytes are all at hand: one piece, whatever its size. */
export const NO_LIMITS: PieceLimits = {
  pieceBytes: Infinity,
  pieceFrames: Infinity,
  gapBytes: Infinity,
};

const INITIAL_ROWS = 64;

/** Takes frames in file order and yields pieces in file order. */
export class PieceBuilder {
  readonly #limits: PieceLimits;
  #frames = new Uint32Array(INITIAL_ROWS * FRAME_WORDS);
  #uses = new Uint8Array(INITIAL_ROWS);
  #count = 0;
  #start = 0;
  #end = 0;

  constructor(limits: PieceLimits) {
    this.#limits = limits;
  }

  /** Adds a frame; returns the piece before it when the frame does not join that. */
  add(entry: FrameEntry, use: FrameUse): Piece | undefined {
    const finished = this.#joins(entry) ? undefined : this.finish();
    if (this.#count === 0) this.#start = entry.offset;
    if (this.#count === this.#uses.length) this.#grow();
    const row = this.#count * FRAME_WORDS;
    this.#frames[row] = entry.pgno;
    this.#frames[row + 1] = entry.offset - this.#start;
    this.#frames[row + 2] = entry.size;
    this.#uses[this.#count] = use;
    this.#count += 1;
    this.#end = entry.offset + entry.size;
    return finished;
  }

  /** The piece so far; `undefined` when there is none. */
  finish(): Piece | undefined {
    if (this.#count === 0) return undefined;
    const piece = {
      offset: this.#start,
      sizeBytes: this.#end - this.#start,
      frames: this.#frames.slice(0, this.#count * FRAME_WORDS),
      uses: this.#uses.slice(0, this.#count),
    };
    this.#count = 0;
    return piece;
  }

  #joins(entry: FrameEntry): boolean {
    if (this.#count === 0) return true;
    const { pieceBytes, pieceFrames, gapBytes } = this.#limits;
    return (
      this.#count < pieceFrames &&
      entry.offset - this.#end <= gapBytes &&
      entry.offset + entry.size - this.#start <= pieceBytes
    );
  }

  #grow(): void {
    const frames = new Uint32Array(this.#frames.length * 2);
    frames.set(this.#frames);
    this.#frames = frames;
    const uses = new Uint8Array(this.#uses.length * 2);
    uses.set(this.#uses);
    this.#uses = uses;
  }
}
