/**
 * Checked reading and writing of binary formats.
 *
 * `subarray` clamps a range that is too long, and a typed array read past its end is `undefined`:
 * both turn a truncated file into a short or zero value. Everything here throws instead. What
 * others wrote is read with the caller's error code and the name of what was being read; a mistake
 * about our own tables is a failed assertion. Fixed-width integers are big-endian.
 */
import { MillraceError } from "../errors.ts";
import type { ErrorCode } from "../errors.ts";
import { assert } from "./assert.ts";

/** What is said when bytes are too short. */
export interface BytesOrigin {
  /** Code of the error, e.g. `ltx/truncated`. */
  readonly code: ErrorCode;
  /** What the bytes are, e.g. `LTX header`. */
  readonly what: string;
}

function tooShort(bytes: Uint8Array, offset: number, size: number, origin: BytesOrigin): Error {
  return new MillraceError(
    origin.code,
    `read ${origin.what}: ${bytes.length} bytes, wanted ${size} at offset ${offset}`,
    { details: { offset, size, available: bytes.length } },
  );
}

/** The `size` bytes from `offset` on, borrowed. Throws `origin.code` when there are fewer. */
export function view<T extends ArrayBufferLike>(
  bytes: Uint8Array<T>,
  offset: number,
  size: number,
  origin: BytesOrigin,
): Uint8Array<T> {
  if (offset >= 0 && size >= 0 && offset + size <= bytes.length) {
    return bytes.subarray(offset, offset + size);
  }
  throw tooShort(bytes, offset, size, origin);
}

type Table<T extends ArrayBufferLike> =
  | Uint8Array<T>
  | Uint16Array<T>
  | Uint32Array<T>
  | BigUint64Array<T>;

/**
 * The rows from `start` to before `end` of a table of our own, borrowed. That they exist is
 * asserted.
 */
export function rows<T extends Table<ArrayBufferLike>>(table: T, start: number, end: number): T {
  const inside = start >= 0 && start <= end && end <= table.length;
  assert(inside, `rows ${start} to ${end} are among the ${table.length} of the table`);
  return table.subarray(start, end) as T;
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

  skip(size: number): void {
    this.#advance(size);
  }

  /** Moves past `size` bytes; returns where they start. */
  #advance(size: number): number {
    const start = this.#offset;
    if (!(size >= 0 && start + size <= this.#bytes.length)) {
      throw tooShort(this.#bytes, start, size, this.#origin);
    }
    this.#offset = start + size;
    return start;
  }
}

/** A cursor that fills `size` zero bytes from the front. That what is written fits is asserted. */
export class ByteWriter {
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly #view: DataView;
  #offset = 0;

  constructor(size: number) {
    this.bytes = new Uint8Array(size);
    this.#view = new DataView(this.bytes.buffer);
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

  #advance(size: number): number {
    const start = this.#offset;
    assert(
      start + size <= this.bytes.length,
      `${size} bytes at ${start} fit the ${this.bytes.length}`,
    );
    this.#offset = start + size;
    return start;
  }
}

/** Most bytes of an unsigned LEB128 number that is a safe integer. */
export const MAX_UVARINT_SIZE = 8;

/**
 * Writes `value`, a non-negative safe integer, as unsigned LEB128 at `offset`, where
 * MAX_UVARINT_SIZE bytes are free. Returns the offset after it.
 */
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
