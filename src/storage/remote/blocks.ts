/** Uploads in pieces: what a source yields in whatever portions, as blocks of one size. */
import type { BackendSource } from "../backend.ts";

/**
 * The content in blocks of `blockBytes`, the last one shorter; none for empty content. Each is a buffer of its own that
 * belongs to the receiver, and only one is filled at a time. What the source throws is thrown.
 */
export async function* blocksOf(
  source: BackendSource,
  blockBytes: number,
): AsyncGenerator<Uint8Array<ArrayBuffer>, void, void> {
  let offset = 0;
  let filled = 0;
  let block = new Uint8Array(Math.min(blockBytes, source.sizeBytes));
  for await (const chunk of source.open()) {
    let taken = 0;
    while (taken < chunk.length) {
      // Handed over only when more follows: after its last byte a source may yet fail, or have too many.
      if (filled === block.length) {
        yield block;
        offset += filled;
        filled = 0;
        block = new Uint8Array(Math.min(blockBytes, source.sizeBytes - offset));
      }
      const part = chunk.subarray(taken, taken + block.length - filled);
      block.set(part, filled);
      filled += part.length;
      taken += part.length;
    }
  }
  if (filled > 0) yield block;
}
