/**
 * The database file while it is being put together: pages in place, and the checksum that they add up to.
 *
 * Page checksums are folded into one rolling sum when a page is written, and out of it again, from the page as the file
 * has it, when it is overwritten or cut off. So at the end the whole file, read back, can be compared with everything
 * that was written, in memory that does not grow with the database.
 */
import { rows } from "../../base/bytes.ts";
import type { Checksum, Pgno } from "../../base/ids.ts";
import { MillraceError } from "../../errors.ts";
import { openKernel, type Kernel } from "../../kernel/kernel.ts";
import { lockPgno } from "../../ltx/header.ts";
import { RollingChecksum } from "../../ltx/rolling-checksum.ts";
import type { Files } from "../../platform/files.ts";

const OP = "restore output write";

export interface ImageOptions {
  readonly files: Files;
  /** The file to write, which exists and is empty. */
  readonly path: string;
  readonly pageSize: number;
  /** Hears of pages that were written, and their bytes. */
  readonly onPages: (pages: number, bytes: number) => void;
}

/** Brings a page's newest version: `target` is one page. */
export type PageRead = (pgno: Pgno, target: Uint8Array) => void;

/** A database file that is being written. Close it in any case. */
export class Image implements Disposable {
  readonly pageSize: number;
  readonly #options: ImageOptions;
  readonly #kernel: Kernel;
  readonly #lockPgno: Pgno;
  readonly #fd: number;
  readonly #sum = new RollingChecksum();
  /** Pages appended that wait in the kernel's input, then bytes of one that is not whole yet. */
  #pendingBytes = 0;
  #pages = 0;

  constructor(options: ImageOptions) {
    const { files, path, pageSize } = options;
    this.#options = options;
    this.pageSize = pageSize;
    this.#kernel = openKernel({ pageSize });
    this.#lockPgno = lockPgno(pageSize);
    this.#fd = files.open(OP, path, "r+");
  }

  /** Pages of the file, those that wait to be written left out. */
  get pages(): number {
    return this.#pages;
  }

  /** Rolling checksum of everything written. */
  get checksum(): Checksum {
    return this.#sum.value;
  }

  /** Writes more of a database file from its beginning on; only before the first `apply`. */
  append(bytes: Uint8Array): void {
    const { input, batchPages } = this.#kernel;
    const room = batchPages * this.pageSize;
    for (let at = 0; at < bytes.length;) {
      const size = Math.min(bytes.length - at, room - this.#pendingBytes);
      input.set(rows(bytes, at, at + size), this.#pendingBytes);
      this.#pendingBytes += size;
      at += size;
      if (this.#pendingBytes === room) this.#flushAppended();
    }
  }

  /** Ends the appending. Returns the bytes that are left over because they are no whole page: none of a sound database. */
  endAppend(): number {
    const rest = this.#pendingBytes % this.pageSize;
    this.#pendingBytes -= rest;
    if (this.#pendingBytes > 0) this.#flushAppended();
    return rest;
  }

  /**
   * One step of the log: the file gets `commit` pages, of which those in `pgnos`, ascending, are new. Throws
   * `restore/unproven` when the file would grow over pages that are not among them.
   */
  apply(commit: number, pgnos: readonly Pgno[], read: PageRead): void {
    this.#requireGrowth(commit, pgnos);
    if (commit < this.#pages) this.#cutTo(commit);
    for (let at = 0; at < pgnos.length; at += this.#kernel.batchPages) {
      this.#replace(pgnos.slice(at, at + this.#kernel.batchPages), read);
    }
    this.#pages = commit;
  }

  [Symbol.dispose](): void {
    this.#options.files.close(OP, this.#fd);
  }

  #flushAppended(): void {
    const count = this.#pendingBytes / this.pageSize;
    const pgnos = Array.from({ length: count }, (_, index) => this.#pages + 1 + index);
    this.#fold(pgnos);
    this.#write(pgnos);
    this.#pages += count;
    this.#pendingBytes = 0;
  }

  /** SQLite writes every page by which a database grows; where one is missing the log is of another file. */
  #requireGrowth(commit: number, pgnos: readonly Pgno[]): void {
    const isIn = this.#lockPgno > this.#pages && this.#lockPgno <= commit;
    const wanted = Math.max(0, commit - this.#pages) - (isIn ? 1 : 0);
    const present = pgnos.filter((pgno) => pgno > this.#pages).length;
    if (present === wanted) return;
    throw new MillraceError(
      "restore/unproven",
      `apply the write-ahead log: the database grows from ${this.#pages} to ${commit} pages, ${wanted - present} of which are nowhere`,
      {
        op: "restore apply",
        details: { pages: this.#pages, commit },
        hint: "the snapshot and the log do not belong together: restore an earlier time with -timestamp",
      },
    );
  }

  #cutTo(commit: number): void {
    const { files } = this.#options;
    for (let first = commit + 1; first <= this.#pages; first += this.#kernel.batchPages) {
      const count = Math.min(this.#kernel.batchPages, this.#pages - first + 1);
      const pgnos = Array.from({ length: count }, (_, index) => first + index);
      this.#foldPresent(pgnos);
    }
    files.truncate(OP, this.#fd, commit * this.pageSize);
    this.#pages = commit;
  }

  /** At most a batch. */
  #replace(pgnos: readonly Pgno[], read: PageRead): void {
    this.#foldPresent(pgnos.filter((pgno) => pgno <= this.#pages));
    for (const [index, pgno] of pgnos.entries()) read(pgno, this.#slot(index, 1));
    this.#fold(pgnos);
    this.#write(pgnos);
  }

  /** Folds pages out that the file has. */
  #foldPresent(pgnos: readonly Pgno[]): void {
    forRuns(pgnos, (index, count) => {
      const offset = ((pgnos[index] ?? 0) - 1) * this.pageSize;
      this.#options.files.read(OP, this.#fd, this.#slot(index, count), offset);
    });
    this.#fold(pgnos);
  }

  /** Folds the pages in the kernel's input in or out. */
  #fold(pgnos: readonly Pgno[]): void {
    const checksums = this.#kernel.pageChecksums(Uint32Array.from(pgnos));
    const lockAt = pgnos.indexOf(this.#lockPgno);
    if (lockAt >= 0) checksums[lockAt] = 0n;
    this.#sum.fold(checksums);
  }

  #write(pgnos: readonly Pgno[]): void {
    forRuns(pgnos, (index, count) => {
      const offset = ((pgnos[index] ?? 0) - 1) * this.pageSize;
      this.#options.files.write(OP, this.#fd, this.#slot(index, count), offset);
    });
    this.#options.onPages(pgnos.length, pgnos.length * this.pageSize);
  }

  /** The place of pages in the kernel's input. */
  #slot(index: number, count: number): Uint8Array {
    return rows(this.#kernel.input, index * this.pageSize, (index + count) * this.pageSize);
  }
}

/** Calls `use` for each run of page numbers that follow each other: where it starts in `pgnos`, and its length. */
function forRuns(pgnos: readonly Pgno[], use: (index: number, count: number) => void): void {
  let start = 0;
  for (let end = 1; end <= pgnos.length; end += 1) {
    if (end < pgnos.length && pgnos[end] === (pgnos[end - 1] ?? 0) + 1) continue;
    use(start, end - start);
    start = end;
  }
}
