/** What the conformance tests share: contents that show where they were cut, sources, and expectations. */
import assert from "node:assert/strict";
import { type ErrorCode, isMillraceError } from "../../errors.ts";
import type { ByteSource, ListOptions, ObjectStore } from "../contract.ts";

/** The `createdAtMs` of test objects: a time that no clock of the test run shows. */
export const CREATED_AT_MS = 1_700_000_000_123;

/** Bytes that differ by position and by `seed`. */
export function pattern(sizeBytes: number, seed = 0): Uint8Array {
  const bytes = new Uint8Array(sizeBytes);
  for (let index = 0; index < sizeBytes; index += 1) {
    bytes[index] = (index * 31 + (index >>> 8) * 17 + seed * 101) & 0xff;
  }
  return bytes;
}

/** A source that yields `chunks`, announcing `sizeBytes` (default: their sum). */
export function streamOf(
  chunks: readonly Uint8Array[],
  sizeBytes: number = chunks.reduce((sum, chunk) => sum + chunk.length, 0),
): ByteSource {
  return {
    sizeBytes,
    open: async function* () {
      for (const chunk of chunks) yield await Promise.resolve(chunk);
    },
  };
}

/** `bytes` in pieces of `chunkBytes`. */
export function cut(bytes: Uint8Array, chunkBytes: number): Uint8Array[] {
  const chunks: Uint8Array[] = [];
  for (let offset = 0; offset < bytes.length; offset += chunkBytes) {
    chunks.push(bytes.slice(offset, offset + chunkBytes));
  }
  return chunks;
}

/** A source that hands over `first`, reports that it was asked for more, and then waits for `release`. */
export function stalledSource(first: Uint8Array, rest: Uint8Array): StalledSource {
  const reached = Promise.withResolvers<void>();
  const released = Promise.withResolvers<void>();
  const closed = Promise.withResolvers<void>();
  return {
    sizeBytes: first.length + rest.length,
    open: async function* () {
      try {
        yield first;
        reached.resolve();
        await released.promise;
        yield rest;
      } finally {
        closed.resolve();
      }
    },
    reached: reached.promise,
    release: () => released.resolve(),
    closed: closed.promise,
  };
}

export interface StalledSource {
  readonly sizeBytes: number;
  open(): AsyncIterable<Uint8Array>;
  readonly reached: Promise<void>;
  release(): void;
  readonly closed: Promise<void>;
}

export async function read(store: ObjectStore, key: string): Promise<Uint8Array> {
  return (await store.get(key)).bytes();
}

/** All keys of a listing. */
export async function keysOf(
  store: ObjectStore,
  prefix = "",
  options: ListOptions = {},
): Promise<string[]> {
  const keys: string[] = [];
  for await (const { key } of store.list(prefix, options)) keys.push(key);
  return keys;
}

/** All bytes of an iteration. */
export async function collect(chunks: AsyncIterable<Uint8Array>): Promise<Uint8Array> {
  const parts: Uint8Array[] = [];
  for await (const chunk of chunks) parts.push(chunk);
  return Buffer.concat(parts);
}

/** Compares contents without printing megabytes when they differ. */
export function assertBytes(actual: Uint8Array, expected: Uint8Array, what = "content"): void {
  assert.equal(actual.length, expected.length, `${what}: size`);
  assert.equal(Buffer.compare(actual, expected), 0, `${what}: bytes differ`);
}

/** Expects the time of an object to be the one given to its put, as far as the store declares to keep it. */
export function assertKept(store: ObjectStore, actualMs: number, givenMs: number): void {
  const { timeUnitMs = 1 } = store.capabilities;
  assert.ok(Number.isInteger(actualMs), `${actualMs}`);
  if (timeUnitMs > 0) assert.equal(actualMs, givenMs - (givenMs % timeUnitMs));
}

/** Expects `action` to fail with the code. */
export async function assertFails(
  code: ErrorCode,
  action: () => Promise<unknown>,
  what = "the call",
): Promise<void> {
  await assert.rejects(
    action,
    (error) => {
      assert.ok(isMillraceError(error, code), `${what} fails with ${code}, not ${String(error)}`);
      return true;
    },
    `${what} fails with ${code}`,
  );
}

/** Expects `action` to fail with exactly this error. */
export async function assertThrows(
  expected: unknown,
  action: () => Promise<unknown>,
): Promise<void> {
  await assert.rejects(action, (error) => {
    assert.equal(error, expected);
    return true;
  });
}

/** Expects that nothing is stored under `key` and that no listing shows it or a name made from it. */
export async function assertAbsent(store: ObjectStore, key: string): Promise<void> {
  await assertFails("storage/not-found", () => store.head(key), `head of ${key}`);
  await assertFails("storage/not-found", () => store.get(key), `get of ${key}`);
  const traces = (await keysOf(store)).filter(
    (found) => found === key || found.startsWith(`${key}.`),
  );
  assert.deepEqual(traces, []);
}

/** Byte order of UTF-8, computed the plain way. */
export function inByteOrder(keys: readonly string[]): string[] {
  return [...keys].sort((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)));
}
