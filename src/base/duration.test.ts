import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { formatDuration, parseDuration } from "./duration.ts";

describe("parseDuration()", () => {
  it("reads what Go reads", () => {
    for (const [text, ms] of [
      ["1s", 1000],
      ["250ms", 250],
      ["1h30m", 5_400_000],
      ["1.5s", 1500],
      [".5s", 500],
      ["20us", 0.02],
      ["20µs", 0.02],
      ["-2s", -2000],
      ["+2s", 2000],
      ["0", 0],
      ["0s", 0],
      ["1m0.5s", 60_500],
    ] as const) {
      assert.equal(parseDuration(text), ms, text);
    }
  });

  it("refuses numbers without a unit, unknown units and rests", () => {
    for (const text of ["", "10", "1", "s", "1d", "1 s", "1s ", "1s2", "1S", "-", ".s", "1..5s"]) {
      assert.equal(parseDuration(text), undefined, text);
    }
  });
});

describe("formatDuration()", () => {
  it("uses the unit that people would", () => {
    assert.deepEqual(
      [0, 3.14159, 850.4, 1234, 59_940, 60_000, 200_000, 7_500_000].map(formatDuration),
      ["0 ms", "3.1 ms", "850 ms", "1.2 s", "59.9 s", "1 min", "3 min 20 s", "2 h 5 min"],
    );
  });
});
