/**
 * The TXID line of one database: the local LTX files, the page-checksum table that says what they add up to,
 * and the position at their end. Appending is the only way forward and is atomic: the file becomes durable
 * first, then the table follows; a crash in between is mended by applying the file again [C5, C10].
 */
import { defined } from "../base/assert.ts";
import { NO_CHECKSUM, NO_TXID, nextTxid, toTxid, type Checksum, type Txid } from "../base/ids.ts";
import { toMillraceError } from "../errors.ts";
import { openKernel, type Kernel } from "../kernel/kernel.ts";
import { FLAG_NO_CHECKSUM } from "../ltx/constants.ts";
import { LtxDecoder, readLtxHeader } from "../ltx/decoder.ts";
import { LtxEncoder } from "../ltx/encoder.ts";
import type { LtxHeader } from "../ltx/header.ts";
import { SNAPSHOT_LEVEL } from "../ltx/names.ts";
import type { Files } from "../platform/files.ts";
import { LocalFiles, type LocalFile } from "./local-files.ts";
import type { MetaPaths } from "./meta-dir.ts";
import { ExactSum, TableDelta, type PageSums } from "./page-sums.ts";
import { PageTable } from "./page-table.ts";

/** Where the line ends and what the database held there. */
export interface LinePosition {
  readonly txid: Txid;
  readonly pageSize: number;
  /** Database size in pages. */
  readonly commit: number;
  readonly databaseChecksum: Checksum;
}

/** Takes ascending pages; `pages` holds them one after another. */
export type PageWriter = (pgnos: Uint32Array, pages: Uint8Array) => void;

export interface AppendInput {
  readonly kernel: Kernel;
  readonly commit: number;
  readonly timestampMs: number;
  /** Range of the WAL that this file captured; all zero when it came from elsewhere. */
  readonly walOffset: number;
  readonly walSize: number;
  readonly walSalt1: number;
  readonly walSalt2: number;
  /** The file holds every page: the table starts anew, also at another page size. */
  readonly complete: boolean;
  readonly pages: (write: PageWriter) => void;
}

export interface LineFile {
  readonly level: number;
  readonly minTxid: Txid;
  readonly maxTxid: Txid;
  readonly sizeBytes: number;
  readonly timestampMs: number;
  readonly pageCount: number;
}

/** Local files are deleted in batches, because each batch costs two fsyncs of the table. */
const RELEASE_BATCH_FILES = 64;

export const EMPTY_POSITION: LinePosition = {
  txid: NO_TXID,
  pageSize: 0,
  commit: 0,
  databaseChecksum: NO_CHECKSUM,
};

export class Line implements Disposable {
  readonly #files: LocalFiles;
  readonly #table: PageTable;
  readonly #pageFormat: "block" | "frame";
  #position: LinePosition = EMPTY_POSITION;
  #trusted = false;
  #stale = false;
  /** Until this is durable no batch can be complete: nothing is listed for it. */
  #nextBatch: Txid = NO_TXID;

  constructor(files: Files, meta: MetaPaths, options: { readonly pageFormat: "block" | "frame" }) {
    this.#files = new LocalFiles(files, meta);
    this.#files.prepare(0);
    this.#files.prepare(SNAPSHOT_LEVEL);
    this.#table = PageTable.open(files, meta.pageTable);
    this.#pageFormat = options.pageFormat;
  }

  get position(): LinePosition {
    return this.#position;
  }

  get table(): PageTable {
    return this.#table;
  }

  /** The table stands for exactly `position`; otherwise only a complete copy can go on. */
  get trusted(): boolean {
    return this.#trusted;
  }

  /** A write failed at some point between file and table: `recover` must look at what there is. */
  get stale(): boolean {
    return this.#stale;
  }

