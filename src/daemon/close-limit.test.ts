import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { isMillraceError, MillraceError, type ErrorCode } from "../errors.ts";
import { ManualClock } from "../testing/manual-clock.ts";
import { CloseLimit } from "./close-limit.ts";

function failure(code: ErrorCode): MillraceError {
  return new MillraceError(code, "injected");
}

describe("CloseLimit", () => {
  it("ends the waiting of all when the time is over", () => {
    const clock = new ManualClock();
    using limit = new CloseLimit(clock, 5000, undefined);
    const [a, b] = [limit.signalFor("a"), limit.signalFor("b")];
    clock.advance(4999);
    assert.equal(a.aborted, false);
    clock.advance(1);
    for (const signal of [a, b]) assert.ok(isMillraceError(signal.reason, "daemon/not-durable"));
  });

  it("ends it for one database when waiting is in vain", () => {
    using limit = new CloseLimit(new ManualClock(), 5000, undefined);
    const [a, b] = [limit.signalFor("a"), limit.signalFor("b")];
    limit.failed("a", failure("storage/unavailable"));
    assert.equal(a.aborted, false);
    const denied = failure("fs/permission");
    limit.failed("a", denied);
    assert.deepEqual([a.aborted, b.aborted, a.reason], [true, false, denied]);
    limit.failed("b", failure("ship/conflict"));
    assert.equal(b.aborted, true);
  });

  it("is over at the first failure when only one attempt is made", () => {
    const clock = new ManualClock();
    using limit = new CloseLimit(clock, 0, undefined);
    const signal = limit.signalFor("a");
    clock.advance(1e9);
    assert.equal(signal.aborted, false);
    limit.failed("a", failure("storage/unavailable"));
    assert.equal(signal.aborted, true);
  });

  it("follows the caller's signal, and leaves nothing behind", () => {
    const clock = new ManualClock();
    const caller = new AbortController();
    {
      using limit = new CloseLimit(clock, 5000, caller.signal);
      const signal = limit.signalFor("a");
      caller.abort(new Error("enough"));
      assert.equal(signal.reason, caller.signal.reason);
    }
    assert.equal(clock.countTimers, 0);
    using late = new CloseLimit(clock, 5000, caller.signal);
    assert.equal(late.signalFor("a").aborted, true);
  });
});
