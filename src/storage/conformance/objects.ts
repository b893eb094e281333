/** Put, get, head and delete of single objects. */
import assert from "node:assert/strict";
import { isMillraceError } from "../../errors.ts";
import type { Check } from "./context.ts";
import {
  assertAbsent,
  assertBytes,
  assertFails,
  assertKept,
  collect,
  CREATED_AT_MS,
  cut,
  keysOf,
  pattern,
  read,
  streamOf,
} from "./support.ts";

const KEY = "ltx/0/object";
const MIB = 1024 * 1024;

export function objectTests(check: Check): void {
  bodyTests(check);
  bufferTests(check);
  factTests(check);
  timeTests(check);
  deleteTests(check);
}

function bodyTests(check: Check): void {
  for (const sizeBytes of [0, 1, 4_095, 65_536, MIB - 1, MIB, MIB + 1]) {
    check(`get() returns what put() stored when it has ${sizeBytes} bytes`, async ({ store }) => {
      const bytes = pattern(sizeBytes);
      await store.put(KEY, bytes);
      assertBytes(await read(store, KEY), bytes);
      assertBytes(await collect(await store.get(KEY)), bytes);
      assert.equal((await store.head(KEY)).sizeBytes, sizeBytes);
    });
  }

  check("put() stores a large body given whole", async ({ store, largeBytes }) => {
    const bytes = pattern(largeBytes, 1);
    await store.put(KEY, bytes);
    assertBytes(await collect(await store.get(KEY)), bytes);
  });

  check("put() stores a large body given as a stream", async ({ store, largeBytes }) => {
    const bytes = pattern(largeBytes, 2);
    const info = await store.put(KEY, streamOf(cut(bytes, 777_777)));
    assert.equal(info.sizeBytes, largeBytes);
    assertBytes(await read(store, KEY), bytes);
  });

  check("put() stores a stream of tiny and empty chunks", async ({ store }) => {
    const bytes = pattern(300, 3);
    const chunks = cut(bytes, 1).flatMap((chunk) => [new Uint8Array(0), chunk]);
    await store.put(KEY, streamOf(chunks));
    assertBytes(await read(store, KEY), bytes);
  });

  check("put() stores an empty stream", async ({ store }) => {
    await store.put(KEY, streamOf([]));
    assertBytes(await read(store, KEY), new Uint8Array(0));
    assert.deepEqual(await keysOf(store), [KEY]);
  });

  check("put() replaces an object, also by a shorter one", async ({ store }) => {
    for (const [sizeBytes, seed] of [
      [5_000, 1],
      [20_000, 2],
      [10, 3],
      [0, 4],
    ] as const) {
      await store.put(KEY, pattern(sizeBytes, seed));
      assertBytes(await read(store, KEY), pattern(sizeBytes, seed));
    }
    assert.deepEqual(await keysOf(store), [KEY]);
  });
}

function bufferTests(check: Check): void {
  check("put() keeps no hold on the caller's buffer", async ({ store }) => {
    const bytes = pattern(2_000);
    await store.put(KEY, bytes);
    bytes.fill(0xee);
    assertBytes(await read(store, KEY), pattern(2_000));
  });

  check("get() gives buffers that belong to the caller", async ({ store }) => {
    await store.put(KEY, pattern(2_000));
    (await read(store, KEY)).fill(0xee);
    for await (const chunk of await store.get(KEY)) chunk.fill(0xee);
    assertBytes(await read(store, KEY), pattern(2_000));
  });

  check("get() gives a body that is read once", async ({ store }) => {
    await store.put(KEY, pattern(10));
    const body = await store.get(KEY);
    await body.bytes();
    await assertFails("storage/misuse", () => body.bytes());
    await assertFails("storage/misuse", () => collect(body));
  });

  check("get() gives a body that can be left early or unread", async ({ store, largeBytes }) => {
    await store.put(KEY, pattern(largeBytes));
    for await (const chunk of await store.get(KEY)) {
      assert.ok(chunk.length > 0);
      break;
    }
    const unread = await store.get(KEY);
    await unread[Symbol.asyncDispose]();
    await unread[Symbol.asyncDispose]();
    await assertFails("storage/misuse", () => unread.bytes());
    assertBytes(await read(store, KEY), pattern(largeBytes));
  });

  check("get() serves many readers at once", async ({ store }) => {
    const bytes = pattern(400_000);
    await store.put(KEY, bytes);
    const bodies = await Promise.all(Array.from({ length: 16 }, () => store.get(KEY)));
    for (const found of await Promise.all(bodies.map(collect))) assertBytes(found, bytes);
  });
}

