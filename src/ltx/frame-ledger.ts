/**
 * What an encoder remembers of the frames it wrote, until it writes the page index.
 *
 * Page numbers are kept as runs and sizes as u16 (u32 for pages of 64 KiB), so a snapshot costs two
 * bytes a page: 50 MB for a database of 100 GB.
 */
import { putUvarint, rows } from "../base/bytes.ts";
import type { Pgno } from "../base/ids.ts";
import { maxPageFrameSize } from "../kernel/abi.ts";
import { HEADER_SIZE } from "./constants.ts";

const FIRST_CHUNK = 64;
const MAX_CHUNK = 65536;
/** Three numbers of at most 8 bytes. */
const MAX_ENTRY_SIZE = 24;

interface Run {
  readonly first: Pgno;
  count: number;
}

export class FrameLedger {
  readonly #runs: Run[] = [];
  readonly #chunks: (Uint16Array | Uint32Array)[] = [];
  readonly #wide: boolean;
  /** Free places in the last chunk start here. */
  #used = 0;
  #count = 0;

  constructor(pageSize: number) {
    this.#wide = maxPageFrameSize(pageSize) > 0xffff;
  }

  get count(): number {
    return this.#count;
  }

  /** Records the next frame in file order. */
  add(pgno: Pgno, size: number): void {
    const run = this.#runs.at(-1);
    if (run !== undefined && run.first + run.count === pgno) run.count += 1;
    else this.#runs.push({ first: pgno, count: 1 });

    let chunk = this.#chunks.at(-1);
    if (chunk === undefined || this.#used === chunk.length) {
      const capacity = Math.min(MAX_CHUNK, Math.max(FIRST_CHUNK, this.#count));
      chunk = this.#wide ? new Uint32Array(capacity) : new Uint16Array(capacity);
      this.#chunks.push(chunk);
      this.#used = 0;
    }
    chunk[this.#used] = size;
    this.#used += 1;
    this.#count += 1;
  }

  /**
   * The page index, entries and terminator, in pieces of at most `pieceSize` bytes. A piece is
   * borrowed until the next.
   */
  *encodeIndex(pieceSize: number): Generator<Uint8Array> {
    const piece = new Uint8Array(Math.min(pieceSize, (this.#count + 1) * MAX_ENTRY_SIZE));
    const sizes = this.#sizes();
    let offset = HEADER_SIZE;
    let filled = 0;
    for (const run of this.#runs) {
      for (let i = 0; i < run.count; i++) {
        if (filled + MAX_ENTRY_SIZE > piece.length) {
          yield rows(piece, 0, filled);
          filled = 0;
        }
        const size = sizes.next().value ?? 0;
        filled = putUvarint(piece, filled, run.first + i);
        filled = putUvarint(piece, filled, offset);
        filled = putUvarint(piece, filled, size);
        offset += size;
      }
    }
    filled = putUvarint(piece, filled, 0);
    yield rows(piece, 0, filled);
  }

  *#sizes(): Generator<number, undefined> {
    for (const [i, chunk] of this.#chunks.entries()) {
      const used = i === this.#chunks.length - 1 ? this.#used : chunk.length;
      for (let j = 0; j < used; j++) yield chunk[j] ?? 0;
    }
    return undefined;
  }
}
