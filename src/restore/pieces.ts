/**
 * Frames that are wanted from one LTX file, gathered into pieces worth one read each.
 *
 * Frames of a file lie in page order. Wanted ones that are near each other share a read and what lies
 * between them is read for nothing, because a request costs more than some kilobytes do.
 */
import { FRAME_USE, FRAME_WORDS, type FrameUse } from "./decode-frames.ts";

/** Most bytes of one read. */
export const PIECE_BYTES: number = 2 * 1024 * 1024;
/** Most frames of one piece, so that highly compressed pages do not make one thread work alone for long. */
export const PIECE_FRAMES: number = 16 * 1024;
/** Unwanted bytes that are read rather than making another request. */
export const GAP_BYTES: number = 128 * 1024;

/** One frame as the page index names it. */
export interface FrameEntry {
  readonly pgno: number;
  /** Of the frame in its file; of a patch in the scratch file. */
  readonly offset: number;
  readonly size: number;
}

export interface Piece {
  /** Of the piece in its file. */
  readonly offset: number;
  readonly sizeBytes: number;
  /** As `FrameTask.frames`: page number, offset in the piece or of a patch in the scratch file, size. */
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
  /** Where the first frame that is no patch begins. */
  #start: number | undefined;
  #end = 0;

  constructor(limits: PieceLimits) {
    this.#limits = limits;
  }

  /** Adds a frame; returns the piece before it when the frame does not join that. */
  add(entry: FrameEntry, use: FrameUse): Piece | undefined {
    const isPatch = use === FRAME_USE.patch;
    const joins = isPatch ? this.#count < this.#limits.pieceFrames : this.#joins(entry);
    const finished = joins ? undefined : this.finish();
    if (isPatch) {
      this.#addRow(entry, entry.offset, use);
    } else {
      this.#start ??= entry.offset;
      this.#addRow(entry, entry.offset - this.#start, use);
      this.#end = entry.offset + entry.size;
    }
    return finished;
  }

  #addRow({ pgno, size }: FrameEntry, offset: number, use: FrameUse): void {
    if (this.#count === this.#uses.length) this.#grow();
    const row = this.#count * FRAME_WORDS;
    this.#frames[row] = pgno;
    this.#frames[row + 1] = offset;
    this.#frames[row + 2] = size;
    this.#uses[this.#count] = use;
    this.#count += 1;
  }

  /** The piece so far; `undefined` when there is none. */
  finish(): Piece | undefined {
    if (this.#count === 0) return undefined;
    const start = this.#start ?? 0;
    const piece = {
      offset: start,
      sizeBytes: this.#start === undefined ? 0 : this.#end - start,
      frames: this.#frames.slice(0, this.#count * FRAME_WORDS),
      uses: this.#uses.slice(0, this.#count),
    };
    this.#count = 0;
    this.#start = undefined;
    return piece;
  }

  #joins(entry: FrameEntry): boolean {
    const { pieceBytes, pieceFrames, gapBytes } = this.#limits;
    if (this.#count >= pieceFrames) return false;
    if (this.#start === undefined) return true;
    return (
      entry.offset - this.#end <= gapBytes && entry.offset + entry.size - this.#start <= pieceBytes
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

/** Pieces of nothing but patches, given in ascending order. */
export function* piecesOf(patches: readonly FrameEntry[]): Generator<Piece, void, void> {
  const builder = new PieceBuilder(PIECE_LIMITS);
  for (const patch of patches) {
    const piece = builder.add(patch, FRAME_USE.patch);
    if (piece !== undefined) yield piece;
  }
  const last = builder.finish();
  if (last !== undefined) yield last;
}
