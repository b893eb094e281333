import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { toTxid } from "../base/ids.ts";
import type { CaptureHandle } from "../capture/client.ts";
import { MillraceError, type ErrorCode } from "../errors.ts";
import { ManualClock } from "../testing/manual-clock.ts";
import { CaptureRequests } from "./capture-requests.ts";

interface Scene {
  readonly requests: CaptureRequests;
  readonly clock: ManualClock;
  readonly asked: string[];
  readonly failing: string[];
  readonly defects: string[];
  /** What the next requests meet, in order; success when there is none. */
  readonly failures: ErrorCode[];
}

function scene(): Scene {
  const clock = new ManualClock();
  const asked: string[] = [];
  const failing: string[] = [];
  const defects: string[] = [];
  const failures: ErrorCode[] = [];
  const answer = (text: string): Promise<undefined> => {
    asked.push(text);
    const code = failures.shift();
    return code === undefined
      ? Promise.resolve(undefined)
      : Promise.reject(new MillraceError(code, code));
  };
  const handle: Pick<CaptureHandle, "requireBoundary" | "moveTo" | "release"> = {
    requireBoundary: (reason) => answer(`boundary: ${reason}`),
    moveTo: ({ txid, snapshot }) => answer(`move: ${txid} ${snapshot}`),
    release: (txid) => answer(`release: ${txid}`),
  };
  const requests = new CaptureRequests({
    handle: handle as CaptureHandle,
    clock,
    onFailing: (error) => failing.push(error.code),
    onDefect: (error) => defects.push(error.code),
  });
  return { requests, clock, asked, failing, defects, failures };
}

const settled = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

describe("CaptureRequests", () => {
  it("carries each request once", async () => {
    const { requests, asked, failing } = scene();
    requests.boundary("a hole");
    requests.move(toTxid(7), { snapshotNeeded: true });
    requests.release(toTxid(3));
    await settled();
    assert.deepEqual(asked, ["boundary: a hole", "move: 7 true", "release: 3"]);
    assert.deepEqual(failing, []);
  });

  it("makes a request again that failed in passing, until it succeeds", async () => {
    const { requests, clock, asked, failing, failures } = scene();
    failures.push("fs/disk-full", "fs/disk-full");
    requests.boundary("a hole");
    for (let round = 0; round < 5; round += 1) {
      await settled();
      clock.advance(1000);
    }
    assert.deepEqual(
      asked,
      Array.from({ length: 3 }, () => "boundary: a hole"),
    );
    assert.deepEqual(failing, ["fs/disk-full", "fs/disk-full"]);
    assert.equal(clock.countTimers, 0);
  });

  it("lets a release go that fails in passing: the next one makes it good", async () => {
    const { requests, clock, asked, failing, failures } = scene();
    failures.push("fs/failed");
    requests.release(toTxid(3));
    await settled();
    assert.deepEqual([asked.length, failing.length, clock.countTimers], [1, 0, 0]);
  });

  it("tells of defects, and not of a capture that has ended", async () => {
    const { requests, defects, failures } = scene();
    failures.push("internal/bug", "daemon/closed");
    requests.release(toTxid(3));
    requests.boundary("a hole");
    await settled();
    assert.deepEqual(defects, ["internal/bug"]);
  });

  it("forgets what is due when it is disposed", async () => {
    const { requests, clock, asked, failures } = scene();
    failures.push("fs/disk-full");
    requests.boundary("a hole");
    await settled();
    requests[Symbol.dispose]();
    clock.advance(10_000);
    assert.deepEqual([asked.length, clock.countTimers], [1, 0]);
  });
});
