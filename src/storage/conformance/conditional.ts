/** Conditional puts: exactly one of many contenders wins, and everybody else is told. */
import assert from "node:assert/strict";
import { isMillraceError } from "../../errors.ts";
import type { Check, Conformance } from "./context.ts";
import { assertBytes, assertFails, cut, keysOf, pattern, read, streamOf } from "./support.ts";

const KEY = "ltx/0/object";
const CONTENDERS = 8;
const ROUNDS = 6;

type Condition = "conditionalCreate" | "conditionalReplace";

export function conditionalTests(check: Check): void {
  createTests(when("conditionalCreate", check));
  replaceTests(when("conditionalReplace", check));

  check("put() refuses ifAbsent together with ifMatch", async ({ store }) => {
    await assertFails("storage/misuse", () =>
      store.put(KEY, pattern(1), { ifAbsent: true, ifMatch: "x" }),
    );
  });
}

/** Registers tests that, on a store without the capability, check that the call is refused instead. */
function when(capability: Condition, check: Check): Check {
  return (title, run) =>
    check(title, async (context) => {
      const { store } = context;
      if (store.capabilities[capability]) return run(context);
      const condition = capability === "conditionalCreate" ? { ifAbsent: true } : { ifMatch: "x" };
      await assertFails("storage/unsupported", () => store.put(KEY, pattern(1), condition));
      assert.deepEqual(await keysOf(store), []);
    });
}

function createTests(check: Check): void {
  check("put() with ifAbsent stores a new object", async ({ store }) => {
    await store.put(KEY, pattern(100), { ifAbsent: true });
    assertBytes(await read(store, KEY), pattern(100));
    assert.deepEqual(await keysOf(store), [KEY]);
  });

  check(
    "put() with ifAbsent fails and changes nothing when the object exists",
    async ({ store }) => {
      const stored = await store.put(KEY, pattern(100, 1));
      for (const body of [
        pattern(200, 2),
        pattern(100, 1),
        streamOf(cut(pattern(2_000_000), 100_000)),
      ]) {
        await assertFails("storage/exists", () => store.put(KEY, body, { ifAbsent: true }));
      }
      assertBytes(await read(store, KEY), pattern(100, 1));
      assert.deepEqual(await store.head(KEY), stored);
      assert.deepEqual(await keysOf(store), [KEY]);
    },
  );

  check("put() with ifAbsent succeeds again after delete()", async ({ store }) => {
    await store.put(KEY, pattern(1), { ifAbsent: true });
    await store.delete([KEY]);
    await store.put(KEY, pattern(2), { ifAbsent: true });
  });

  check("put() without a condition replaces what ifAbsent created", async ({ store }) => {
    await store.put(KEY, pattern(1), { ifAbsent: true });
    await store.put(KEY, pattern(2));
    assertBytes(await read(store, KEY), pattern(2));
  });

  check(`put() with ifAbsent lets one of ${CONTENDERS} contenders win`, async (context) => {
    for (let round = 0; round < ROUNDS; round += 1) {
      const key = `new-directory-${round}/object`;
      await contend(context, key, { ifAbsent: true }, "storage/exists");
    }
  });
}

function replaceTests(check: Check): void {
  check("put() with ifMatch replaces the version it names", async ({ store }) => {
    const first = await store.put(KEY, pattern(1));
    const second = await store.put(KEY, pattern(2), { ifMatch: first.etag });
    assert.notEqual(second.etag, first.etag);
    assert.equal((await store.head(KEY)).etag, second.etag);
    assertBytes(await read(store, KEY), pattern(2));
  });

  check("put() with ifMatch fails when another version or none is there", async ({ store }) => {
    const first = await store.put(KEY, pattern(1));
    await store.put(KEY, pattern(2));
    const code = "storage/precondition-failed";
    await assertFails(code, () => store.put(KEY, pattern(3), { ifMatch: first.etag }));
    assertBytes(await read(store, KEY), pattern(2));
    await assertFails(code, () => store.put("absent", pattern(3), { ifMatch: first.etag }));
    assert.deepEqual(await keysOf(store), [KEY]);
  });

  check(`put() with ifMatch lets one of ${CONTENDERS} contenders win`, async (context) => {
    for (let round = 0; round < ROUNDS; round += 1) {
      const { etag } = await context.store.put(KEY, pattern(10, 99));
      await contend(context, KEY, { ifMatch: etag }, "storage/precondition-failed");
    }
  });
}

async function contend(
  { store, connect }: Conformance,
  key: string,
  condition: { readonly ifAbsent?: boolean; readonly ifMatch?: string | undefined },
  code: "storage/exists" | "storage/precondition-failed",
): Promise<void> {
  const stores = [store, await connect(), await connect()];
  const results = await Promise.allSettled(
    Array.from({ length: CONTENDERS }, (_, index) => {
      const bytes = pattern(10_000 + index, index);
      const body = index % 2 === 0 ? bytes : streamOf(cut(bytes, 3_000));
      return (stores[index % stores.length] ?? store).put(key, body, condition);
    }),
  );
  const winners = results.flatMap((result, index) =>
    result.status === "fulfilled" ? [index] : [],
  );
  assert.equal(winners.length, 1, `winners: ${winners.join(", ")}`);
  for (const result of results) {
    if (result.status === "rejected")
      assert.ok(isMillraceError(result.reason, code), String(result.reason));
  }
  const winner = winners[0] ?? 0;
  assertBytes(await read(store, key), pattern(10_000 + winner, winner));
  assert.deepEqual(await keysOf(store, key), [key]);
}
