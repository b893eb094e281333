/**
 * Work that waits until older pages are written: what it costs is kept within bounds.
 *
 * Bytes in memory are given up when there are many, to be read again later. When even the descriptions of
 * the frames become many, nothing can wait any more.
 */
import type { PieceWork } from "./scan-file.ts";

/** Bytes of small files that wait in memory. */
export const HELD_BYTES: number = 32 * 1024 * 1024;
/** Bytes of descriptions that may wait: 13 a page and what a piece costs itself. */
export const DESCRIBED_BYTES: number = 32 * 1024 * 1024;
const PIECE_COST_BYTES = 1024;

export interface DeferLimits {
  readonly heldBytes: number;
  readonly describedBytes: number;
}

export const DEFER_LIMITS: DeferLimits = { heldBytes: HELD_BYTES, describedBytes: DESCRIBED_BYTES };

export class DeferredWork {
  readonly #limits: DeferLimits;
  #work: PieceWork[] = [];
  #heldBytes = 0;
  #describedBytes = 0;

  constructor(limits: DeferLimits) {
    this.#limits = limits;
  }

  /** Whether more is waiting than may. */
  get isFull(): boolean {
    return this.#describedBytes > this.#limits.describedBytes;
  }

  add(work: PieceWork): void {
    if (this.#heldBytes + work.heldBytes > this.#limits.heldBytes) work.letGo();
    this.#heldBytes += work.heldBytes;
    this.#describedBytes += work.describedBytes + PIECE_COST_BYTES;
    this.#work.push(work);
  }

  /** Everything that waits, which it then does no longer. */
  takeAll(): readonly PieceWork[] {
    const work = this.#work;
    this.#work = [];
    this.#heldBytes = 0;
    this.#describedBytes = 0;
    return work;
  }
}
