/**
 * Which pages of a database were found so far, one bit a page.
 *
 * Files are read newest first, so the first file that holds a page holds its newest version. A file whose
 * commit is below a page ends that page's history: whatever older files say about it was truncated away,
 * and a page that no newer file holds is zeros (superfly/ltx `Compactor` lets a stale page through here). The lock
 * page is never stored and always zeros.
 *
 * A set covers a span of page numbers, so that memory stays bounded however large the database is.
 */
import type { Pgno } from "../base/ids.ts";

/** A run of page numbers, both ends included. */
export interface PageRun {
  readonly first: Pgno;
  readonly last: Pgno;
}

const ALL_FOUND = 0xffffffff;

export class PageSet {
  readonly first: Pgno;
  readonly last: Pgno;
  readonly #lockPgno: Pgno;
  readonly #bits: Uint32Array;
  #cap: Pgno;
  #missingCount: number;

  /** A set of the pages `first` to `last` of a database with that lock page; none is found yet. */
  constructor(first: Pgno, last: Pgno, lockPgno: Pgno) {
    this.first = first;
    this.last = last;
    this.#lockPgno = lockPgno;
    this.#bits = new Uint32Array(Math.ceil((last - first + 1) / 32));
    this.#cap = last;
    this.#missingCount = last - first + 1 - (this.#holdsLock(first, last) ? 1 : 0);
  }

  /** Pages that were not found yet and that older files may still hold. */
  get missingCount(): number {
    return this.#missingCount;
  }

  /** Says that a file of `commit` pages is looked at next: pages above it have no older version. */
  lowerTo(commit: Pgno): void {
    const cap = Math.max(commit, this.first - 1);
    if (cap >= this.#cap) return;
    for (let pgno = cap + 1; pgno <= this.#cap; pgno += 1) {
      // Words without a found page are skipped: in a database that a damaged header makes huge all are.
      if (this.#isWord(pgno, 0) && pgno + 31 <= this.#cap) {
        this.#missingCount -= 32 - (this.#holdsLock(pgno, pgno + 31) ? 1 : 0);
        pgno += 31;
        continue;
      }
      if (pgno !== this.#lockPgno && !this.#has(pgno)) this.#missingCount -= 1;
    }
    this.#cap = cap;
  }

  /** `pgno` must lie in the span. */
  #has(pgno: Pgno): boolean {
    const index = pgno - this.first;
    return (((this.#bits[index >>> 5] ?? 0) >>> (index & 31)) & 1) === 1;
  }

  /** Whether `pgno` lies in the span and was found. */
  isFound(pgno: Pgno): boolean {
    return pgno >= this.first && pgno <= this.last && this.#has(pgno);
  }

  /** Finds `pgno`; returns whether this is its newest version and wanted. Never true for the lock page. */
  claim(pgno: Pgno): boolean {
    if (pgno < this.first || pgno > this.#cap || pgno === this.#lockPgno) return false;
    const index = pgno - this.first;
    const word = this.#bits[index >>> 5] ?? 0;
    const bit = 1 << (index & 31);
    if ((word & bit) !== 0) return false;
    this.#bits[index >>> 5] = word | bit;
    this.#missingCount -= 1;
    return true;
  }

  /** The pages that no file holds, in runs; the lock page is not among them. */
  *unclaimedRuns(): Generator<PageRun, void, void> {
    let start: Pgno | undefined;
    for (let pgno = this.first; pgno <= this.last; pgno += 1) {
      // Words of which all pages were found, or none, are skipped.
      const isFull = this.#isWord(pgno, ALL_FOUND);
      const isEmpty =
        !isFull &&
        this.#isWord(pgno, 0) &&
        pgno + 31 <= this.last &&
        !this.#holdsLock(pgno, pgno + 31);
      if (isFull || isEmpty) {
        if (isEmpty) start ??= pgno;
        else if (start !== undefined) yield { first: start, last: pgno - 1 };
        if (isFull) start = undefined;
        pgno += 31;
        continue;
      }
      if (pgno !== this.#lockPgno && !this.#has(pgno)) {
        start ??= pgno;
        continue;
      }
      if (start !== undefined) yield { first: start, last: pgno - 1 };
      start = undefined;
    }
    if (start !== undefined) yield { first: start, last: this.last };
  }

  /** Whether `pgno` begins a word of the set, and that word has the value. */
  #isWord(pgno: Pgno, value: number): boolean {
    const index = pgno - this.first;
    return (index & 31) === 0 && this.#bits[index >>> 5] === value;
  }

  #holdsLock(first: Pgno, last: Pgno): boolean {
    return this.#lockPgno >= first && this.#lockPgno <= last;
  }
}
