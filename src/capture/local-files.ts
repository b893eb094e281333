/**
 * The LTX files on local disk: written whole or not at all, listed, read back, deleted.
 *
 * A file is written under `<name>.tmp`, fsynced, renamed and its directory fsynced; leftovers of a crash are
 * removed when capture starts. Level 0 holds one file a sync; a file covering several TXIDs appears only when a
 * long outage made the queue too large and it was merged.
 */
import { dirname, join } from "node:path";
import type { Txid } from "../base/ids.ts";
import type { LtxSink } from "../ltx/encoder.ts";
import type { LtxSource } from "../ltx/decoder.ts";
import { parseLtxFileName } from "../ltx/names.ts";
import type { Files } from "../platform/files.ts";
import { ltxLevelDir, ltxPath, type MetaPaths } from "./meta-dir.ts";

export interface LocalFile {
  readonly level: number;
  readonly minTxid: Txid;
  readonly maxTxid: Txid;
  readonly path: string;
}

const SINK_BUFFER_BYTES = 1 << 20;
/** One for all files of a thread, which are written one after the other: a new one a file keeps the collector busy. */
let spareBuffer: Uint8Array | undefined;

/** A sink that gathers small writes and puts them into a file in large ones. Disposing gives its buffer back. */
export class FileSink implements LtxSink, Disposable {
  readonly #files: Files;
  readonly #fd: number;
  readonly #buffer: Uint8Array;
  #buffered = 0;
  #flushed = 0;

  constructor(files: Files, fd: number) {
    this.#files = files;
    this.#fd = fd;
    this.#buffer = spareBuffer ?? new Uint8Array(SINK_BUFFER_BYTES);
    spareBuffer = undefined;
  }

  write(bytes: Uint8Array): void {
    if (this.#buffered + bytes.length > this.#buffer.length) this.flush();
    if (bytes.length >= this.#buffer.length) {
      this.#files.write("write local ltx", this.#fd, bytes, this.#flushed);
      this.#flushed += bytes.length;
      return;
    }
    this.#buffer.set(bytes, this.#buffered);
    this.#buffered += bytes.length;
  }

  patch(offset: number, bytes: Uint8Array): void {
    if (offset >= this.#flushed) {
      this.#buffer.set(bytes, offset - this.#flushed);
      return;
    }
    this.flush();
    this.#files.write("write local ltx", this.#fd, bytes, offset);
  }

  flush(): void {
    if (this.#buffered === 0) return;
    this.#files.write(
      "write local ltx",
      this.#fd,
      this.#buffer.subarray(0, this.#buffered),
      this.#flushed,
    );
    this.#flushed += this.#buffered;
    this.#buffered = 0;
  }

  [Symbol.dispose](): void {
    spareBuffer = this.#buffer;
  }
}

export class LocalFiles {
  readonly #files: Files;
  readonly #meta: MetaPaths;

  constructor(files: Files, meta: MetaPaths) {
    this.#files = files;
    this.#meta = meta;
  }

  /** Creates the level's directory and removes what a crash left half written. */
  prepare(level: number): void {
    const dir = ltxLevelDir(this.#meta, level);
    this.#files.mkdir("create ltx directory", dir, 0o700);
    for (const name of this.#files.list("clean ltx directory", dir)) {
      if (name.endsWith(".tmp")) this.#files.unlink("clean ltx directory", join(dir, name));
    }
  }

  /** Files of a level by ascending TXID; a file contained in another is left out. */
  list(level: number): LocalFile[] {
    const dir = ltxLevelDir(this.#meta, level);
    const files: LocalFile[] = [];
    for (const name of this.#files.list("list local ltx", dir)) {
      const range = parseLtxFileName(name);
      if (range !== undefined) files.push({ level, ...range, path: join(dir, name) });
    }
    files.sort((a, b) => compare(a.minTxid, b.minTxid) || compare(b.maxTxid, a.maxTxid));
    let covered = 0n;
    return files.filter((file) => {
      if (file.maxTxid <= covered && level === 0) return false;
      covered = file.maxTxid;
      return true;
    });
  }

  /**
   * Writes one file: `build` receives the sink. When this returns, the file is durable under its final name; when
   * `build` throws or returns `undefined`, nothing remains.
   */
  write<T>(
    range: { readonly level: number; readonly minTxid: Txid; readonly maxTxid: Txid },
    build: (sink: FileSink) => T,
  ): T {
    const path = ltxPath(this.#meta, range);
    const temporary = `${path}.tmp`;
    let result: T;
    const fd = this.#files.open("create local ltx", temporary, "w", 0o600);
    try {
      try {
        using sink = new FileSink(this.#files, fd);
        result = build(sink);
        if (result !== undefined) {
          sink.flush();
          this.#files.fsync("sync local ltx", fd);
        }
      } finally {
        this.#files.close("close local ltx", fd);
      }
      if (result === undefined) {
        this.#files.unlink("remove empty local ltx", temporary);
        return result;
      }
      this.#files.rename("publish local ltx", temporary, path);
    } catch (error) {
      this.#files.unlink("remove failed local ltx", temporary);
      throw error;
    }
    this.#files.fsyncDirectory("publish local ltx", dirname(path));
    return result;
  }

  pathOf(range: {
    readonly level: number;
    readonly minTxid: Txid;
    readonly maxTxid: Txid;
  }): string {
    return ltxPath(this.#meta, range);
  }

  remove(file: LocalFile): void {
    this.#files.unlink("delete local ltx", file.path);
  }

  /** Opens a file for reading; disposing closes it. */
  openSource(path: string): LtxSource & Disposable {
    const files = this.#files;
    const fd = files.open("read local ltx", path, "r");
    return {
      name: path,
      sizeBytes: files.fstat("read local ltx", fd).sizeBytes,
      read: (offset, target) => files.read("read local ltx", fd, target, offset),
      [Symbol.dispose]: () => files.close("read local ltx", fd),
    };
  }
}

function compare(a: bigint, b: bigint): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
