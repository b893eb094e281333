/**
 * A line of LTX files in a store, together with the database that each TXID stands for.
 *
 * The model is plain: an array of pages that each transaction changes, and a copy of it per TXID. What a
 * reader of the files comes up with is compared with these copies.
 */
import { NO_CHECKSUM, toTxid, toChecksum, type Checksum, type Txid } from "../base/ids.ts";
import { openKernel, type Kernel, type PageFormat } from "../kernel/kernel.ts";
import { compactLtx } from "../ltx/compactor.ts";
import { CHECKSUM_FLAG, FLAG_NO_CHECKSUM } from "../ltx/constants.ts";
import { LtxEncoder } from "../ltx/encoder.ts";
import { lockPgno } from "../ltx/header.ts";
import { memorySource, MemorySink } from "../ltx/memory.ts";
import { ltxFileName } from "../ltx/names.ts";
import type { LtxFileInfo, LtxStore } from "../storage/ltx-store.ts";
import { sampleHeader } from "./ltx-samples.ts";

export interface ReplicaLineOptions {
  readonly store: LtxStore;
  readonly pageSize?: number | undefined;
  /** `tag`: the rolling checksum in the reserved bytes. `tracked`: real pre- and post-apply checksums. */
  readonly checksums?: "tag" | "tracked" | "none" | undefined;
  readonly pageFormat?: PageFormat | undefined;
  /** Of the first file; each further one is a second later. Unix ms. */
  readonly startMs?: number | undefined;
}

const SECOND_MS = 1_000;

export class ReplicaLine {
  readonly store: LtxStore;
  readonly pageSize: number;
  /** Of the files that are written from now on. */
  pageFormat: PageFormat | undefined;
  readonly #options: ReplicaLineOptions;
  readonly #kernel: Kernel;
  /** Index 0 is page 1. */
  #pages: Uint8Array[] = [];
  #txid = 0;
  #checksum: Checksum = toChecksum(0n);
  readonly #images = new Map<Txid, Uint8Array>();
  /** Every file written, by its name and level. */
  readonly files: Map<string, { readonly info: LtxFileInfo; readonly bytes: Uint8Array }> =
    new Map();

  constructor(options: ReplicaLineOptions) {
    this.#options = options;
    this.store = options.store;
    this.pageSize = options.pageSize ?? 512;
    this.pageFormat = options.pageFormat;
    this.#kernel = openKernel({ pageSize: this.pageSize });
  }