  /** Every local file that a destination may still need, level 0 first. */
  localFiles(): LocalFile[] {
    return [...this.#files.list(0), ...this.#files.list(SNAPSHOT_LEVEL)];
  }

  /**
   * Finds the end of the line after a start: the newest of `recorded` (from the state file) and the local files,
   * then brings the table forward to it. Returns why the table cannot be trusted, if it cannot.
   */
  recover(recorded: LinePosition | undefined): string | undefined {
    const files = this.#files.list(0);
    const newest = files.at(-1);
    let position = recorded ?? EMPTY_POSITION;
    let problem: string | undefined;
    if (newest !== undefined && newest.maxTxid >= position.txid) {
      const header = this.#readHeader(newest);
      if (typeof header === "string") {
        problem = header;
        position = { ...position, txid: toTxid(newest.maxTxid) };
      } else if (newest.maxTxid > position.txid) {
        position = positionOf(header);
      }
    }
    this.#position = position;
    this.#nextBatch = NO_TXID;
    problem ??= this.#bringForward(files);
    this.#trusted = problem === undefined && position.txid !== NO_TXID;
    this.#stale = false;
    return problem;
  }

  #readHeader(file: LocalFile): LtxHeader | string {
    try {
      using source = this.#files.openSource(file.path);
      const header = readLtxHeader(source);
      if (header.databaseChecksum !== NO_CHECKSUM) return header;
      return `local file ${file.path} carries no database checksum`;
    } catch (error) {
      return `local file ${file.path} cannot be read: ${toMillraceError(error).message}`;
    }
  }

