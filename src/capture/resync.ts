/**
 * Bringing the replica in line with a database whose changes were not all seen: every page is read once, and
 * what differs from the page-checksum table becomes one level 0 file [C5]. Also the boundary snapshot, which
 * reads every page of an unbroken line and therefore must find none that differs [C12].
 */
import type { Pgno } from "../base/ids.ts";
import { MillraceError } from "../errors.ts";
import type { Kernel } from "../kernel/kernel.ts";
import { lockPgno } from "../ltx/header.ts";
import { selectPages, type DatabaseImage } from "./image.ts";
import type { AppendInput, Line, LineFile } from "./line.ts";

export interface ResyncInput {
  readonly line: Line;
  readonly kernel: Kernel;
  readonly image: DatabaseImage;
  /** Database size in pages. */
  readonly commit: number;
  /** Copy every page instead of those that differ. */
  readonly complete: boolean;
  readonly header: Pick<
    AppendInput,
    "timestampMs" | "walOffset" | "walSize" | "walSalt1" | "walSalt2"
  >;
}

/** Page numbers named in a damage report; the count is always complete. */
const REPORTED_PAGES = 100;

/** Appends the difference to the line; `undefined` when there is none. */
export function resync(input: ResyncInput): LineFile | undefined {
  const { line, kernel, image, commit, complete, header } = input;
  return line.append({
    ...header,
    kernel,
    commit,
    complete,
    pages: (write) => {
      const compare = new TableComparison(line, kernel);
      image.scan(commit, (first, count) => {
        if (!complete) compare.load(first, count);
        const { pgnos, pages } = selectPages(
          kernel,
          first,
          count,
          (index) => complete || compare.differs(index),
        );
        if (pgnos.length > 0) write(pgnos, pages);
      });
    },
  });
}

/**
 * Writes a level 9 snapshot of the line's present position. The image must be exactly that position. A page that
 * differs from the table was changed by no commit: the snapshot is given up with `capture/page-damage`, so the good
 * copy in the replica is never replaced by it. `undefined` when the snapshot is there already.
 */
export function boundarySnapshot(input: Omit<ResyncInput, "complete">): LineFile | undefined {
  const { line, kernel, image, commit, header } = input;
  const damaged: Pgno[] = [];
  let damagedCount = 0;
  return line.snapshot({
    ...header,
    kernel,
    commit,
    pages: (write) => {
      const compare = new TableComparison(line, kernel);
      image.scan(commit, (first, count) => {
        compare.load(first, count);
        const { pgnos, pages } = selectPages(kernel, first, count, (index) => {
          if (compare.differs(index)) {
            damagedCount += 1;
            if (damaged.length < REPORTED_PAGES) damaged.push(first + index);
          }
          return true;
        });
        if (pgnos.length > 0) write(pgnos, pages);
      });
      if (damagedCount > 0) throw pageDamage(damaged, damagedCount);
    },
  });
}

function pageDamage(pages: readonly Pgno[], count: number): MillraceError {
  return new MillraceError(
    "capture/page-damage",
    `compare database with what was committed: ${count} page(s) differ although no commit changed them, first: ${pages.slice(0, 10).join(", ")}`,
    {
      op: "boundary snapshot",
      details: { pages, count },
      hint: "the replica still holds the good pages: restore it beside the database, compare, and check the disk and every program that writes the file",
    },
  );
}

/** Compares one batch in the kernel's input with the table. */
class TableComparison {
  readonly #line: Line;
  readonly #kernel: Kernel;
  readonly #lock: Pgno;
  readonly #pgnos: Uint32Array;
  readonly #recorded: BigUint64Array;
  #present: BigUint64Array = new BigUint64Array(0);

  constructor(line: Line, kernel: Kernel) {
    this.#line = line;
    this.#kernel = kernel;
    this.#lock = lockPgno(kernel.pageSize);
    this.#pgnos = new Uint32Array(kernel.batchPages);
    this.#recorded = new BigUint64Array(kernel.batchPages);
  }

  load(first: Pgno, count: number): void {
    const pgnos = this.#pgnos.subarray(0, count);
    for (let index = 0; index < count; index++) pgnos[index] = first + index;
    this.#present = this.#kernel.pageChecksums(pgnos);
    this.#line.table.read(pgnos, this.#recorded);
  }

  differs(index: number): boolean {
    return this.#pgnos[index] !== this.#lock && this.#present[index] !== this.#recorded[index];
  }
}
