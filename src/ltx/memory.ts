/** LTX files in memory, for small files and tests. */
import { assert } from "../base/assert.ts";
import { rows } from "../base/bytes.ts";
import type { LtxSink } from "./encoder.ts";
import type { LtxSource } from "./source.ts";

const FIRST_CAPACITY = 4096;

/** Collects what an encoder writes. */
export class MemorySink implements LtxSink {
  #bytes = new Uint8Array(FIRST_CAPACITY);
  #size = 0;

  get sizeBytes(): number {
    return this.#size;
  }

  write(bytes: Uint8Array): void {
    const needed = this.#size + bytes.length;
    if (needed > this.#bytes.length) {
      const grown = new Uint8Array(Math.max(needed, this.#bytes.length * 2));
      grown.set(this.#bytes);
      this.#bytes = grown;
    }
    this.#bytes.set(bytes, this.#size);
    this.#size = needed;
  }

  patch(offset: number, bytes: Uint8Array): void {
    assert(offset + bytes.length <= this.#size, "patched bytes have been written");
    this.#bytes.set(bytes, offset);
  }

  /** A copy of everything written so far. */
  toBytes(): Uint8Array<ArrayBuffer> {
    return this.#bytes.slice(0, this.#size);
  }
}

/** A source over bytes, which it borrows. `name` is what messages call the file. */
export function memorySource(bytes: Uint8Array, name?: string): LtxSource {
  return {
    name,
    sizeBytes: bytes.length,
    read: (offset, target) => {
      const size = Math.max(0, Math.min(target.length, bytes.length - offset));
      if (size > 0) target.set(rows(bytes, offset, offset + size));
      return size;
    },
  };
}
