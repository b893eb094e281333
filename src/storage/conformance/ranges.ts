/** Ranged reads: exactly the bytes asked for, shortened at the end as in HTTP. */
import type { Check } from "./context.ts";
import { assertBytes, assertFails, collect, pattern } from "./support.ts";

const KEY = "ltx/0/object";
const MIB = 1024 * 1024;

/** Offset and size asked for, on an object of 1,000 bytes, and the bytes that have to come. */
const CASES: readonly (readonly [
  offset: number,
  size: number | undefined,
  from: number,
  to: number,
])[] = [
  [0, undefined, 0, 1_000],
  [0, 1_000, 0, 1_000],
  [0, 0, 0, 0],
  [0, 1, 0, 1],
  [0, 100, 0, 100],
  [100, 1, 100, 101],
  [100, undefined, 100, 1_000],
  [100, 0, 100, 100],
  [999, 1, 999, 1_000],
  [999, undefined, 999, 1_000],
  [999, 2, 999, 1_000],
  [900, 500, 900, 1_000],
  [0, 5_000, 0, 1_000],
  [1_000, undefined, 1_000, 1_000],
  [1_000, 10, 1_000, 1_000],
  [1_001, 10, 1_000, 1_000],
  [50_000, undefined, 1_000, 1_000],
  [50_000, 0, 1_000, 1_000],
  [Number.MAX_SAFE_INTEGER, Number.MAX_SAFE_INTEGER, 1_000, 1_000],
  [1, Number.MAX_SAFE_INTEGER, 1, 1_000],
];

export function rangeTests(check: Check): void {
  for (const [offset, sizeBytes, from, to] of CASES) {
    check(
      `get() returns ${to - from} bytes for offset ${offset}, size ${sizeBytes}`,
      async ({ store }) => {
        const whole = pattern(1_000);
        await store.put(KEY, whole);
        const isRange = offset > 0 || sizeBytes !== undefined;
        if (isRange && !store.capabilities.rangeReads) {
          await assertFails("storage/unsupported", () => store.get(KEY, { offset, sizeBytes }));
          return;
        }
        const expected = whole.slice(from, to);
        assertBytes(await (await store.get(KEY, { offset, sizeBytes })).bytes(), expected);
        const body = await store.get(KEY, { offset, sizeBytes });
        assertBytes(
          new Uint8Array([body.info.sizeBytes & 0xff]),
          new Uint8Array([1_000 & 0xff]),
          "info",
        );
        assertBytes(await collect(body), expected);
      },
    );
  }

  check(
    "get() returns ranges across the chunks of a large object",
    async ({ store, largeBytes }) => {
      const whole = pattern(largeBytes);
      await store.put(KEY, whole);
      const edges = [0, 1, MIB - 1, MIB, MIB + 1, 2 * MIB + 7, largeBytes - MIB, largeBytes - 1];
      for (const offset of edges) {
        for (const sizeBytes of [1, 4_096, MIB, MIB + 1, 3 * MIB]) {
          const expected = whole.slice(offset, offset + sizeBytes);
          assertBytes(await collect(await store.get(KEY, { offset, sizeBytes })), expected);
        }
      }
    },
    { appliesTo: ({ rangeReads }) => rangeReads },
  );

  check(
    "get() fails with storage/not-found for a range of an absent object",
    async ({ store }) => {
      await assertFails("storage/not-found", () => store.get(KEY, { offset: 1, sizeBytes: 2 }));
    },
    { appliesTo: ({ rangeReads }) => rangeReads },
  );

  check(
    "get() returns nothing for any range of an empty object",
    async ({ store }) => {
      await store.put(KEY, new Uint8Array(0));
      for (const offset of [0, 1, 1_000]) {
        const body = await store.get(KEY, { offset, sizeBytes: 10 });
        assertBytes(await body.bytes(), new Uint8Array(0));
      }
    },
    { appliesTo: ({ rangeReads }) => rangeReads },
  );
}
