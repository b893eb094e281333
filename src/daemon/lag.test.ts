import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { toTxid } from "../base/ids.ts";
import { LagMarks } from "./lag.ts";

describe("LagMarks", () => {
  it("knows when the oldest transaction was captured that is not durable", () => {
    const marks = new LagMarks();
    for (const txid of [1, 2, 3]) marks.captured(toTxid(txid), txid * 100);
    assert.equal(marks.behindSinceMs(toTxid(0)), 100);
    assert.equal(marks.behindSinceMs(toTxid(2)), 300);
    assert.equal(marks.behindSinceMs(toTxid(3)), undefined);
    marks.released(toTxid(2));
    assert.equal(marks.behindSinceMs(toTxid(0)), 300);
    marks.released(toTxid(9));
    assert.equal(marks.behindSinceMs(toTxid(0)), undefined);
  });

  it("stays small in an outage and never says too late", () => {
    const marks = new LagMarks();
    for (let txid = 1; txid <= 100_000; txid += 1) marks.captured(toTxid(txid), txid);
    assert.equal(marks.behindSinceMs(toTxid(0)), 1);
    for (const durable of [10, 5000, 77_777, 99_999]) {
      const since = marks.behindSinceMs(toTxid(durable)) ?? Number.POSITIVE_INFINITY;
      assert.ok(since <= durable + 1, `${since} for ${durable}`);
      assert.ok(since > durable - 1000, `${since} for ${durable}`);
    }
  });
});
