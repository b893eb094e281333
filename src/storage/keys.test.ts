/** Keys: order and validity. That stores refuse hostile keys is part of the conformance suite. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import * as fc from "fast-check";
import { isMillraceError } from "../errors.ts";
import { assertKey, assertPrefix, compareKeys, isKeySegment } from "./keys.ts";

const text = fc.string({ unit: "binary", maxLength: 8 });

describe("compareKeys()", () => {
  it("orders as the bytes of UTF-8 do", () => {
    fc.assert(
      fc.property(text, text, (a, b) => {
        const expected = Buffer.compare(Buffer.from(a), Buffer.from(b));
        assert.equal(Math.sign(compareKeys(a, b)), expected);
      }),
      { numRuns: 2_000 },
    );
  });

  it("orders characters beyond U+FFFF after all others", () => {
    assert.ok(compareKeys("\u{ffee}", "\u{1f600}") < 0);
    assert.ok(compareKeys("\u{1f600}", "\u{e000}") > 0);
  });
});

describe("assertKey()", () => {
  it("agrees with isKeySegment() about single segments", () => {
    fc.assert(
      fc.property(text, (name) => {
        if (name.endsWith(".tmp")) return;
        assert.equal(
          accepts(() => assertKey("test", name)),
          isKeySegment(name) && !name.includes("/"),
        );
      }),
      { numRuns: 2_000 },
    );
  });
});

describe("assertPrefix()", () => {
  it("accepts every beginning of a key that ends at or inside a segment", () => {
    const key = "ltx/0/0000000000000001-0000000000000001.ltx";
    for (let length = 0; length <= key.length; length += 1)
      assertPrefix("test", key.slice(0, length));
  });

  it("accepts names that only look unfinished", () => {
    for (const prefix of ["a.tmp", "a.", "..a", "a/.b"]) assertPrefix("test", prefix);
  });

  it("refuses prefixes that no key begins with", () => {
    for (const prefix of [
      "/",
      "//",
      "a//",
      "..",
      "../",
      "a/../",
      "./",
      ".",
      "a/.",
      "a/..",
      "\0",
      "a\\",
    ]) {
      assert.ok(!accepts(() => assertPrefix("test", prefix)), prefix);
    }
  });
});

function accepts(check: () => void): boolean {
  try {
    check();
    return true;
  } catch (error) {
    assert.ok(isMillraceError(error, "storage/invalid-key"));
    return false;
  }
}
