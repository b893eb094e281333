/** An object is there whole or not at all: to readers, to listings, and after every kind of failed put. */
import assert from "node:assert/strict";
import { isMillraceError } from "../../errors.ts";
import type { ByteSource, ObjectStore } from "../contract.ts";
import type { Check } from "./context.ts";
import {
  assertAbsent,
  assertBytes,
  assertFails,
  assertThrows,
  collect,
  cut,
  keysOf,
  pattern,
  read,
  stalledSource,
  streamOf,
} from "./support.ts";

const KEY = "ltx/0/object";
const PATIENCE_MS = 2_000;

export function atomicityTests(check: Check): void {
  visibilityTests(check);
  concurrencyTests(check);
  failureTests(check);
}

function visibilityTests(check: Check): void {
  check("put() shows nothing before its last byte", async ({ store, connect }) => {
    const other = await connect();
    const source = stalledSource(pattern(300_000, 1), pattern(10, 2));
    const putting = store.put(KEY, source);
    await source.reached;
    await assertAbsent(other, KEY);
    await assertAbsent(store, KEY);
    source.release();
    await putting;
    assert.equal((await other.head(KEY)).sizeBytes, 300_010);
    assert.deepEqual(await keysOf(other), [KEY]);
  });

  check("put() keeps the old object until its last byte", async ({ store }) => {
    await store.put(KEY, pattern(5_000, 1));
    const source = stalledSource(pattern(300_000, 2), pattern(10, 3));
    const putting = store.put(KEY, source);
    await source.reached;
    assertBytes(await read(store, KEY), pattern(5_000, 1));
    source.release();
    await putting;
    assert.equal((await store.head(KEY)).sizeBytes, 300_010);
  });
}

function concurrencyTests(check: Check): void {
  check("get() never sees a mixture while put() replaces", async ({ store, connect }) => {
    const other = await connect();
    const versions = [0, 1, 2, 3].map((seed) => pattern(100_000 + seed * 77_777, seed));
    await store.put(KEY, versions[0] ?? new Uint8Array(0));
    const writer = { isRunning: true };
    const writing = (async () => {
      for (let round = 0; round < 24; round += 1) {
        const bytes = versions[round % versions.length] ?? new Uint8Array(0);
        await store.put(KEY, round % 2 === 0 ? bytes : streamOf(cut(bytes, 30_000)));
      }
      writer.isRunning = false;
    })();
    // When a reading fails, the test ends and the store with it: the reading's error is the one to tell.
    writing.catch(() => {});
    let countReads = 0;
    while (writer.isRunning) {
      const found = await readWhileReplaced(other);
      if (found === undefined) continue;
      const match = versions.find((bytes) => bytes.length === found.length);
      assert.ok(match !== undefined, `${found.length} bytes are no version's size`);
      assertBytes(found, match);
      for await (const { key, sizeBytes } of other.list("")) {
        assert.equal(key, KEY);
        assert.ok(versions.some((bytes) => bytes.length === sizeBytes));
      }
      countReads += 1;
    }
    await writing;
    assert.ok(countReads > 0);
  });

  check(
    "get() finishes with what it began, or fails, when the object is replaced or deleted",
    async ({ store, largeBytes }) => {
      const before = pattern(largeBytes, 1);
      for (const change of ["replace", "delete"] as const) {
        await store.put(KEY, before);
        const parts: Uint8Array[] = [];
        let changing: Promise<unknown> = Promise.resolve();
        try {
          for await (const chunk of await store.get(KEY)) {
            parts.push(chunk);
            if (parts.length > 1) continue;
            changing =
              change === "replace" ? store.put(KEY, pattern(largeBytes, 2)) : store.delete([KEY]);
            // A store may hold writers off while it is read.
            await Promise.race([changing, patience()]);
          }
          assertBytes(Buffer.concat(parts), before, change);
        } catch (error) {
          assert.ok(!(error instanceof assert.AssertionError), String(error));
        }
        await changing;
      }
    },
  );

  check("list() shows only whole objects while many are put", async ({ store, connect }) => {
    const other = await connect();
    const bytes = pattern(50_000);
    const writer = { isRunning: true };
    const writing = Promise.all(
      [0, 1, 2, 3].map(async (lane) => {
        for (let index = 0; index < 12; index += 1) {
          await store.put(`dir${lane}/${index}`, streamOf(cut(bytes, 10_000)));
        }
      }),
    ).finally(() => (writer.isRunning = false));
    while (writer.isRunning) {
      for await (const { key, sizeBytes } of other.list("")) {
        assert.match(key, /^dir\d\/\d+$/);
        assert.equal(sizeBytes, bytes.length);
      }
    }
    await writing;
    assert.equal((await keysOf(other)).length, 48);
  });
}

