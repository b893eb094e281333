/**
 * One input of a merge: a file's frames in ascending page order, copied out of the kernel so that
 * other inputs may use it.
 */
import { rows } from "../base/bytes.ts";
import type { Pgno } from "../base/ids.ts";
import type { Kernel } from "../kernel/kernel.ts";
import { LtxDecoder } from "./decoder.ts";
import type { LtxBatch, LtxProof } from "./decoder.ts";
import type { FrameBatch } from "./frame-batch.ts";
import type { LtxHeader } from "./header.ts";
import type { LtxSource } from "./source.ts";

export interface MergeInputOptions {
  readonly kernel: Kernel;
  readonly source: LtxSource;
  /** Position among the inputs, oldest first. */
  readonly age: number;
  readonly batchPages: number;
}

export class MergeInput {
  readonly header: LtxHeader;
  readonly age: number;
  readonly name: string | undefined;
  readonly #decoder: LtxDecoder;
  /** Pages above this are cut off by a later shrink: decoded for the checksum, never delivered. */
  #limit: Pgno;
  #frames: Uint8Array<ArrayBuffer> = new Uint8Array(0);
  readonly #pgnos: Uint32Array<ArrayBuffer>;
  readonly #frameSizes: Uint32Array<ArrayBuffer>;
  readonly #pageCrcs: BigUint64Array<ArrayBuffer>;
  #count = 0;
  #row = 0;
  /** Offset in `#frames` of the frame at `#row`. */
  #offset = 0;
  #proof: LtxProof | undefined;

  constructor(options: MergeInputOptions) {
    const { kernel, source, batchPages } = options;
    this.age = options.age;
    this.name = source.name;
    this.#decoder = new LtxDecoder({ kernel, source, batchPages });
    this.header = this.#decoder.header;
    this.#limit = this.header.commit;
    this.#pgnos = new Uint32Array(batchPages);
    this.#frameSizes = new Uint32Array(batchPages);
    this.#pageCrcs = new BigUint64Array(batchPages);
  }

  /** What reading the whole file proved; `undefined` before its end. */
  get proof(): LtxProof | undefined {
    return this.#proof;
  }

  /** Page number of the next frame; 0 when nothing is buffered. */
  get pgno(): Pgno {
    return this.#row < this.#count ? (this.#pgnos[this.#row] ?? 0) : 0;
  }

  /** Sets the highest page that is delivered. Before the first `refill`. */
  limitTo(limit: Pgno): void {
    this.#limit = limit;
  }

  /** Makes sure that a frame is buffered. False at the end, which has been proven then. */
  refill(): boolean {
    while (this.pgno === 0) {
      const batch = this.#decoder.next();
      if (batch === undefined) {
        this.#proof = this.#decoder.finish();
        return false;
      }
      this.#keep(batch);
    }
    return true;
  }

  /** Skips the next frame. */
  skip(): void {
    this.#offset += this.#frameSizes[this.#row] ?? 0;
    this.#row += 1;
  }

  /**
   * Takes buffered frames below page `end`, at most `maxCount` and `maxBytes`, at least one.
   * Borrowed until `refill`.
   */
  take(end: Pgno, maxCount: number, maxBytes: number): FrameBatch {
    const first = this.#row;
    const start = this.#offset;
    let bytes = 0;
    while (this.#row < this.#count && this.#row - first < maxCount) {
      const next = bytes + (this.#frameSizes[this.#row] ?? 0);
      const fits = this.#row === first || ((this.#pgnos[this.#row] ?? 0) < end && next <= maxBytes);
      if (!fits) break;
      this.skip();
      bytes = next;
    }
    return {
      pgnos: rows(this.#pgnos, first, this.#row),
      frameSizes: rows(this.#frameSizes, first, this.#row),
      pageCrcs: rows(this.#pageCrcs, first, this.#row),
      frames: rows(this.#frames, start, start + bytes),
    };
  }

  #keep(batch: LtxBatch): void {
    let count = 0;
    while (count < batch.count && (batch.pgnos[count] ?? 0) <= this.#limit) count += 1;
    if (this.#frames.length < batch.frames.length) {
      this.#frames = new Uint8Array(batch.frames.length);
    }
    this.#frames.set(batch.frames);
    this.#pgnos.set(batch.pgnos);
    this.#frameSizes.set(batch.frameSizes);
    this.#pageCrcs.set(batch.pageCrcs);
    this.#count = count;
    this.#row = 0;
    this.#offset = 0;
  }
}

/** Inputs by their next page, the newest first among equals: a binary heap. */
export class MergeQueue {
  readonly #heap: MergeInput[] = [];

  /** The input that is next, without taking it. */
  get first(): MergeInput | undefined {
    return this.#heap[0];
  }

  push(input: MergeInput): void {
    const heap = this.#heap;
    let at = heap.length;
    heap.push(input);
    while (at > 0) {
      const parent = (at - 1) >> 1;
      const above = heap[parent];
      if (above === undefined || !precedes(input, above)) break;
      heap[at] = above;
      at = parent;
    }
    heap[at] = input;
  }

  pop(): MergeInput | undefined {
    const heap = this.#heap;
    const first = heap[0];
    const last = heap.pop();
    if (first === undefined || last === undefined || heap.length === 0) return first;
    let at = 0;
    for (;;) {
      const child = this.#smallerChild(at);
      const below = heap[child];
      if (below === undefined || !precedes(below, last)) break;
      heap[at] = below;
      at = child;
    }
    heap[at] = last;
    return first;
  }

  #smallerChild(at: number): number {
    const left = 2 * at + 1;
    const a = this.#heap[left];
    const b = this.#heap[left + 1];
    return a !== undefined && b !== undefined && precedes(b, a) ? left + 1 : left;
  }
}

function precedes(a: MergeInput, b: MergeInput): boolean {
  return a.pgno === b.pgno ? a.age > b.age : a.pgno < b.pgno;
}
