/** Listing: order, prefixes, paging, and what happens when the store changes meanwhile. */
import assert from "node:assert/strict";
import type { ObjectStore } from "../contract.ts";
import type { Check } from "./context.ts";
import { assertFails, CREATED_AT_MS, inByteOrder, keysOf, pattern } from "./support.ts";

/** Keys around everything that may go wrong in ordering; none is a directory of another. */
const KEYS: readonly string[] = [
  "!",
  "-",
  "0",
  "A",
  "Z",
  "a-b",
  "a.b",
  "a/0",
  "a/B",
  "a/b-c",
  "a/b.d",
  "a/b/c",
  "a/b/d/e",
  "a/b0",
  "a0",
  "a~",
  "b",
  "ltx/0/0000000000000001-0000000000000001.ltx",
  "ltx/0/0000000000000002-0000000000000002.ltx",
  "ltx/0/000000000000000a-000000000000000a.ltx",
  "ltx/0/0000000000000010-0000000000000010.ltx",
  "ltx/1/0000000000000001-0000000000000002.ltx",
  "ltx/9/0000000000000001-0000000000000002.ltx",
  "z/\u{7e}",
  "z/é",
  "z/ﬁ",
  "z/\u{ffee}",
  "z/😀",
];

async function fill(store: ObjectStore, keys: readonly string[]): Promise<void> {
  // Backwards, so that order of listing is not order of arrival.
  for (const key of keys.toReversed()) {
    await store.put(key, pattern(3), { createdAtMs: CREATED_AT_MS });
  }
}

function expected(prefix: string, startAfter = ""): string[] {
  const after = Buffer.from(startAfter);
  return inByteOrder(KEYS).filter(
    (key) => key.startsWith(prefix) && Buffer.compare(Buffer.from(key), after) > 0,
  );
}

export function listingTests(check: Check): void {
  orderTests(check);
  iterationTests(check);
  pagingTests(check);
  changeTests(check);
}

function orderTests(check: Check): void {
  check("list() of an empty store and of a missing prefix is empty", async ({ store }) => {
    assert.deepEqual(await keysOf(store), []);
    assert.deepEqual(await keysOf(store, "missing/"), []);
    await store.put("a/b", pattern(1));
    for (const prefix of ["missing/", "a/b/", "a/b/c", "a/c", "b", "a//".slice(0, 2) + "x"]) {
      assert.deepEqual(await keysOf(store, prefix), [], prefix);
    }
  });

  check("list() yields keys in byte order", async ({ store }) => {
    await fill(store, KEYS);
    assert.deepEqual(await keysOf(store), expected(""));
  });

  check("list() yields exactly the keys that begin with the prefix", async ({ store }) => {
    await fill(store, KEYS);
    const prefixes = [
      "a",
      "a/",
      "a/b",
      "a/b/",
      "a/b/c",
      "a/b/d",
      "l",
      "ltx/",
      "ltx/0/",
      "ltx/0/0",
      "z/é",
      "zz",
    ];
    for (const prefix of prefixes) {
      assert.deepEqual(await keysOf(store, prefix), expected(prefix), `prefix ${prefix}`);
    }
  });

  check("list() yields exactly the keys after startAfter", async ({ store }) => {
    await fill(store, KEYS);
    const between = [
      "",
      "\u{1}",
      "a",
      "a/",
      "a/b",
      "a/b/",
      "a/b/c/",
      "a/b/d",
      "a1",
      "ltx/0/000000000000000a",
      "zzz",
    ];
    for (const startAfter of [...KEYS, ...between]) {
      for (const prefix of ["", "a/", "a/b", "ltx/0/"]) {
        const found = await keysOf(store, prefix, { startAfter });
        assert.deepEqual(found, expected(prefix, startAfter), `"${prefix}" after "${startAfter}"`);
      }
    }
  });
}

