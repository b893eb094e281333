/**
 * The page index: where each page's frame lies in the file.
 *
 * Entries are (page number, file offset of the frame, frame size) as unsigned LEB128 numbers in
 * ascending page order, then one zero byte. The size of all that follows as a big-endian u64, then
 * the trailer, so the index is found from the file's end. Frames tile the space between header and
 * index without gaps, hence an index has exactly one valid form for given frames; everything else
 * is refused, which also bounds what a reader allocates by the bytes it was given.
 *
 * Source: superfly/ltx@8cb8f8e `encodePageIndex`, `DecodePageIndex`; docs/formats/ltx.md.
 */
import { ByteReader, MAX_UVARINT_SIZE } from "../base/bytes.ts";
import type { MillraceError } from "../errors.ts";
import { maxPageFrameSize } from "../kernel/abi.ts";
import {
  HEADER_SIZE,
  INDEX_SIZE_SIZE,
  MIN_FILE_SIZE,
  PAGE_HEADER_SIZE,
  TRAILER_SIZE,
} from "./constants.ts";
import { UNNAMED, ltxError } from "./errors.ts";
import { FrameLedger } from "./frame-ledger.ts";
import { PageOrder } from "./page-order.ts";
import type { PageOrderHeader } from "./page-order.ts";

/** Entries in ascending page order; arrays have one element an entry. */
export interface PageIndex {
  readonly pgnos: Uint32Array;
  /** Byte offset of each frame's page header in the file. */
  readonly offsets: Float64Array;
  /** Bytes of each frame, page header included. */
  readonly sizes: Uint32Array;
}

/** Where the index lies in a file. */
export interface PageIndexPlace {
  /** Offset of the first entry. */
  readonly offset: number;
  /** Bytes of entries and terminator, without the size field. */
  readonly size: number;
  /** Offset of the end marker: the first byte after the last frame. */
  readonly framesEnd: number;
}

export interface PageIndexOptions {
  /** Header fields of the same file. */
  readonly header: PageOrderHeader;
  /** The first byte after the last frame, when known. */
  readonly framesEnd?: number | undefined;
  /** What messages call the file. */
  readonly name?: string | undefined;
}

/** Bytes at the end of a file that tell where its index is: the size field and the trailer. */
export const INDEX_TAIL_SIZE: number = INDEX_SIZE_SIZE + TRAILER_SIZE;

/**
 * Finds the index from the last INDEX_TAIL_SIZE bytes of a file of `sizeBytes`. Throws
 * `ltx/truncated` or `ltx/invalid`.
 */
export function locatePageIndex(
  tail: Uint8Array,
  sizeBytes: number,
  name: string = UNNAMED,
): PageIndexPlace {
  if (sizeBytes < MIN_FILE_SIZE) {
    const problem = `${sizeBytes} bytes, wanted at least ${MIN_FILE_SIZE}`;
    throw ltxError("ltx/truncated", name, problem, { sizeBytes });
  }
  const reader = new ByteReader(tail, {
    code: "ltx/truncated",
    what: `tail of LTX file "${name}"`,
  });
  const size = reader.u64();
  reader.skip(TRAILER_SIZE);
  const room = sizeBytes - HEADER_SIZE - PAGE_HEADER_SIZE - INDEX_TAIL_SIZE;
  if (size < 1n || size > BigInt(room)) {
    const problem = `page index of ${size} bytes, wanted 1 to ${room}; the file may be cut short`;
    throw ltxError("ltx/invalid", name, problem, { offset: sizeBytes - INDEX_TAIL_SIZE });
  }
  const offset = sizeBytes - INDEX_TAIL_SIZE - Number(size);
  return { offset, size: Number(size), framesEnd: offset - PAGE_HEADER_SIZE };
}

/** Entries and terminator for frames that follow each other from the header on. */
export function encodePageIndex(
  entries: Pick<PageIndex, "pgnos" | "sizes">,
  pageSize: number,
): Uint8Array {
  const ledger = new FrameLedger(pageSize);
  entries.pgnos.forEach((pgno, i) => ledger.add(pgno, entries.sizes[i] ?? 0));
  const pieces = [...ledger.encodeIndex(Number.MAX_SAFE_INTEGER)];
  return pieces[0] ?? new Uint8Array(1);
}

/**
 * Decodes a whole index: entries and terminator, without the size field. Throws `ltx/invalid` or
 * `ltx/truncated`.
 */
export function decodePageIndex(bytes: Uint8Array, options: PageIndexOptions): PageIndex {
  const cursor = new PageIndexCursor(options);
  const index = cursor.push(bytes);
  cursor.finish();
  return index;
}

/** Smallest frame: page header, size field, one byte. */
const MIN_FRAME_SIZE = PAGE_HEADER_SIZE + 5;

/**
 * Decodes an index that arrives in chunks. Memory is bounded by the chunk, not by the index: use it
 * where a database may have hundreds of millions of pages.
 */
