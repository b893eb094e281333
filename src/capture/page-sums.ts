/**
 * What the pages of a file being written add up to: the rolling database checksum for its header, and the change it
 * makes to the page-checksum table once the file is durable.
 */
import { assert } from "../base/assert.ts";
import { formatChecksum, NO_CHECKSUM, type Checksum } from "../base/ids.ts";
import { RollingChecksum } from "../ltx/rolling-checksum.ts";
import type { PageTable } from "./page-table.ts";

/** Page checksums held in memory until the file is durable; beyond, they are read back from the file. */
const PENDING_PAGES = 1 << 18;
/** No kernel takes more pages at a time. */
const MAX_BATCH_PAGES = 4096;

/** The database before the file. */
export interface SumBefore {
  readonly commit: number;
  readonly databaseChecksum: Checksum;
}

export interface DeltaInput {
  /** Database size in pages after the file. */
  readonly commit: number;
  /** The file holds every page; the table was emptied. */
  readonly complete: boolean;
}

/** Collects the page checksums of a file being written and ends with the database checksum for its header. */
export interface PageSums {
  /** The file would change nothing. */
  readonly empty: boolean;
  add(pgnos: Uint32Array, checksums: BigUint64Array): void;
  finish(): Checksum;
}

/** For a file of every page, whose sum is known beforehand. */
export class ExactSum implements PageSums {
  readonly empty = false;
  readonly #wanted: Checksum;
  readonly #sum = new RollingChecksum();

  constructor(wanted: Checksum) {
    this.#wanted = wanted;
  }

  add(_pgnos: Uint32Array, checksums: BigUint64Array): void {
    this.#sum.fold(checksums);
  }

  finish(): Checksum {
    const sum = this.#sum.value;
    assert(
      sum === this.#wanted,
      `snapshot adds up to ${formatChecksum(sum)}, wanted ${formatChecksum(this.#wanted)}`,
    );
    return sum;
  }
}

/** The difference that one file makes to table and rolling checksum, applied only once the file is durable. */
export class TableDelta implements PageSums {
  readonly #table: PageTable;
  readonly #before: SumBefore;
  readonly #input: DeltaInput;
  readonly #old = new BigUint64Array(MAX_BATCH_PAGES);
  readonly #sum: RollingChecksum;
  #pending: { readonly pgnos: Uint32Array; readonly checksums: BigUint64Array }[] = [];
  #pendingPages = 0;
  databaseChecksum: Checksum = NO_CHECKSUM;

  constructor(table: PageTable, before: SumBefore, input: DeltaInput) {
    this.#table = table;
    this.#before = before;
    this.#input = input;
    this.#sum = new RollingChecksum(before.databaseChecksum);
  }

  get empty(): boolean {
    const { commit, complete } = this.#input;
    return this.#pendingPages === 0 && !complete && commit === this.#before.commit;
  }

  add(pgnos: Uint32Array, checksums: BigUint64Array): void {
    const old = this.#old.subarray(0, pgnos.length);
    if (this.#input.complete) {
      this.#table.write(pgnos, checksums);
    } else {
      this.#table.read(pgnos, old);
      this.#sum.fold(old);
      this.#remember(pgnos, checksums);
    }
    this.#sum.fold(checksums);
  }

  #remember(pgnos: Uint32Array, checksums: BigUint64Array): void {
    this.#pendingPages += pgnos.length;
    if (this.#pendingPages > PENDING_PAGES) this.#pending = [];
    else this.#pending.push({ pgnos: pgnos.slice(), checksums: checksums.slice() });
  }

  finish(): Checksum {
    const { commit } = this.#input;
    const { commit: commitBefore } = this.#before;
    if (commit < commitBefore) this.#table.fold(commit + 1, commitBefore, this.#sum);
    this.databaseChecksum = this.#sum.value;
    return this.databaseChecksum;
  }

  /** Writes the difference into the table; false when there were too many pages to remember. */
  settle(): boolean {
    if (this.#pendingPages > PENDING_PAGES) return false;
    for (const { pgnos, checksums } of this.#pending) this.#table.write(pgnos, checksums);
    this.#table.truncate(this.#input.commit);
    return true;
  }
}
