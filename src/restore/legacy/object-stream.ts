/**
 * Whole objects out of the store as streams that survive broken connections, and many small ones ahead of their turn.
 *
 * A stream that breaks is taken up again where it broke, and only if the object is still the same. A run of failures
 * without a byte in between ends it; every byte starts the count anew, as an object is finite.
 */
import { handledElsewhere, sleep } from "../../base/async.ts";
import { Backoff } from "../../base/backoff.ts";
import { MillraceError } from "../../errors.ts";
import type { ObjectBody, ObjectStore } from "../../storage/contract.ts";
import {
  isPassing,
  RETRY_ATTEMPTS,
  RETRY_INITIAL_MS,
  RETRY_MAX_MS,
  type RetryOptions,
} from "../retry.ts";
import { describeLegacy, type LegacySegment, type LegacySnapshot } from "./names.ts";

/** Objects of at most this size are read ahead, whole. */
const AHEAD_OBJECT_BYTES = 256 * 1024;
/** Objects read ahead: with the size a bound of memory, and enough to hide a store's latency. */
const AHEAD_OBJECTS = 16;

export interface ObjectStreamOptions extends RetryOptions {
  readonly store: ObjectStore;
}

/**
 * The bytes of an object from the first to the last, as it was listed. Throws `storage/not-found` when it is gone or is
 * another one by now, and what the store throws once it is not worth trying again.
 */
export async function* streamObject(
  object: LegacySnapshot | LegacySegment,
  options: ObjectStreamOptions,
): AsyncGenerator<Uint8Array, void, void> {
  const { store, clock, random, signal, onRetry } = options;
  const backoff = new Backoff({ initialMs: RETRY_INITIAL_MS, maxMs: RETRY_MAX_MS, random });
  let etag: string | undefined;
  let offset = 0;
  for (;;) {
    try {
      // Opened anew where the last one broke; the range needs no capability while nothing was read.
      await using body = await store.get(
        object.key,
        offset === 0 ? { signal } : { offset, signal },
      );
      requireSame(object, body, etag);
      etag = body.info.etag;
      for await (const chunk of body) {
        if (chunk.length === 0) continue;
        offset += chunk.length;
        if (offset > object.sizeBytes) break;
        backoff.reset();
        yield chunk;
      }
      if (offset === object.sizeBytes) return;
      throw truncated(object, offset);
    } catch (error) {
      signal?.throwIfAborted();
      // A connection that breaks after the last byte took nothing with it.
      if (offset > 0 && offset === object.sizeBytes) return;
      if (!isPassing(error) || backoff.failures + 1 >= RETRY_ATTEMPTS || offset > object.sizeBytes)
        throw error;
      const delayMs = backoff.next();
      onRetry?.(error, delayMs);
      await sleep(clock, delayMs, { signal });
    }
  }
}

/** A snapshot may be written again under its name while Litestream 0.3 is running. */
function requireSame(
  object: LegacySnapshot | LegacySegment,
  { info }: ObjectBody,
  etag: string | undefined,
): void {
  const isSame = info.sizeBytes === object.sizeBytes && (etag === undefined || info.etag === etag);
  if (isSame) return;
  throw new MillraceError(
    "storage/not-found",
    `read ${describeLegacy(object)}: it was replaced after it was listed`,
    { op: "read object", details: { key: object.key } },
  );
}

function truncated(object: LegacySnapshot | LegacySegment, found: number): MillraceError {
  return new MillraceError(
    "storage/truncated",
    `read ${describeLegacy(object)}: ${found} bytes, listed were ${object.sizeBytes}`,
    { op: "read object", details: { key: object.key } },
  );
}

/** Each segment in order with its bytes; small ones are fetched side by side before they are wanted. */
export async function* streamSegments(
  segments: readonly LegacySegment[],
  options: ObjectStreamOptions,
): AsyncGenerator<{ segment: LegacySegment; chunks: AsyncIterable<Uint8Array> }, void, void> {
  const stop = new AbortController();
  const { signal: outer } = options;
  const signal = outer === undefined ? stop.signal : AbortSignal.any([outer, stop.signal]);
  const ahead = new Map<LegacySegment, Promise<Uint8Array[]>>();
  let next = 0;
  try {
    for (const segment of segments) {
      for (; next < segments.length && ahead.size < AHEAD_OBJECTS; next += 1) {
        const upcoming = segments[next];
        if (upcoming === undefined || upcoming.sizeBytes > AHEAD_OBJECT_BYTES) continue;
        const fetched = Array.fromAsync(streamObject(upcoming, { ...options, signal }));
        // A failure is thrown where the segment's turn comes, unless an earlier one failed first.
        handledElsewhere(fetched);
        ahead.set(upcoming, fetched);
      }
      const fetched = ahead.get(segment);
      ahead.delete(segment);
      const chunks =
        fetched === undefined ? streamObject(segment, { ...options, signal }) : later(fetched);
      yield { segment, chunks };
    }
  } finally {
    stop.abort(new MillraceError("storage/closed", "the restore has ended"));
    await Promise.allSettled(ahead.values());
  }
}

async function* later(fetched: Promise<Uint8Array[]>): AsyncGenerator<Uint8Array, void, void> {
  yield* await fetched;
}