function iterationTests(check: Check): void {
  check("list() can be iterated again", async ({ store }) => {
    await fill(store, ["a", "b"]);
    const listing = store.list("");
    for (let round = 0; round < 2; round += 1) {
      const keys: string[] = [];
      for await (const { key } of listing) keys.push(key);
      assert.deepEqual(keys, ["a", "b"]);
    }
  });

  check("list() reports errors when it is iterated", async ({ store }) => {
    const hostile = ["../", "/a", "a//b", "a/../b", "\0"];
    for (const prefix of hostile) {
      const listing = store.list(prefix);
      await assertFails("storage/invalid-key", async () => {
        for await (const _ of listing) assert.fail("nothing can be listed");
      });
    }
  });
}

function pagingTests(check: Check): void {
  check("list() yields many objects once each, and in order", async ({ store, countMany }) => {
    const keys = Array.from({ length: countMany }, (_, index) => `many/${hex(index * 7919)}`);
    await putAll(store, keys);
    await store.put("many0", pattern(1));
    const sorted = inByteOrder(keys);
    assert.deepEqual(await keysOf(store, "many/"), sorted);
    for (const index of [0, 1, 499, 999, 1_000, countMany - 2, countMany - 1]) {
      const found = await keysOf(store, "many/", { startAfter: sorted[index] });
      assert.deepEqual(found, sorted.slice(index + 1), `after index ${index}`);
    }
    await store.delete(keys);
    assert.deepEqual(await keysOf(store), ["many0"]);
  });

  check("list() can be left early", async ({ store, countMany }) => {
    await putAll(
      store,
      Array.from({ length: Math.min(countMany, 300) }, (_, index) => hex(index)),
    );
    const seen: string[] = [];
    for await (const { key } of store.list("")) {
      seen.push(key);
      if (seen.length === 3) break;
    }
    assert.deepEqual(seen, [hex(0), hex(1), hex(2)]);
  });

  check("list() can run many times at once", async ({ store }) => {
    await fill(store, KEYS);
    const results = await Promise.all(Array.from({ length: 8 }, () => keysOf(store, "a")));
    for (const found of results) assert.deepEqual(found, expected("a"));
  });
}

function changeTests(check: Check): void {
  check(
    "list() shows a put, a replacement and a delete that finished before",
    async ({ store, connect }) => {
      const other = await connect();
      await store.put("a", pattern(1));
      assert.deepEqual(await keysOf(other), ["a"]);
      await other.put("a", pattern(2));
      for await (const info of store.list("")) assert.equal(info.sizeBytes, 2);
      await store.delete(["a"]);
      assert.deepEqual(await keysOf(other), []);
    },
    { appliesTo: ({ consistentList }) => consistentList },
  );

  check(
    "list() yields what stays once, whatever else comes and goes",
    async ({ store, countMany }) => {
      const stay = Array.from(
        { length: Math.min(countMany, 400) },
        (_, index) => `s/${hex(index)}-stay`,
      );
      const go = stay.filter((_, index) => index % 3 === 0).map((key) => key.replace("stay", "go"));
      await putAll(store, [...stay, ...go]);
      const seen: string[] = [];
      let step = 0;
      for await (const { key } of store.list("s/")) {
        seen.push(key);
        // What was listed already goes, and other things come before and after.
        if (key.endsWith("-go")) await store.delete([key]);
        if (step % 50 === 10) await store.put(`s/!${step}`, pattern(1));
        if (step % 50 === 35) await store.put(`s/${hex(step * 2)}-new`, pattern(1));
        step += 1;
      }
      assert.deepEqual(seen, inByteOrder([...new Set(seen)]));
      assert.deepEqual(
        seen.filter((key) => key.endsWith("-stay")),
        stay,
      );
    },
  );
}

function hex(value: number): string {
  return value.toString(16).padStart(16, "0");
}

async function putAll(store: ObjectStore, keys: readonly string[]): Promise<void> {
  const pending = [...keys];
  const worker = async (): Promise<void> => {
    for (let key = pending.pop(); key !== undefined; key = pending.pop()) {
      await store.put(key, pattern(1));
    }
  };
  await Promise.all(Array.from({ length: 8 }, worker));
}
