/**
 * Upload sources under guard: announced size checked, abort observed even while the source stalls, source
 * iterator always closed. Backends read sources only through this.
 */
import { MillraceError } from "../errors.ts";
import type { BackendSource } from "./backend.ts";
import type { ByteSource } from "./contract.ts";

/** Wraps what the caller gave to `put`. A wrong number of bytes is `storage/source-mismatch`. */
export function guardSource(
  op: string,
  key: string,
  body: ByteSource,
  signal: AbortSignal,
): BackendSource {
  if (body instanceof Uint8Array) {
    return {
      sizeBytes: body.length,
      bytes: body,
      open: async function* () {
        if (body.length > 0) yield body;
      },
    };
  }
  const { sizeBytes } = body;
  if (!Number.isSafeInteger(sizeBytes) || sizeBytes < 0) {
    throw new MillraceError(
      "storage/misuse",
      `${op} "${key}": the source announces ${sizeBytes} bytes`,
      { op },
    );
  }
  return {
    sizeBytes,
    bytes: undefined,
    open: async function* () {
      let count = 0;
      for await (const chunk of abortable(body.open(), signal)) {
        count += chunk.length;
        if (count > sizeBytes) break;
        if (chunk.length > 0) yield chunk;
      }
      if (count !== sizeBytes) throw sourceMismatch(op, key, count, sizeBytes);
    },
  };
}

function sourceMismatch(op: string, key: string, count: number, sizeBytes: number): MillraceError {
  const found = count > sizeBytes ? `more than ${sizeBytes}` : `${count}`;
  return new MillraceError(
    "storage/source-mismatch",
    `${op} "${key}": the source delivered ${found} bytes, announced were ${sizeBytes}`,
    { op, details: { key, sizeBytes, deliveredBytes: count } },
  );
}

/** Iterates `items` until `signal` aborts, also while an item is awaited; then throws `signal.reason`. */
export async function* abortable<T>(
  items: AsyncIterable<T>,
  signal: AbortSignal,
): AsyncGenerator<T, void, void> {
  const iterator = items[Symbol.asyncIterator]();
  let state: "suspended" | "waiting" | "done" = "suspended";
  try {
    for (;;) {
      signal.throwIfAborted();
      state = "waiting";
      const result = await unlessAborted(iterator.next(), signal);
      if (result.done === true) {
        state = "done";
        return;
      }
      state = "suspended";
      yield result.value;
    }
  } catch (error) {
    // A source that threw is finished; one that was left waiting is told to stop, but not waited for.
    if (state === "waiting") {
      iterator.return?.().catch(() => {});
      state = "done";
    }
    throw error;
  } finally {
    if (state === "suspended") await iterator.return?.();
  }
}

function unlessAborted<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    const onAbort = (): void => reject(signal.reason as Error);
    signal.addEventListener("abort", onAbort, { once: true });
    promise.then(resolve, reject).finally(() => signal.removeEventListener("abort", onAbort));
  });
}
