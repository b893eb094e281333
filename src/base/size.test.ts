/** Sizes: every unit, and what is none. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { parseSize } from "./size.ts";

describe("parseSize()", () => {
  const SIZES: readonly (readonly [text: string, bytes: number])[] = [
    ["0", 0],
    ["5242880", 5_242_880],
    ["1,024", 1_024],
    ["42 B", 42],
    ["5MB", 5_000_000],
    ["5 mb", 5_000_000],
    ["5M", 5_000_000],
    ["5MiB", 5_242_880],
    ["5Mi", 5_242_880],
    ["1.5 KiB", 1_536],
    [".5K", 500],
    ["2GiB", 2_147_483_648],
    ["1 TB", 1e12],
    ["1P", 1e15],
  ];
  for (const [text, bytes] of SIZES) {
    it(`reads ${text}`, () => assert.equal(parseSize(text), bytes));
  }

  for (const text of ["", " ", "-1", "B", "MB", "5X", "5 M B", "1e3", "9E", "five", "5MB!"]) {
    it(`refuses ${JSON.stringify(text)}`, () => assert.equal(parseSize(text), undefined));
  }
});