/** `undefined` where a store that may have none for a moment has none. */
async function readWhileReplaced(store: ObjectStore): Promise<Uint8Array | undefined> {
  try {
    return await collect(await store.get(KEY));
  } catch (error) {
    if (store.capabilities.gaplessReplace !== false) throw error;
    assert.ok(isMillraceError(error, "storage/not-found", "storage/truncated"), String(error));
    return undefined;
  }
}

/** Sources that fail, with what `put` has to throw. */
const FAILING: Readonly<Record<string, (thrown: Error) => ByteSource>> = {
  "before its first byte": (thrown) => failing([], thrown, 100),
  "after its first chunk": (thrown) => failing([pattern(50)], thrown, 100),
  "after megabytes": (thrown) => failing(cut(pattern(7_000_000), 500_000), thrown, 9_000_000),
  "after its last byte": (thrown) => failing([pattern(100)], thrown, 100),
  "when it is opened": (thrown) => ({
    sizeBytes: 100,
    open: () => {
      throw thrown;
    },
  }),
};

const WRONG_SIZES: Readonly<Record<string, ByteSource>> = {
  "is empty instead of 10 bytes": streamOf([], 10),
  "ends a byte early": streamOf([pattern(99)], 100),
  "ends a chunk early": streamOf(cut(pattern(3_000_000), 100_000), 3_100_000),
  "has a byte too many": streamOf([pattern(101)], 100),
  "has a chunk too many": streamOf([pattern(100), pattern(100)], 100),
  "has bytes instead of none": streamOf([pattern(1)], 0),
};

function failureTests(check: Check): void {
  for (const [when, source] of Object.entries(FAILING)) {
    check(
      `put() throws the source's error and stores nothing when it fails ${when}`,
      async ({ store }) => {
        const thrown = new Error("the source broke");
        await leavesNothing(store, (put) => assertThrows(thrown, () => put(source(thrown))));
      },
    );
  }

  for (const [what, source] of Object.entries(WRONG_SIZES)) {
    check(`put() stores nothing when the source ${what}`, async ({ store }) => {
      await leavesNothing(store, (put) =>
        assertFails("storage/source-mismatch", () => put(source)),
      );
    });
  }

  check("put() closes a source that has too many bytes", async ({ store }) => {
    let isClosed = false;
    const source = {
      sizeBytes: 10,
      open: async function* () {
        try {
          for (;;) yield await Promise.resolve(pattern(8));
        } finally {
          isClosed = true;
        }
      },
    };
    await assertFails("storage/source-mismatch", () => store.put(KEY, source));
    assert.ok(isClosed);
  });
}

/** Time for what usually takes a moment. */
function patience(): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  AbortSignal.timeout(PATIENCE_MS).addEventListener("abort", () => resolve(), { once: true });
  return promise;
}

async function leavesNothing(
  store: ObjectStore,
  attempt: (put: (source: ByteSource) => Promise<unknown>) => Promise<void>,
): Promise<void> {
  await attempt((source) => store.put(KEY, source));
  await assertAbsent(store, KEY);
  assert.deepEqual(await keysOf(store), []);
  await store.put(KEY, pattern(500, 9));
  await attempt((source) => store.put(KEY, source));
  assertBytes(await read(store, KEY), pattern(500, 9), "the object from before");
  if (store.capabilities.conditionalCreate) {
    await attempt((source) => store.put(`${KEY}2`, source, { ifAbsent: true }));
    await assertAbsent(store, `${KEY}2`);
  }
}

function failing(chunks: readonly Uint8Array[], thrown: Error, sizeBytes: number): ByteSource {
  return {
    sizeBytes,
    open: async function* () {
      for (const chunk of chunks) yield await Promise.resolve(chunk);
      throw thrown;
    },
  };
}
