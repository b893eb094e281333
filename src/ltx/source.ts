/** Where an LTX file is read from, and reads that are complete or fail. */
import { HEADER_SIZE } from "./constants.ts";
import { UNNAMED, ltxError } from "./errors.ts";
import { decodeHeader } from "./header.ts";
import type { LtxHeader } from "./header.ts";

/** A file's bytes: random access, synchronous. */
export interface LtxSource {
  readonly sizeBytes: number;
  /**
   * Reads up to `target.length` bytes at `offset`; returns how many. Fewer only at the end of the
   * file.
   */
  read(offset: number, target: Uint8Array): number;
  /** What messages call the file: a path or key. */
  readonly name?: string | undefined;
}

/** A source that is read exactly: every read that comes short throws `ltx/truncated`. */
export class ExactSource {
  readonly name: string;
  readonly sizeBytes: number;
  readonly #source: LtxSource;

  constructor(source: LtxSource) {
    this.#source = source;
    this.name = source.name ?? UNNAMED;
    this.sizeBytes = source.sizeBytes;
  }

  /** `size` fresh bytes from `offset` on. The caller has checked that the file is long enough. */
  read(offset: number, size: number): Uint8Array<ArrayBuffer> {
    const bytes = new Uint8Array(size);
    this.readInto(offset, bytes);
    return bytes;
  }

  /** Fills `target` from `offset` on. */
  readInto(offset: number, target: Uint8Array): void {
    const got = this.#source.read(offset, target);
    if (got === target.length) return;
    const problem = `${got} bytes at offset ${offset}, wanted ${target.length}`;
    throw ltxError("ltx/truncated", this.name, problem, { offset });
  }

  /** The header's bytes, or as many as there are. */
  readHeader(): Uint8Array<ArrayBuffer> {
    return this.read(0, Math.min(this.sizeBytes, HEADER_SIZE));
  }
}

/** Reads and checks only the header, to learn the page size that a kernel is needed for. */
export function readLtxHeader(source: LtxSource): LtxHeader {
  const exact = new ExactSource(source);
  return decodeHeader(exact.readHeader(), exact.name);
}