  get txid(): Txid {
    return toTxid(this.#txid);
  }

  /** When the file that ends with `txid` was made. */
  timeOf(txid: number): number {
    return (this.#options.startMs ?? 1_700_000_000_000) + (txid - 1) * SECOND_MS;
  }

  /** The database after `txid`. */
  image(txid: Txid = this.txid): Uint8Array {
    const image = this.#images.get(txid);
    if (image === undefined) throw new Error(`no image of TXID ${txid}`);
    return image;
  }

  /**
   * One transaction: the database gets `commit` pages; `changes` are its new pages, by number. Pages that
   * appear without being in `changes` are zeros. Written as one level 0 file.
   */
  async commit(commit: number, changes: ReadonlyMap<number, Uint8Array>): Promise<LtxFileInfo> {
    const before = this.#checksum;
    const pages = this.#pages.slice(0, commit);
    while (pages.length < commit) pages.push(new Uint8Array(this.pageSize));
    for (const [pgno, page] of changes) pages[pgno - 1] = page;
    this.#pages = pages;
    this.#txid += 1;
    this.#checksum = this.#sum();
    this.#images.set(this.txid, this.#image());
    const pgnos = [...changes.keys()].sort((a, b) => a - b);
    return this.#write({ level: 0, minTxid: this.txid, pgnos, preApplyChecksum: before });
  }

  /** A complete copy of the newest state at level 9, or at another level. */
  snapshot(level = 9): Promise<LtxFileInfo> {
    const lock = lockPgno(this.pageSize);
    const pgnos = this.#pages.map((_, i) => i + 1).filter((pgno) => pgno !== lock);
    return this.#write({ level, minTxid: toTxid(1), pgnos, preApplyChecksum: toChecksum(0n) });
  }

  /** Merges the level 0 files `from` to `to` into one of `level`. */
  async compact(level: number, from: number, to: number): Promise<LtxFileInfo> {
    const sink = new MemorySink();
    const inputs = Array.from({ length: to - from + 1 }, (_, i) => {
      const txid = toTxid(from + i);
      return memorySource(this.bytesOf(0, txid, txid));
    });
    compactLtx({ kernel: this.#kernel, inputs, sink });
    return this.put({ level, minTxid: toTxid(from), maxTxid: toTxid(to) }, sink.toBytes());
  }

  /** The bytes of a file that was written. */
  bytesOf(level: number, minTxid: Txid, maxTxid: Txid): Uint8Array {
    const file = this.files.get(`${level}/${ltxFileName(minTxid, maxTxid)}`);
    if (file === undefined) throw new Error(`no file ${level}/${ltxFileName(minTxid, maxTxid)}`);
    return file.bytes;
  }

  /** Stores bytes as a file, in place of what was there. */
  async put(
    id: { readonly level: number; readonly minTxid: Txid; readonly maxTxid: Txid },
    bytes: Uint8Array,
  ): Promise<LtxFileInfo> {
    const createdAtMs = this.timeOf(Number(id.maxTxid));
    const info = await this.store.write(id, bytes, { createdAtMs });
    this.files.set(`${id.level}/${ltxFileName(id.minTxid, id.maxTxid)}`, { info, bytes });
    return info;
  }

  #image(): Uint8Array {
    const lock = lockPgno(this.pageSize);
    const image = new Uint8Array(this.#pages.length * this.pageSize);
    this.#pages.forEach((page, i) => {
      if (i + 1 !== lock) image.set(page, i * this.pageSize);
    });
    return image;
  }

  #sum(): Checksum {
    const lock = lockPgno(this.pageSize);
    let sum = 0n;
    this.#pages.forEach((page, i) => {
      if (i + 1 === lock) return;
      this.#kernel.input.set(page);
      sum ^= this.#kernel.pageChecksums(Uint32Array.of(i + 1))[0] ?? 0n;
    });
    return toChecksum(sum | CHECKSUM_FLAG);
  }

  #write(file: {
    readonly level: number;
    readonly minTxid: Txid;
    readonly pgnos: readonly number[];
    readonly preApplyChecksum: Checksum;
  }): Promise<LtxFileInfo> {
    const { checksums = "tag" } = this.#options;
    const { pageFormat } = this;
    const isTracked = checksums === "tracked";
    const header = sampleHeader({
      flags: isTracked ? 0 : FLAG_NO_CHECKSUM,
      pageSize: this.pageSize,
      commit: this.#pages.length,
      minTxid: file.minTxid,
      maxTxid: this.txid,
      timestampMs: this.timeOf(this.#txid),
      preApplyChecksum: isTracked && file.minTxid > 1n ? file.preApplyChecksum : NO_CHECKSUM,
      databaseChecksum: checksums === "tag" ? this.#checksum : NO_CHECKSUM,
    });
    const sink = new MemorySink();
    const encoder = new LtxEncoder({ kernel: this.#kernel, header, sink, pageFormat });
    for (const pgno of file.pgnos) {
      encoder.writePages(Uint32Array.of(pgno), this.#pages[pgno - 1] ?? new Uint8Array());
    }
    encoder.finish(isTracked ? { postApplyChecksum: this.#checksum } : {});
    return this.put(
      { level: file.level, minTxid: file.minTxid, maxTxid: this.txid },
      sink.toBytes(),
    );
  }
}

/** A page that is recognisable and compresses somewhat: a repeated word and some noise. */
export function samplePage(pageSize: number, seed: number): Uint8Array {
  const page = new Uint8Array(pageSize).fill(seed % 251);
  let state = (seed * 2_654_435_761) >>> 0;
  for (let i = 0; i < pageSize; i += 16) {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    new DataView(page.buffer).setUint32(i, state);
  }
  return page;
}
