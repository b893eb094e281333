/** What a store declares is what it does; what it does not declare it refuses. */
import assert from "node:assert/strict";
import type { Check } from "./context.ts";
import {
  assertFails,
  assertKept,
  assertThrows,
  CREATED_AT_MS,
  keysOf,
  pattern,
} from "./support.ts";

const KEY = "ltx/0/object";

export function capabilityTests(check: Check): void {
  declarationTests(check);
  refusalTests(check);
}

function declarationTests(check: Check): void {
  check(
    "capabilities are declared, and the same on every connection",
    async ({ store, connect }) => {
      const { conditionalCreate, conditionalReplace, rangeReads, maxObjectBytes } =
        store.capabilities;
      const { consistentList, exactTimesInList } = store.capabilities;
      const flags = [
        conditionalCreate,
        conditionalReplace,
        rangeReads,
        consistentList,
        exactTimesInList,
      ];
      for (const flag of flags) assert.equal(typeof flag, "boolean");
      assert.ok(maxObjectBytes > 0);
      assert.ok((store.capabilities.timeUnitMs ?? 1) >= 0);
      assert.match(store.type, /^[a-z][a-z0-9-]*$/);
      assert.deepEqual((await connect()).capabilities, store.capabilities);
    },
  );
}

function refusalTests(check: Check): void {
  check(
    "put() refuses ifAbsent without conditionalCreate",
    async ({ store }) => {
      await assertFails("storage/unsupported", () =>
        store.put(KEY, pattern(1), { ifAbsent: true }),
      );
      assert.deepEqual(await keysOf(store), []);
    },
    { appliesTo: ({ conditionalCreate }) => !conditionalCreate },
  );

  check(
    "put() refuses ifMatch without conditionalReplace",
    async ({ store }) => {
      await store.put(KEY, pattern(1));
      await assertFails("storage/unsupported", () => store.put(KEY, pattern(2), { ifMatch: "x" }));
      assert.equal((await store.head(KEY)).sizeBytes, 1);
    },
    { appliesTo: ({ conditionalReplace }) => !conditionalReplace },
  );

  check(
    "get() refuses ranges without rangeReads",
    async ({ store }) => {
      await store.put(KEY, pattern(10));
      await assertFails("storage/unsupported", () => store.get(KEY, { offset: 1 }));
      await assertFails("storage/unsupported", () => store.get(KEY, { sizeBytes: 1 }));
      await assertFails("storage/unsupported", () => store.get(KEY, { offset: 0, sizeBytes: 10 }));
      assert.equal((await (await store.get(KEY, { offset: 0 })).bytes()).length, 10);
    },
    { appliesTo: ({ rangeReads }) => !rangeReads },
  );

  check(
    "put() refuses more than maxObjectBytes without opening the source",
    async ({ store }) => {
      const { maxObjectBytes } = store.capabilities;
      const source = {
        sizeBytes: maxObjectBytes + 1,
        open: () => assert.fail("the source was opened"),
      };
      await assertFails("storage/unsupported", () => store.put(KEY, source));
      assert.deepEqual(await keysOf(store), []);
    },
    { appliesTo: ({ maxObjectBytes }) => maxObjectBytes < Number.MAX_SAFE_INTEGER },
  );

  check("list() has the createdAtMs of the put when exactTimesInList", async ({ store }) => {
    await store.put(KEY, pattern(1), { createdAtMs: CREATED_AT_MS });
    for await (const { createdAtMs } of store.list("")) {
      if (store.capabilities.exactTimesInList) assertKept(store, createdAtMs, CREATED_AT_MS);
      assert.ok(Number.isInteger(createdAtMs));
    }
    assertKept(store, (await store.head(KEY)).createdAtMs, CREATED_AT_MS);
  });

  check(
    "an absent capability is refused after the state and the key are checked",
    async ({ store }) => {
      const reason = new Error("stop");
      const signal = AbortSignal.abort(reason);
      const condition = { ifAbsent: true, ifMatch: undefined };
      await assertThrows(reason, () => store.put(KEY, pattern(1), { ...condition, signal }));
      await assertFails("storage/invalid-key", () => store.put("../x", pattern(1), condition));
      await store[Symbol.asyncDispose]();
      await assertFails("storage/closed", () => store.put(KEY, pattern(1), condition));
    },
  );
}
