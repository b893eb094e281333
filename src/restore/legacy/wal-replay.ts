/**
 * One write-ahead log of a Litestream 0.3 backup: its segments joined in a scratch file, then its transactions
 * applied to the image by our own reader. SQLite never opens the output.
 *
 * Every frame is verified against the salts and the cumulative checksum of its log. A log may end inside a transaction,
 * which is then left out as SQLite's recovery would; a frame that does not hold, with anything behind it, is damage and
 * refused, where SQLite would end in silence.
 */
import { setImmediate } from "node:timers/promises";
import type { Pgno } from "../../base/ids.ts";
import { MillraceError } from "../../errors.ts";
import { openKernel, type Kernel } from "../../kernel/kernel.ts";
import { lockPgno } from "../../ltx/header.ts";
import type { Files } from "../../platform/files.ts";
import { FRAME_HEADER_SIZE, frameSize, WAL_HEADER_SIZE } from "../../wal/constants.ts";
import { parseWalHeader, type WalHeader } from "../../wal/header.ts";
import { scanWal, startOfGeneration, type WalChunk } from "../../wal/scan.ts";
import type { Image } from "./image.ts";
import { formatIndex } from "./names.ts";

/** Bytes of log that are applied at once, at least one transaction: a bound of what is remembered of pages. */
const CHUNK_BYTES = 64 * 1024 * 1024;
const OP = "restore apply";

/** What a log brought. */
export interface Replayed {
  readonly transactions: number;
  /** Bytes behind the last commit: a transaction whose end the backup does not have. */
  readonly unfinishedBytes: number;
}

/** The log of one index after the other, in one scratch file. Close it in any case. */
export class WalReplay implements Disposable {
  readonly #files: Files;
  readonly #fd: number;
  readonly #generation: string;
  #kernel: Kernel | undefined;
  #sizeBytes = 0;

  /** Makes `path`, which must not exist, and takes its name away at once: it is gone with the process. */
  constructor(files: Files, path: string, generation: string) {
    this.#files = files;
    this.#generation = generation;
    this.#fd = files.open(OP, path, "wx+", 0o600);
    files.unlink(OP, path);
  }

  /** Bytes of the present log so far. */
  get sizeBytes(): number {
    return this.#sizeBytes;
  }

  append(bytes: Uint8Array): void {
    this.#files.write(OP, this.#fd, bytes, this.#sizeBytes);
    this.#sizeBytes += bytes.length;
  }

  /**
   * Applies the log of `index` to `image` and makes room for the next one. Throws `wal/damaged`, `wal/invalid`,
   * `restore/unproven` or the signal's reason.
   */
  async apply(
    index: number,
    image: Image,
    options: { readonly signal?: AbortSignal | undefined } = {},
  ): Promise<Replayed> {
    const header = this.#readHeader(index, image);
    this.#kernel ??= openKernel({ pageSize: image.pageSize });
    const endOffset = this.#sizeBytes;
    let from = startOfGeneration(header);
    let transactions = 0;
    for (;;) {
      const read = (target: Uint8Array, offset: number): number =>
        this.#files.read(OP, this.#fd, target, offset);
      const scan = { kernel: this.#kernel, read, header, from, endOffset };
      const chunk = scanWal({ ...scan, maxBytes: CHUNK_BYTES });
      if (chunk.transactions > 0) this.#applyChunk(index, chunk, image);
      transactions += chunk.transactions;
      from = chunk.end;
      if (!chunk.limited) {
        this.#requireEnd(index, chunk, image.pageSize);
        break;
      }
      // Lets an abort through, and whatever else the process has to do.
      await setImmediate();
      options.signal?.throwIfAborted();
    }
    const unfinishedBytes = this.#sizeBytes - from.offset;
    this.#files.truncate(OP, this.#fd, 0);
    this.#sizeBytes = 0;
    return { transactions, unfinishedBytes };
  }

  [Symbol.dispose](): void {
    this.#files.close(OP, this.#fd);
  }

  #readHeader(index: number, image: Image): WalHeader {
    const bytes = new Uint8Array(WAL_HEADER_SIZE);
    const got = this.#files.read(OP, this.#fd, bytes, 0);
    const header = got < WAL_HEADER_SIZE ? undefined : parseWalHeader(bytes);
    if (header === undefined) throw this.#damaged(index, "it does not begin with a sound header");
    if (header.pageSize === image.pageSize) return header;
    const sizes = `pages of ${header.pageSize} bytes, the snapshot has ${image.pageSize}`;
    throw this.#damaged(index, sizes);
  }

  #applyChunk(index: number, chunk: WalChunk, image: Image): void {
    const { frames, commit } = chunk;
    const pgnos = [...frames.keys()].sort((a, b) => a - b);
    const lock = lockPgno(image.pageSize);
    if (pgnos[0] === 0 || frames.has(lock)) {
      throw this.#damaged(index, "it has a frame of a page that no database has");
    }
    image.apply(commit, pgnos, (pgno: Pgno, target: Uint8Array) => {
      const offset = (frames.get(pgno) ?? 0) + FRAME_HEADER_SIZE;
      if (this.#files.read(OP, this.#fd, target, offset) < target.length) {
        throw this.#damaged(index, `the frame of page ${pgno} is gone from the scratch file`);
      }
    });
  }

  /** Everything that makes whole frames has to have held. */
  #requireEnd(index: number, { validEnd }: WalChunk, pageSize: number): void {
    if (this.#sizeBytes - validEnd < frameSize(pageSize)) return;
    throw this.#damaged(index, `the frame at byte ${validEnd} does not continue the log`);
  }

  #damaged(index: number, found: string): MillraceError {
    return new MillraceError(
      "wal/damaged",
      `apply generation ${this.#generation}, WAL ${formatIndex(index)}: ${found}`,
      {
        op: OP,
        details: { generation: this.#generation, index },
        hint: "the backup's copy is damaged: restore an earlier time with -timestamp, or fetch the log from another copy of the backup",
      },
    );
  }
}