function factTests(check: Check): void {
  check("head() and get() fail with storage/not-found when absent", async ({ store }) => {
    await assertAbsent(store, "ltx/0/absent");
    await store.put("ltx/0/object", pattern(10));
    for (const key of ["ltx", "ltx/0", "ltx/0/objec", "ltx/0/object2", "ltx/0/object/x"]) {
      await assertFails("storage/not-found", () => store.head(key), `head of ${key}`);
      await assertFails("storage/not-found", () => store.get(key), `get of ${key}`);
    }
  });

  check("head() names the key in its error", async ({ store }) => {
    const error = await store.head("ltx/0/absent").catch((thrown: unknown) => thrown);
    assert.ok(isMillraceError(error));
    assert.ok(error.message.includes("ltx/0/absent"), error.message);
    assert.equal(error.details["key"], "ltx/0/absent");
  });

  check("put(), head(), get() and list() agree about an object", async ({ store }) => {
    const stored = await store.put(KEY, pattern(1_234), { createdAtMs: CREATED_AT_MS });
    assert.equal(stored.key, KEY);
    assert.equal(stored.sizeBytes, 1_234);
    assertKept(store, stored.createdAtMs, CREATED_AT_MS);
    assert.deepEqual(await store.head(KEY), stored);
    const body = await store.get(KEY);
    assert.deepEqual(body.info, stored);
    await body[Symbol.asyncDispose]();
    for await (const listed of store.list("")) {
      const { createdAtMs } = store.capabilities.exactTimesInList ? stored : listed;
      assert.deepEqual(listed, { ...stored, createdAtMs });
    }
  });
}

function timeTests(check: Check): void {
  check("put() keeps every createdAtMs to the declared unit", async ({ store }) => {
    const times = [
      0,
      1,
      999,
      1_000,
      86_399_999,
      CREATED_AT_MS,
      1_999_999_999_999,
      4_102_444_799_001,
    ];
    for (let index = 0; index < 20; index += 1) times.push(CREATED_AT_MS + index * 7_654_321_987);
    for (const createdAtMs of times) {
      await store.put(KEY, pattern(1), { createdAtMs });
      assertKept(store, (await store.head(KEY)).createdAtMs, createdAtMs);
    }
  });

  check("put() replaces the createdAtMs with the object", async ({ store }) => {
    await store.put(KEY, pattern(1), { createdAtMs: CREATED_AT_MS });
    await store.put(KEY, pattern(1), { createdAtMs: CREATED_AT_MS - 50_000 });
    assertKept(store, (await store.head(KEY)).createdAtMs, CREATED_AT_MS - 50_000);
  });

  check("put() without createdAtMs reports the store's own time", async ({ store }) => {
    const stored = await store.put(KEY, pattern(1));
    assert.ok(Number.isInteger(stored.createdAtMs), `${stored.createdAtMs}`);
    assert.equal((await store.head(KEY)).createdAtMs, stored.createdAtMs);
  });

  check("put() and get() refuse options out of range", async ({ store }) => {
    await store.put(KEY, pattern(1));
    for (const value of [-1, 0.5, Number.NaN, Number.POSITIVE_INFINITY, 2 ** 53]) {
      await assertFails("storage/misuse", () => store.put(KEY, pattern(1), { createdAtMs: value }));
      await assertFails("storage/misuse", () => store.get(KEY, { offset: value }));
      await assertFails("storage/misuse", () => store.get(KEY, { sizeBytes: value }));
      await assertFails("storage/misuse", () => store.put(KEY, streamOf([], value)));
    }
  });
}

function deleteTests(check: Check): void {
  check("delete() removes objects and nothing else", async ({ store }) => {
    const keys = ["a", "ab", "b/a", "b/ab", "c"];
    for (const key of keys) await store.put(key, pattern(10));
    await store.delete(["a", "b/a"]);
    assert.deepEqual(await keysOf(store), ["ab", "b/ab", "c"]);
    await assertAbsent(store, "b/a");
  });

  check("delete() is fine with absent, repeated and unlikely keys", async ({ store }) => {
    await store.put("b/a", pattern(10));
    await store.delete(["b/a", "b/a", "b/x", "x", "x/y/z", "b", "b/a/c"]);
    await store.delete(["b/a"]);
    assert.deepEqual(await keysOf(store), []);
  });

  check("delete() of nothing does nothing", async ({ store }) => {
    await store.put("a", pattern(1));
    await store.delete([]);
    assert.deepEqual(await keysOf(store), ["a"]);
  });

  check("put() works again after delete()", async ({ store }) => {
    await store.put(KEY, pattern(10, 1));
    await store.delete([KEY]);
    await store.put(KEY, pattern(20, 2));
    assertBytes(await read(store, KEY), pattern(20, 2));
  });
}
