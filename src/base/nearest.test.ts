import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { nearestName } from "./nearest.ts";

const FLAGS = ["config", "force", "timestamp", "txid", "o", "parallelism"];

describe("nearestName()", () => {
  it("finds the name that a slip of the keyboard meant", () => {
    for (const [typed, meant] of [
      ["confg", "config"],
      ["confgi", "config"],
      ["Timestamp", "timestamp"],
      ["time-stamp", "timestamp"],
      ["txd", "txid"],
      ["paralelism", "parallelism"],
    ]) {
      assert.equal(nearestName(typed ?? "", FLAGS), meant);
    }
  });

  it("offers nothing when nothing is near", () => {
    assert.equal(nearestName("verbose", FLAGS), undefined);
    assert.equal(nearestName("x".repeat(1000), FLAGS), undefined);
  });
});
