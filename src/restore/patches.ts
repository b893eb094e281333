/**
 * Pages of newer files that wait for the snapshot: their frames are kept in a scratch file, and when the snapshot's
 * pages are written each takes its place among them. So every page is written once and in order; written one by
 * one, into holes or over older versions, scattered pages cost the file system several times as much.
 *
 * Kept are whole pieces as they were read; remembered are 12 bytes a page. When either becomes too much, nothing more is
 * kept, and pages are written at once.
 */
import type { Pgno } from "../base/ids.ts";
import { FRAME_USE, FRAME_WORDS } from "./decode-frames.ts";
import type { Piece } from "./pieces.ts";

/** Bytes of the scratch file. */
const SCRATCH_BYTES: number = 512 * 1024 * 1024;
/** Pages remembered: 32 MB. */
const PAGES: number = 2 ** 21;

export interface PatchLimits {
  readonly scratchBytes: number;
  readonly pages: number;
}

export const PATCH_LIMITS: PatchLimits = { scratchBytes: SCRATCH_BYTES, pages: PAGES };
export const NO_PATCHES: PatchLimits = { scratchBytes: 0, pages: 0 };

/** A kept frame: where in the scratch file it is. */
export interface Patch {
  readonly pgno: Pgno;
  readonly offset: number;
  readonly size: number;
}

const INITIAL_ROWS = 1024;

export class Patches {
  readonly #limits: PatchLimits;
  /** Rows of page number, offset and size, as they came. */
  #rows = new Uint32Array(INITIAL_ROWS * FRAME_WORDS);
  #count = 0;
  #sizeBytes = 0;
  /** Page number and row, by page number; made when the first patch is asked for. */
  #order: Float64Array | undefined;
  #next = 0;
  #rest: Patch[] = [];

  constructor(limits: PatchLimits) {
    this.#limits = limits;
  }

  get isEmpty(): boolean {
    return this.#count === 0;
  }

  /** Keeps the wanted frames of a piece: returns where in the scratch file it goes, `undefined` when there is no room. */
  keep({ sizeBytes, frames, uses }: Piece): number | undefined {
    const { scratchBytes, pages } = this.#limits;
    if (this.#sizeBytes + sizeBytes > scratchBytes || this.#count + uses.length > pages)
      return undefined;
    const start = this.#sizeBytes;
    this.#sizeBytes += sizeBytes;
    for (const [i, use] of uses.entries()) {
      if (use !== FRAME_USE.take) continue;
      const row = i * FRAME_WORDS;
      this.#add(frames[row] ?? 0, start + (frames[row + 1] ?? 0), frames[row + 2] ?? 0);
    }
    return start;
  }

  #add(pgno: Pgno, offset: number, size: number): void {
    const at = this.#count * FRAME_WORDS;
    if (at === this.#rows.length) {
      const rows = new Uint32Array(this.#rows.length * 2);
      rows.set(this.#rows);
      this.#rows = rows;
    }
    this.#rows[at] = pgno;
    this.#rows[at + 1] = offset;
    this.#rows[at + 2] = size;
    this.#count += 1;
  }

  /** The patch of a page, if there is one. To be asked in ascending order, after everything was kept. */
  take(pgno: Pgno): Patch | undefined {
    for (;;) {
      const patch = this.#peek();
      if (patch === undefined || patch.pgno > pgno) return undefined;
      this.#next += 1;
      if (patch.pgno === pgno) return patch;
      this.#rest.push(patch);
    }
  }

  /** What nobody took, ascending: pages that the snapshot does not have. */
  takeRest(): readonly Patch[] {
    for (let patch = this.#peek(); patch !== undefined; patch = this.#peek()) {
      this.#rest.push(patch);
      this.#next += 1;
    }
    const rest = this.#rest;
    this.#rest = [];
    return rest;
  }

  #peek(): Patch | undefined {
    this.#order ??= this.#sorted();
    const key = this.#order[this.#next];
    if (key === undefined) return undefined;
    const row = (key % this.#limits.pages) * FRAME_WORDS;
    const [pgno = 0, offset = 0, size = 0] = this.#rows.subarray(row, row + FRAME_WORDS);
    return { pgno, offset, size };
  }

  #sorted(): Float64Array {
    // Below 2^53 with 2^21 rows.
    const key = (_: unknown, i: number): number =>
      (this.#rows[i * FRAME_WORDS] ?? 0) * this.#limits.pages + i;
    return Float64Array.from({ length: this.#count }, key).sort();
  }
}
