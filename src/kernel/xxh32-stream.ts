/**
 * XXH32 with seed 0 over any number of bytes: LZ4 frames of whole files carry it. Plain TypeScript, because it
 * keeps up with a network and needs none of the kernel's memory.
 *
 * Source: the xxHash specification (Cyan4973/xxHash doc `xxhash_spec.md`).
 */
import { rows } from "../base/bytes.ts";
import { newXxh32Lanes, XXH32_STRIPE_SIZE, xxh32Finish, xxh32Stripes } from "./twin/xxh32.ts";

export class Xxh32 {
  readonly #lanes = newXxh32Lanes();
  /** What does not fill a stripe yet. */
  readonly #rest = new Uint8Array(XXH32_STRIPE_SIZE);
  readonly #restView = new DataView(this.#rest.buffer);
  #restSize = 0;
  #size = 0;

  /** Bytes are read before it returns. */
  update(bytes: Uint8Array): void {
    this.#size += bytes.length;
    let at = 0;
    if (this.#restSize > 0) {
      at = Math.min(bytes.length, XXH32_STRIPE_SIZE - this.#restSize);
      this.#rest.set(rows(bytes, 0, at), this.#restSize);
      this.#restSize += at;
      if (this.#restSize < XXH32_STRIPE_SIZE) return;
      xxh32Stripes(this.#lanes, this.#restView, 0, XXH32_STRIPE_SIZE);
    }
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    at = xxh32Stripes(this.#lanes, view, at, bytes.length);
    this.#restSize = bytes.length - at;
    this.#rest.set(rows(bytes, at, bytes.length));
  }

  /** The hash of everything so far, unsigned. The length counts modulo 2^32. */
  get value(): number {
    const rest = { view: this.#restView, at: 0, end: this.#restSize };
    return xxh32Finish(this.#lanes, this.#size, rest);
  }
}

export function xxh32Of(bytes: Uint8Array): number {
  const hash = new Xxh32();
  hash.update(bytes);
  return hash.value;
}