  /** Applies the local files after the table's base; returns what is wrong, or nothing when it adds up. */
  #bringForward(files: readonly LocalFile[]): string | undefined {
    const { txid, pageSize, commit, databaseChecksum } = this.#position;
    if (txid === NO_TXID) return "this database was never captured from here";
    if (this.#table.base === NO_TXID) return "the page table is missing";
    if (this.#table.base > txid) return "the page table is newer than the local files";
    if (this.#table.pageSize !== pageSize) return "the page table belongs to another page size";
    let reached = this.#table.base;
    for (const file of files) {
      if (file.maxTxid <= reached) continue;
      if (file.minTxid > nextTxid(reached)) return `local file after TXID ${reached} is missing`;
      try {
        this.#apply(file.path);
      } catch (error) {
        return `local file ${file.path} cannot be read: ${toMillraceError(error).message}`;
      }
      reached = file.maxTxid;
    }
    if (reached < txid) return `local file after TXID ${reached} is missing`;
    const sum = this.#table.databaseChecksum(commit);
    return sum === databaseChecksum
      ? undefined
      : "the page table does not add up to the recorded checksum";
  }

  /** Writes the page checksums of a durable file into the table. */
  #apply(path: string): void {
    using source = this.#files.openSource(path);
    const decoder = new LtxDecoder({
      kernel: openKernel({ pageSize: this.#table.pageSize }),
      source,
    });
    for (let batch = decoder.next(); batch !== undefined; batch = decoder.next()) {
      this.#table.write(batch.pgnos, batch.checksums);
    }
    decoder.finish();
    this.#table.truncate(decoder.header.commit);
  }

  /**
   * Writes the next level 0 file, or nothing (`undefined`) when it would hold no page and not change the size. When it
   * throws, the line is `stale`: whether the file came to be is for `recover` to find out.
   */
  append(input: AppendInput): LineFile | undefined {
    const txid = nextTxid(this.#position.txid);
    const { pageSize } = input.kernel;
    this.#stale = true;
    if (input.complete) {
      this.#trusted = false;
      this.#table.reset(pageSize);
    }
    const delta = new TableDelta(
      this.#table,
      input.complete ? EMPTY_POSITION : this.#position,
      input,
    );
    const file = this.#write({ level: 0, minTxid: txid, maxTxid: txid }, input, delta);
    if (file !== undefined) {
      const { databaseChecksum } = delta;
      this.#position = { txid, pageSize, commit: input.commit, databaseChecksum };
      if (!delta.settle()) this.#apply(this.#files.pathOf(file));
      if (input.complete) this.#table.settle(txid);
      this.#trusted = true;
    }
    this.#stale = false;
    return file;
  }

  /**
   * Writes a level 9 snapshot, every page of the present position, which `input.pages` must deliver. `undefined` when
   * it is there already: a published file never changes.
   */
  snapshot(input: Omit<AppendInput, "complete">): LineFile | undefined {
    const present = this.#files.list(SNAPSHOT_LEVEL);
    if (present.some((file) => file.maxTxid === this.#position.txid)) return undefined;
    const sums = new ExactSum(this.#position.databaseChecksum);
    const range = { level: SNAPSHOT_LEVEL, minTxid: toTxid(1), maxTxid: this.#position.txid };
    return defined(this.#write(range, input, sums), "snapshot file");
  }

  #write(
    range: { readonly level: number; readonly minTxid: Txid; readonly maxTxid: Txid },
    input: Omit<AppendInput, "complete">,
    sums: PageSums,
  ): LineFile | undefined {
    const written = this.#files.write(range, (sink) => {
      const encoder = new LtxEncoder({
        kernel: input.kernel,
        header: headerOf(range, input),
        sink,
        pageFormat: this.#pageFormat,
      });
      input.pages((pgnos, pages) => sums.add(pgnos, encoder.writePages(pgnos, pages)));
      return sums.empty ? undefined : encoder.finish({ databaseChecksum: sums.finish() });
    });
    if (written === undefined) return undefined;
    return {
      ...range,
      sizeBytes: written.sizeBytes,
      timestampMs: input.timestampMs,
      pageCount: written.pageCount,
    };
  }

  /** Continues after `txid`, which somebody else's files reach: everything local before it is obsolete. */
  moveTo(txid: Txid): void {
    for (const file of this.localFiles()) this.#files.remove(file);
    this.#table.reset(0);
    this.#position = { ...EMPTY_POSITION, txid };
    this.#trusted = false;
  }

  /** What `append` and `snapshot` would have returned for a local file. */
  describe(file: LocalFile): LineFile {
    using source = this.#files.openSource(file.path);
    const { timestampMs } = readLtxHeader(source);
    const { level, minTxid, maxTxid } = file;
    return { level, minTxid, maxTxid, sizeBytes: source.sizeBytes, timestampMs, pageCount: 0 };
  }

  /** Deletes local files that every destination has, keeping the newest; `all` does not wait for a batch. */
  release(durable: Txid, options: { readonly all?: boolean | undefined } = {}): void {
    if (!this.#trusted) return;
    if (durable < this.#nextBatch && options.all !== true) return;
    const disposable = this.#files
      .list(0)
      .filter((file) => file.maxTxid <= durable)
      .slice(0, -1);
    const snapshots = this.#files.list(SNAPSHOT_LEVEL).filter((file) => file.maxTxid <= durable);
    const oldest = disposable[0]?.minTxid ?? durable;
    this.#nextBatch = toTxid(oldest + BigInt(RELEASE_BATCH_FILES));
    if (disposable.length < RELEASE_BATCH_FILES && options.all !== true) return;
    this.#table.settle(this.#position.txid);
    for (const file of [...disposable, ...snapshots]) this.#files.remove(file);
  }

  [Symbol.dispose](): void {
    this.#table[Symbol.dispose]();
  }
}

function positionOf(header: LtxHeader): LinePosition {
  return {
    txid: header.maxTxid,
    pageSize: header.pageSize,
    commit: header.commit,
    databaseChecksum: header.databaseChecksum,
  };
}

function headerOf(
  range: { readonly minTxid: Txid; readonly maxTxid: Txid },
  input: Omit<AppendInput, "complete">,
): LtxHeader {
  return {
    flags: FLAG_NO_CHECKSUM,
    pageSize: input.kernel.pageSize,
    commit: input.commit,
    minTxid: range.minTxid,
    maxTxid: range.maxTxid,
    timestampMs: input.timestampMs,
    preApplyChecksum: NO_CHECKSUM,
    walOffset: input.walOffset,
    walSize: input.walSize,
    walSalt1: input.walSalt1,
    walSalt2: input.walSalt2,
    nodeId: 0n,
    databaseChecksum: NO_CHECKSUM,
  };
}
