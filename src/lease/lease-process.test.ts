/** Real processes, real time, real signals: a lease on a file store. */
import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, it } from "node:test";
import { LeaseProcess, readClaims } from "../testing/lease-process.ts";

const TTL_MS = 2_000;

/** What the promise of takeover allows on top of the TTL, and two seconds for a busy machine. The simulation is exact. */
const SLACK_MS = 3_000;

/** How long anything may take before a test gives up. */
const PATIENCE_MS = 15_000;

/** An acquisition is told before the first claim is written down. */
async function untilClaimed(claims: string, owner: string, epoch: number): Promise<void> {
  const deadlineMs = performance.now() + PATIENCE_MS;
  while (!readClaims(claims).some((claim) => claim.owner === owner && claim.epoch === epoch)) {
    assert.ok(performance.now() < deadlineMs, `no claim of ${owner} at epoch ${epoch}`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

describe("LeaseKeeper in processes", () => {
  it("never lets two claim at once through SIGSTOP, SIGCONT, SIGKILL and a proper end", async () => {
    const directory = await mkdtemp(join(tmpdir(), "millrace-lease-"));
    const claims = join(directory, "claims");
    const start = (owner: string): LeaseProcess =>
      new LeaseProcess({ directory: join(directory, "store"), owner, ttlMs: TTL_MS, claims });
    const within = { withinMs: PATIENCE_MS };
    try {
      await using one = start("one");
      await untilClaimed(claims, "one", 1);
      await using two = start("two");
      await two.until("waiting", within);

      one.signal("SIGSTOP");
      const takeoverMs = await two.until("acquired", within);
      assert.ok(takeoverMs <= TTL_MS + SLACK_MS, `taken over after ${takeoverMs} ms`);
      await untilClaimed(claims, "two", 2);
      const seen = one.events.length;
      one.signal("SIGCONT");
      await one.until("waiting", { ...within, seen });
      const told = one.events.slice(seen);
      assert.deepEqual(
        told.map((event) => (event.type === "waiting" ? event.owner : event.type)),
        ["lost", "two"],
      );
      assert.deepEqual(told[0], { type: "lost", epoch: 1, reason: "expired" });

      await two.kill();
      const againMs = await one.until("acquired", { ...within, seen });
      assert.ok(againMs <= TTL_MS + SLACK_MS, `taken over after ${againMs} ms`);

      await untilClaimed(claims, "one", 3);
      await using three = start("three");
      await three.until("waiting", within);
      const ended = one[Symbol.asyncDispose]();
      const releaseMs = await three.until("acquired", within);
      await ended;
      assert.ok(releaseMs <= SLACK_MS, `taken after ${releaseMs} ms`);
      await untilClaimed(claims, "three", 4);
      await three[Symbol.asyncDispose]();

      const all = readClaims(claims);
      const turns = all.filter(({ epoch }, index) => epoch !== all[index - 1]?.epoch);
      assert.deepEqual(
        turns.map(({ owner, epoch }) => `${owner} ${epoch}`),
        ["one 1", "two 2", "one 3", "three 4"],
      );
    } finally {
      await rm(directory, { recursive: true, force: true });
    }
  });
});
