/**
 * Stands in for capture: a little database in memory whose every change becomes a real LTX file in a
 * directory, and which remembers what the database held at every TXID.
 */
import { mkdirSync, readdirSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { NO_TXID, nextTxid, toTxid, type Checksum, type Txid } from "../base/ids.ts";
import { openKernel, type Kernel } from "../kernel/kernel.ts";
import { LtxDecoder, readLtxHeader } from "../ltx/decoder.ts";
import { LtxEncoder } from "../ltx/encoder.ts";
import { MemorySink, memorySource } from "../ltx/memory.ts";
import { ltxFileName } from "../ltx/names.ts";
import { RollingChecksum } from "../ltx/rolling-checksum.ts";
import { sampleHeader } from "./ltx-samples.ts";

/** Page number to page. */
export type Image = ReadonlyMap<number, Uint8Array>;

export interface MadeFile {
  readonly level: number;
  readonly minTxid: Txid;
  readonly maxTxid: Txid;
  readonly sizeBytes: number;
  readonly timestampMs: number;
}

export interface LineMakerOptions {
  /** The directory that holds the levels. */
  readonly directory: string;
  readonly pageSize?: number | undefined;
  /** Makes the pages of one line differ from those of another. */
  readonly seed?: number | undefined;
  /** Pages that do not compress. */
  readonly noise?: boolean | undefined;
}

export class LineMaker {
  readonly directory: string;
  /** What the database held at each TXID that ended a file. */
  readonly history: Map<Txid, Image> = new Map();
  #pageSize: number;
  readonly #seed: number;
  readonly #noise: boolean;
  #image = new Map<number, Uint8Array>();
  #txid: Txid = NO_TXID;
  #countPages = 0;

  constructor(options: LineMakerOptions) {
    this.directory = options.directory;
    this.#pageSize = options.pageSize ?? 512;
    this.#seed = options.seed ?? 1;
    this.#noise = options.noise ?? false;
    mkdirSync(join(this.directory, "0"), { recursive: true });
    mkdirSync(join(this.directory, "9"), { recursive: true });
  }

  get txid(): Txid {
    return this.#txid;
  }

  /** Rolling checksum of the present state. */
  get checksum(): Checksum {
    return imageChecksum(this.#image, this.#pageSize);
  }

  /** A commit: `pages` get new content, the database grows or shrinks to `commit` pages. */
  commit(options: { readonly pages?: readonly number[]; readonly commit?: number } = {}): MadeFile {
    const size = options.commit ?? Math.max(this.#image.size, 4, ...(options.pages ?? []));
    const changed = new Set(options.pages ?? [1 + (Number(this.#txid) % size)]);
    for (let pgno = this.#image.size + 1; pgno <= size; pgno += 1) changed.add(pgno);
    for (const pgno of this.#image.keys()) if (pgno > size) this.#image.delete(pgno);
    const pages = [...changed].filter((pgno) => pgno <= size).sort((a, b) => a - b);
    for (const pgno of pages) this.#image.set(pgno, this.#newPage(pgno));
    return this.#write(0, nextTxid(this.#txid), pages);
  }

  /** A commit whose file holds every page. */
  whole(): MadeFile {
    const size = Math.max(this.#image.size, 4);
    return this.commit({ pages: Array.from({ length: size }, (_, index) => index + 1) });
  }

  /** A level 9 snapshot of the present state. */
  snapshot(): MadeFile {
    return this.#write(
      9,
      toTxid(1),
      [...this.#image.keys()].sort((a, b) => a - b),
    );
  }

  /** Every page at another page size: a whole file follows. */
  resize(pageSize: number): MadeFile {
    this.#pageSize = pageSize;
    const size = this.#image.size;
    this.#image = new Map();
    return this.commit({ commit: size });
  }

  /** Goes on after `txid`; local files are deleted. */
  moveTo(txid: Txid): void {
    for (const level of ["0", "9"]) {
      for (const name of readdirSync(join(this.directory, level))) this.remove(`${level}/${name}`);
    }
    this.#txid = txid;
  }

  /** Another line that shares everything up to now and nothing from here on. */
  fork(options: { readonly directory: string; readonly seed: number }): LineMaker {
    const fork = new LineMaker({ ...options, pageSize: this.#pageSize });
    fork.#image = new Map(this.#image);
    fork.#txid = this.#txid;
    for (const [txid, image] of this.history) fork.history.set(txid, image);
    return fork;
  }

  remove(name: string): void {
    rmSync(join(this.directory, name), { force: true });
  }

  pathOf(file: Pick<MadeFile, "level" | "minTxid" | "maxTxid">): string {
    return join(this.directory, String(file.level), ltxFileName(file.minTxid, file.maxTxid));
  }

  #newPage(pgno: number): Uint8Array {
    this.#countPages += 1;
    const page = new Uint8Array(this.#pageSize);
    const view = new DataView(page.buffer);
    page.fill(pgno & 0xff);
    let state = this.#countPages;
    for (let offset = 0; this.#noise && offset < page.length; offset += 4) {
      state = Math.imul(state ^ (state >>> 15), 0x2c1b3c6d) + 0x9e3779b9;
      view.setInt32(offset, state);
    }
    view.setUint32(0, this.#seed);
    view.setUint32(4, this.#countPages);
    return page;
  }

  #write(level: number, minTxid: Txid, pgnos: readonly number[]): MadeFile {
    const maxTxid = level === 0 ? minTxid : this.#txid;
    const sink = new MemorySink();
    const timestampMs = 1_600_000_000_000 + Number(maxTxid) * 1000;
    const encoder = new LtxEncoder({
      kernel: kernelFor(this.#pageSize),
      sink,
      header: sampleHeader({
        pageSize: this.#pageSize,
        commit: this.#image.size,
        minTxid,
        maxTxid,
        timestampMs,
        databaseChecksum: this.checksum,
      }),
    });
    for (const pgno of pgnos) {
      encoder.writePages(Uint32Array.of(pgno), this.#image.get(pgno) ?? new Uint8Array(0));
    }
    encoder.finish();
    const bytes = sink.toBytes();
    const file = { level, minTxid, maxTxid, sizeBytes: bytes.length, timestampMs };
    const path = this.pathOf(file);
    writeFileSync(`${path}.tmp`, bytes);
    renameSync(`${path}.tmp`, path);
    if (level === 0) {
      this.#txid = maxTxid;
      this.history.set(maxTxid, new Map(this.#image));
    }
    return file;
  }
}

/** Applies the files in order; each must connect to the one before. The plainest restore there is. */
export function applyFiles(files: readonly Uint8Array[]): { txid: Txid; image: Image } {
  let image = new Map<number, Uint8Array>();
  let txid = NO_TXID;
  for (const bytes of files) {
    const source = memorySource(bytes);
    const { pageSize, commit, minTxid, maxTxid } = readLtxHeader(source);
    if (minTxid > txid + 1n) throw new Error(`TXID ${minTxid} does not follow ${txid}`);
    if (minTxid === 1n) image = new Map();
    const decoder = new LtxDecoder({ kernel: kernelFor(pageSize), source });
    for (let batch = decoder.next(); batch !== undefined; batch = decoder.next()) {
      for (const [index, pgno] of batch.pgnos.entries()) {
        image.set(pgno, batch.pages.slice(index * pageSize, (index + 1) * pageSize));
      }
    }
    decoder.finish();
    for (const pgno of image.keys()) if (pgno > commit) image.delete(pgno);
    const declared = decoder.header.databaseChecksum;
    const found = imageChecksum(image, pageSize);
    if (declared !== found) throw new Error(`TXID ${maxTxid} restores to other pages`);
    txid = maxTxid;
  }
  return { txid, image };
}

function imageChecksum(image: Image, pageSize: number): Checksum {
  const kernel = kernelFor(pageSize);
  const sum = new RollingChecksum();
  for (const [pgno, page] of image) {
    kernel.input.set(page);
    sum.fold(kernel.pageChecksums(Uint32Array.of(pgno)));
  }
  return sum.value;
}

const kernels = new Map<number, Kernel>();

function kernelFor(pageSize: number): Kernel {
  const kernel = kernels.get(pageSize) ?? openKernel({ pageSize });
  kernels.set(pageSize, kernel);
  return kernel;
}
