import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { parseRfc3339 } from "./timestamp.ts";

describe("parseRfc3339()", () => {
  it("reads times with fractions and offsets", () => {
    const noon = Date.UTC(2026, 10, 1, 12);
    for (const [text, ms] of [
      ["2026-11-01T12:00:00Z", noon],
      ["2026-11-01t12:00:00z", noon],
      ["2026-11-01 12:00:00Z", noon],
      ["2026-11-01T14:00:00+02:00", noon],
      ["2026-11-01T06:30:00-05:30", noon],
      ["2026-11-01T12:00:00.25Z", noon + 250],
      ["2024-02-29T00:00:00Z", Date.UTC(2024, 1, 29)],
    ] as const) {
      assert.equal(parseRfc3339(text), ms, text);
    }
  });

  it("refuses what no calendar or clock has, and what leaves the zone open", () => {
    for (const text of [
      "2026-11-01",
      "2026-11-01T12:00:00",
      "2026-11-01T12:00Z",
      "2026-02-30T12:00:00Z",
      "2026-13-01T12:00:00Z",
      "2026-11-01T24:00:00Z",
      "2026-11-01T12:00:60Z",
      "2026-11-01T12:00:00+25:00",
      "1 hour ago",
      "1667300000",
    ]) {
      assert.equal(parseRfc3339(text), undefined, text);
    }
  });
});
