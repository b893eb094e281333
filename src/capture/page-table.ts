/**
 * The page-checksum table [C5]: what every page of the replica holds, 8 bytes a page, on local disk.
 *
 * It is updated in place and names in its header the TXID that it is sure to stand for (`base`). Entries may
 * already belong to later transactions; applying the LTX files after `base` again brings it forward, because each
 * application writes the same values. Its XOR must equal the rolling checksum of the database, so a damaged
 * table is noticed and never trusted.
 *
 * File: 32-byte header, then one u64 little-endian per page, page 1 first; 0 for the lock page.
 *   0 "MRPT" | 4 version u32 = 1 | 8 base TXID u64 | 16 page size u32 | 20 zeros; integers little-endian
 */
import { NO_TXID, toTxid, type Checksum, type Pgno, type Txid } from "../base/ids.ts";
import { RollingChecksum } from "../ltx/rolling-checksum.ts";
import type { Files } from "../platform/files.ts";

const HEADER_SIZE = 32;
const ENTRY_SIZE = 8;
const VERSION = 1;
const MAGIC = 0x5450524d; // "MRPT" read as little-endian u32
/** Neighbouring entries up to this many apart are read and written in one operation. */
const RUN_ENTRIES = 1024;

export class PageTable implements Disposable {
  readonly #files: Files;
  readonly #fd: number;
  readonly #buffer = new BigUint64Array(RUN_ENTRIES);
  #base: Txid;
  #pageSize: number;

  private constructor(files: Files, fd: number, header: { base: Txid; pageSize: number }) {
    this.#files = files;
    this.#fd = fd;
    this.#base = header.base;
    this.#pageSize = header.pageSize;
  }

  /** Opens the table, creating an empty one (base 0) when absent or not a table. */
  static open(files: Files, path: string): PageTable {
    const existing = files.stat("open page table", path) !== undefined;
    const fd = files.open("open page table", path, existing ? "r+" : "wx+", 0o600);
    using stack = new DisposableStack();
    stack.defer(() => files.close("close page table", fd));
    const header = readHeader(files, fd);
    const table = new PageTable(files, fd, header ?? { base: NO_TXID, pageSize: 0 });
    if (header === undefined) table.reset(0);
    stack.move();
    return table;
  }

  /** The TXID up to which the table is durable; 0 when it stands for nothing. */
  get base(): Txid {
    return this.#base;
  }

  get pageSize(): number {
    return this.#pageSize;
  }

  /** Forgets everything; the table stands for nothing until the next `settle`. */
  reset(pageSize: number): void {
    this.#base = NO_TXID;
    this.#pageSize = pageSize;
    this.#files.truncate("reset page table", this.#fd, 0);
    this.#writeHeader();
  }

  /** Makes everything written so far durable and declares that it stands for `txid`. */
  settle(txid: Txid): void {
    if (txid === this.#base) return;
    this.#files.fsync("sync page table", this.#fd);
    this.#base = txid;
    this.#writeHeader();
    this.#files.fsync("sync page table", this.#fd);
  }

  /** Checksums of `pgnos` (ascending) into `target`; 0 for pages the table does not have. */
  read(pgnos: Uint32Array, target: BigUint64Array): void {
    for (const run of runs(pgnos)) {
      const entries = this.#load(run.first, run.last - run.first + 1);
      for (let index = run.start; index < run.end; index++) {
        target[index] = entries[(pgnos[index] ?? 0) - run.first] ?? 0n;
      }
    }
  }

  /** Replaces the checksums of `pgnos` (ascending). */
  write(pgnos: Uint32Array, checksums: BigUint64Array): void {
    for (const run of runs(pgnos)) {
      const size = run.last - run.first + 1;
      const sparse = size !== run.end - run.start;
      const entries = sparse ? this.#load(run.first, size) : this.#buffer.subarray(0, size);
      for (let index = run.start; index < run.end; index++) {
        entries[(pgnos[index] ?? 0) - run.first] = checksums[index] ?? 0n;
      }
      this.#files.write("write page table", this.#fd, asBytes(entries), position(run.first));
    }
  }

  /** Drops every page above `commit`. */
  truncate(commit: number): void {
    const size = position(commit + 1);
    if (this.#files.fstat("truncate page table", this.#fd).sizeBytes > size) {
      this.#files.truncate("truncate page table", this.#fd, size);
    }
  }

  /** Folds the checksums of pages `first` to `last` into `sum`: in, or out when they are in already. */
  fold(first: Pgno, last: Pgno, sum: RollingChecksum): void {
    for (let pgno = first; pgno <= last; pgno += RUN_ENTRIES) {
      sum.fold(this.#load(pgno, Math.min(RUN_ENTRIES, last - pgno + 1)));
    }
  }

  /** The rolling database checksum that the table adds up to for a database of `commit` pages. */
  databaseChecksum(commit: number): Checksum {
    const sum = new RollingChecksum();
    this.fold(1, commit, sum);
    return sum.value;
  }

  /** Entries of `count` pages from `first`; borrowed until the next call. */
  #load(first: Pgno, count: number): BigUint64Array {
    const entries = this.#buffer.subarray(0, count);
    const got = this.#files.read("read page table", this.#fd, asBytes(entries), position(first));
    asBytes(entries).fill(0, got);
    return entries;
  }

  #writeHeader(): void {
    const bytes = new Uint8Array(HEADER_SIZE);
    const view = new DataView(bytes.buffer);
    view.setUint32(0, MAGIC, true);
    view.setUint32(4, VERSION, true);
    view.setBigUint64(8, this.#base, true);
    view.setUint32(16, this.#pageSize, true);
    this.#files.write("write page table", this.#fd, bytes, 0);
  }

  [Symbol.dispose](): void {
    this.#files.close("close page table", this.#fd);
  }
}

/** `undefined` when the file is no page table. */
function readHeader(
  files: Files,
  fd: number,
): { readonly base: Txid; readonly pageSize: number } | undefined {
  const bytes = new Uint8Array(HEADER_SIZE);
  const view = new DataView(bytes.buffer);
  if (files.read("read page table", fd, bytes, 0) < HEADER_SIZE) return undefined;
  if (view.getUint32(0, true) !== MAGIC || view.getUint32(4, true) !== VERSION) return undefined;
  return { base: toTxid(view.getBigUint64(8, true)), pageSize: view.getUint32(16, true) };
}

interface Run {
  /** Half-open range of indexes into the page numbers. */
  readonly start: number;
  readonly end: number;
  readonly first: Pgno;
  readonly last: Pgno;
}

/** Groups ascending page numbers so that each group spans at most `RUN_ENTRIES` entries. */
function* runs(pgnos: Uint32Array): Iterable<Run> {
  let start = 0;
  while (start < pgnos.length) {
    const first = pgnos[start] ?? 0;
    let end = start + 1;
    while (end < pgnos.length && (pgnos[end] ?? 0) - first < RUN_ENTRIES) end += 1;
    yield { start, end, first, last: pgnos[end - 1] ?? first };
    start = end;
  }
}

function position(pgno: Pgno): number {
  return HEADER_SIZE + (pgno - 1) * ENTRY_SIZE;
}

function asBytes(entries: BigUint64Array): Uint8Array {
  return new Uint8Array(entries.buffer, entries.byteOffset, entries.byteLength);
}
