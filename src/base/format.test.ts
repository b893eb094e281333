import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { formatBytes, formatCount } from "./format.ts";

describe("formatBytes()", () => {
  it("keeps two or three digits", () => {
    assert.deepEqual(
      [0, 999, 1000, 32_768, 999_499, 999_500, 1_080_000_000, 5e15].map(formatBytes),
      ["0 B", "999 B", "1 kB", "32.8 kB", "999 kB", "1 MB", "1.1 GB", "5000 TB"],
    );
  });
});

describe("formatCount()", () => {
  it("groups digits", () => {
    assert.equal(formatCount(1_234_567), "1,234,567");
    assert.equal(formatCount(12n), "12");
  });
});
