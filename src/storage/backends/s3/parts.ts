/** Contents to upload: small ones whole, large ones in parts, several at a time, of which only so many are in memory. */
import type { BackendSource } from "../../backend.ts";
import { blocksOf } from "../../remote/blocks.ts";
import { MAX_PARTS, MIB } from "./s3-plan.ts";

export interface PartSizes {
  readonly partSizeBytes: number;
  readonly concurrency: number;
}

/** Parts large enough for their number to be allowed, and no more of them at a time than there would be bytes of small ones. */
export function partSizesFor(sizeBytes: number, wanted: PartSizes): PartSizes {
  const needed = Math.ceil(sizeBytes / MAX_PARTS / MIB) * MIB;
  if (needed <= wanted.partSizeBytes) return wanted;
  const bytes = wanted.partSizeBytes * wanted.concurrency;
  return { partSizeBytes: needed, concurrency: Math.max(1, Math.floor(bytes / needed)) };
}

/**
 * Gives the source's content to `upload` in parts numbered from 1, at most `concurrency` at a time, and returns what it made of
 * them in order. The first failure, of an upload or of the source, ends the others and is thrown when all have ended.
 */
export async function uploadParts<Part>(
  source: BackendSource,
  { partSizeBytes, concurrency, signal }: PartSizes & { readonly signal: AbortSignal },
  upload: (number: number, bytes: Uint8Array, signal: AbortSignal) => Promise<Part>,
): Promise<Part[]> {
  const controller = new AbortController();
  const stop = AbortSignal.any([signal, controller.signal]);
  const running = new Set<Promise<void>>();
  const parts: Part[] = [];
  const failures: unknown[] = [];
  const fail = (error: unknown): void => {
    failures.push(error);
    controller.abort(error);
  };
  const start = (number: number, bytes: Uint8Array): void => {
    const task = upload(number, bytes, stop)
      .then((part) => void (parts[number - 1] = part), fail)
      .finally(() => running.delete(task));
    running.add(task);
  };
  try {
    let number = 0;
    for await (const bytes of pieces(source, partSizeBytes)) {
      number += 1;
      start(number, bytes);
      if (running.size >= concurrency) await Promise.race(running);
      if (failures.length > 0) break;
    }
  } catch (error) {
    fail(error);
  }
  await Promise.all(running);
  if (failures.length > 0) throw failures[0];
  return parts;
}

/** What is in memory already is not copied. */
async function* pieces(
  source: BackendSource,
  partSizeBytes: number,
): AsyncGenerator<Uint8Array, void, void> {
  const { bytes } = source;
  if (bytes === undefined) {
    yield* blocksOf(source, partSizeBytes);
    return;
  }
  for (let offset = 0; offset < bytes.length; offset += partSizeBytes) {
    yield bytes.subarray(offset, offset + partSizeBytes);
  }
}

/** All of a source that fits into one request: it is known to be whole before anything is sent. */
export async function collect(source: BackendSource): Promise<Uint8Array> {
  const { bytes, sizeBytes } = source;
  if (bytes !== undefined) return bytes;
  const whole = new Uint8Array(sizeBytes);
  let count = 0;
  for await (const chunk of source.open()) {
    whole.set(chunk, count);
    count += chunk.length;
  }
  return whole;
}