export class PageIndexCursor {
  readonly #name: string;
  readonly #order: PageOrder;
  readonly #maxFrameSize: number;
  readonly #framesEnd: number | undefined;
  /** Bytes of an entry whose end has not arrived. */
  #carry = new Uint8Array(0);
  #nextOffset = HEADER_SIZE;
  #ended = false;

  constructor(options: PageIndexOptions) {
    this.#name = options.name ?? UNNAMED;
    this.#order = new PageOrder(options.header);
    this.#maxFrameSize = maxPageFrameSize(options.header.pageSize);
    this.#framesEnd = options.framesEnd;
  }

  /** Whether the terminator has been read. */
  get ended(): boolean {
    return this.#ended;
  }

  /**
   * The entries that `chunk`, the next bytes of the index, completes. The caller owns the arrays.
   */
  push(chunk: Uint8Array): PageIndex {
    if (this.#ended && chunk.length > 0) throw this.#invalid("bytes after the terminator");
    const bytes = this.#carry.length === 0 ? chunk : concat(this.#carry, chunk);
    const capacity = Math.floor(countNumbers(bytes) / 3);
    const index: PageIndex = {
      pgnos: new Uint32Array(capacity),
      offsets: new Float64Array(capacity),
      sizes: new Uint32Array(capacity),
    };
    const numbers = new NumberReader(bytes);
    let start = 0;
    for (let row = 0; !this.#ended; row++) {
      start = numbers.offset;
      const pgno = this.#number(numbers);
      if (pgno === 0) {
        this.#end(bytes.length - numbers.offset);
        return index;
      }
      const offset = this.#number(numbers);
      const size = this.#number(numbers);
      if (pgno === undefined || offset === undefined || size === undefined) break;
      this.#accept(pgno, offset, size);
      index.pgnos[row] = pgno;
      index.offsets[row] = offset;
      index.sizes[row] = size;
    }
    this.#carry = bytes.slice(start);
    return index;
  }

  /** Ends the index; throws when its terminator or a page of a snapshot is missing. */
  finish(): void {
    if (!this.#ended) {
      const problem = `page index that ends after page ${this.#order.last} without its terminator`;
      throw ltxError("ltx/truncated", this.#name, problem);
    }
  }

  #number(numbers: NumberReader): number | undefined {
    const value = numbers.next();
    if (value === "malformed") throw this.#invalid("a number that is too long or padded");
    return value;
  }

  #accept(pgno: number, offset: number, size: number): void {
    const problem = this.#order.accept(pgno);
    if (problem !== undefined) throw this.#invalid(problem);
    if (offset !== this.#nextOffset) {
      throw this.#invalid(`page ${pgno} at offset ${offset}, wanted ${this.#nextOffset}`);
    }
    if (size < MIN_FRAME_SIZE || size > this.#maxFrameSize) {
      const range = `${MIN_FRAME_SIZE} to ${this.#maxFrameSize}`;
      throw this.#invalid(`page ${pgno} with a frame of ${size} bytes, wanted ${range}`);
    }
    this.#nextOffset = offset + size;
    if (this.#framesEnd !== undefined && this.#nextOffset > this.#framesEnd) {
      throw this.#invalid(`page ${pgno} reaching offset ${this.#nextOffset}, past the last frame`);
    }
  }

  #end(rest: number): void {
    this.#ended = true;
    this.#carry = new Uint8Array(0);
    if (rest > 0) throw this.#invalid(`${rest} bytes after the terminator`);
    const problem = this.#order.finish();
    if (problem !== undefined) throw this.#invalid(problem);
    if (this.#framesEnd !== undefined && this.#nextOffset !== this.#framesEnd) {
      throw this.#invalid(`frames up to offset ${this.#nextOffset}, wanted ${this.#framesEnd}`);
    }
  }

  #invalid(problem: string): MillraceError {
    return ltxError("ltx/invalid", this.#name, `page index with ${problem}`);
  }
}

function concat(a: Uint8Array, b: Uint8Array): Uint8Array {
  const joined = new Uint8Array(a.length + b.length);
  joined.set(a);
  joined.set(b, a.length);
  return joined;
}

/** How many LEB128 numbers end within `bytes`. */
function countNumbers(bytes: Uint8Array): number {
  let count = 0;
  for (let i = 0; i < bytes.length; i++) {
    if ((bytes[i] ?? 0) < 128) count += 1;
  }
  return count;
}

/** Reads unsigned LEB128 numbers; `undefined` when the bytes end inside one. */
class NumberReader {
  readonly #bytes: Uint8Array;
  offset = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
  }

  /** The next number, a safe integer in its shortest form; anything else is malformed. */
  next(): number | "malformed" | undefined {
    let value = 0;
    let scale = 1;
    for (let i = 0; i < MAX_UVARINT_SIZE; i++) {
      const byte = this.#bytes[this.offset + i];
      if (byte === undefined) return undefined;
      value += (byte & 127) * scale;
      scale *= 128;
      if (byte >= 128) continue;
      if (byte === 0 && i > 0) return "malformed";
      this.offset += i + 1;
      return value <= Number.MAX_SAFE_INTEGER ? value : "malformed";
    }
    return "malformed";
  }
}
