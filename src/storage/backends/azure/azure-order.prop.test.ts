/** Byte order from listings in either order. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import * as fc from "fast-check";
import { propertyOptions } from "../../../testing/property.ts";
import type { ObjectInfo } from "../../contract.ts";
import { compareKeys } from "../../keys.ts";
import { inByteOrder, safeStart } from "./azure-order.ts";

const KEY = fc.array(fc.constantFrom("a", "b", "/", "é", "ﬁ", "\u{ffee}", "😀", "👩"), {
  minLength: 1,
  maxLength: 6,
});
const KEYS = fc.uniqueArray(
  KEY.map((parts) => parts.join("")),
  { maxLength: 40 },
);

const byUnits = (a: string, b: string): number => (a < b ? -1 : Number(a > b));

async function* infos(keys: readonly string[]): AsyncGenerator<ObjectInfo, void, void> {
  for (const key of keys) yield await Promise.resolve({ key, sizeBytes: 0, createdAtMs: 0 });
}

describe("inByteOrder()", () => {
  it("sorts a listing in UTF-16 order, and keeps one in byte order", async () => {
    await fc.assert(
      fc.asyncProperty(KEYS, async (keys) => {
        const wanted = keys.toSorted(compareKeys);
        for (const given of [keys.toSorted(byUnits), wanted]) {
          const found = await Array.fromAsync(inByteOrder(infos(given)));
          assert.deepEqual(
            found.map(({ key }) => key),
            wanted,
          );
        }
      }),
      propertyOptions(300),
    );
  });
});

describe("safeStart()", () => {
  it("is before everything that either order has behind the key", () => {
    fc.assert(
      fc.property(KEYS, KEY, (keys, start) => {
        const after = start.join("");
        for (const key of keys) {
          if (compareKeys(key, after) <= 0) continue;
          assert.ok(byUnits(key, safeStart(after)) >= 0);
          assert.ok(compareKeys(key, safeStart(after)) >= 0);
        }
      }),
      propertyOptions(500),
    );
  });
});
