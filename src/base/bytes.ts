/**
 * Checked reading and writing of binary formats.
 *
 * `Uint8Array.subarray` clamps a range that is too long and a typed array read past the end is `undefined`; both turn
 * a truncated file into a short or zero value. Everything here throws instead, with the caller's error code and the
 * name of what was being read. All fixed-width integers are big-endian unless a name says otherwise.
 */
import { MillraceError } from "../errors.ts";
import type { ErrorCode } from "../errors.ts";

/** What a cursor says when its bytes are too short. */
export interface BytesOrigin {
  /** Code of the error, e.g. `ltx/truncated`. */
  readonly code: ErrorCode;
  /** What the bytes are, e.g. `LTX header`. */
  readonly what: string;
}

/** A view of exactly `size` bytes from `offset` on; throws when `bytes` has fewer. */
export function view(
  bytes: Uint8Array<ArrayBuffer>,
  offset: number,
  size: number,
  origin: BytesOrigin,
): Uint8Array<ArrayBuffer>;
export function view(
  bytes: Uint8Array,
  offset: number,
  size: number,
  origin: BytesOrigin,
): Uint8Array;
export function view(
  bytes: Uint8Array,
  offset: number,
  size: number,
  origin: BytesOrigin,
): Uint8Array {
  if (!(offset >= 0 && size >= 0 && offset + size <= bytes.length)) {
    throw new MillraceError(
      origin.code,
      `read ${origin.what}: ${bytes.length} bytes, wanted ${size} at offset ${offset}`,
      { details: { offset, size, available: bytes.length } },
    );
  }
  return bytes.subarray(offset, offset + size);
}

/** A cursor over bytes that somebody else wrote. */
export class ByteReader {
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  readonly #origin: BytesOrigin;
  #offset = 0;

  constructor(bytes: Uint8Array, origin: BytesOrigin) {
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.#origin = origin;
  }

  /** Bytes from the start to the next read. */
  get offset(): number {
    return this.#offset;
  }

  get remaining(): number {
    return this.#bytes.length - this.#offset;
  }

  u8(): number {
    return this.#view.getUint8(this.#advance(1));
  }

  u16(): number {
    return this.#view.getUint16(this.#advance(2));
  }

  u32(): number {
    return this.#view.getUint32(this.#advance(4));
  }

  u64(): bigint {
    return this.#view.getBigUint64(this.#advance(8));
  }

  i64(): bigint {
    return this.#view.getBigInt64(this.#advance(8));
  }

  /** The next `size` bytes, borrowed. */
  bytes(size: number): Uint8Array {
    const start = this.#advance(size);
    return view(this.#bytes, start, size, this.#origin);
  }

  skip(size: number): void {
    this.#advance(size);
  }

  /** Moves past `size` bytes; returns where they start. */
  #advance(size: number): number {
    const start = this.#offset;
    if (!(size >= 0 && size <= this.#bytes.length - start)) {
      const { code, what } = this.#origin;
      throw new MillraceError(
        code,
        `read ${what}: ${this.#bytes.length} bytes, wanted ${size} at offset ${start}`,
        { details: { offset: start, size, available: this.#bytes.length } },
      );
    }
    this.#offset = start + size;
    return start;
  }
}

/** A cursor that fills bytes of a known size; writing past the end or a value that does not fit is a bug. */
export class ByteWriter {
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly #view: DataView;
  #offset = 0;

  /** Starts at the front of `size` zero bytes. */
  constructor(size: number) {
    this.bytes = new Uint8Array(size);
    this.#view = new DataView(this.bytes.buffer);
  }

  get offset(): number {
    return this.#offset;
  }

  u16(value: number): this {
    this.#view.setUint16(this.#advance(2), value);
    return this;
  }

  u32(value: number): this {
    this.#view.setUint32(this.#advance(4), value);
    return this;
  }

  u64(value: bigint): this {
    this.#view.setBigUint64(this.#advance(8), value);
    return this;
  }

  i64(value: bigint): this {
    this.#view.setBigInt64(this.#advance(8), value);
    return this;
  }

  put(bytes: Uint8Array): this {
    this.bytes.set(bytes, this.#advance(bytes.length));
    return this;
  }

  /** Leaves `size` bytes zero. */
  skip(size: number): this {
    this.#advance(size);
    return this;
  }

  #advance(size: number): number {
    const start = this.#offset;
    if (start + size > this.bytes.length) {
      throw new MillraceError(
        "internal/bug",
        `assertion failed: write of ${size} bytes at ${start} fits ${this.bytes.length}`,
      );
    }
    this.#offset = start + size;
    return start;
  }
}

/** Most bytes of an unsigned LEB128 number that is a safe integer. */
export const MAX_UVARINT_SIZE = 8;

/** Bytes that `value`, a non-negative safe integer, takes as unsigned LEB128. */
export function uvarintSize(value: number): number {
  let size = 1;
  for (let rest = value; rest >= 128; rest = Math.floor(rest / 128)) size += 1;
  return size;
}

/** Writes `value`, a non-negative safe integer, as unsigned LEB128 at `offset`; returns the offset after it. */
export function putUvarint(bytes: Uint8Array, offset: number, value: number): number {
  let at = offset;
  let rest = value;
  while (rest >= 128) {
    bytes[at++] = (rest % 128) | 128;
    rest = Math.floor(rest / 128);
  }
  bytes[at++] = rest;
  return at;
}
