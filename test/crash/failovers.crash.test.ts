/**
 * Two daemons on one destination never fork it: whoever ships is killed, paused or ended at random moments while an
 * application writes, the other one takes over within the lease's TTL and a second, and at the end the store's own log says
 * that one of them wrote at any time, that its objects are one line, and that nothing was lost that was called durable.
 * Without a lease the conditional create alone keeps the line whole: one of the two stops.
 *
 * MILLRACE_FAILOVERS blows for each store, default 6 on a server and 3 in a directory; MILLRACE_CRASH_SEED repeats a run's choices.
 */
import assert from "node:assert/strict";
import { test, type TestContext } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import { isDrained } from "../../src/testing/daemon-status.ts";
import { randomFrom } from "../../src/testing/seeded-random.ts";
import { TEST_STORES, type TestStore } from "../../src/testing/store-places.ts";
import { whyUnavailable } from "../e2e/store-scene.ts";
import type { FailoverDaemon } from "./failover-daemon.ts";
import {
  assertOneLine,
  assertOneWriter,
  assertResumedKeptStill,
  proveLine,
} from "./failover-proof.ts";
import { FailoverScene, type Blow, type Failover } from "./failover-scene.ts";

const ASKED = process.env["MILLRACE_FAILOVERS"];
const SEED = Number(process.env["MILLRACE_CRASH_SEED"] ?? Date.now() % 1_000_000);
const TTL_MS = 2000;
const BLOWS: readonly Blow[] = ["SIGKILL", "SIGSTOP", "SIGTERM"];
/** What a takeover may take beyond the TTL: in the middle, and on a machine that has other things to do. */
const MEDIAN_SLACK_MS = 1000;
const MAX_SLACK_MS = 3000;
const START_MS = 120_000;
const FAILOVER_MS = 30_000;
const STOP_MS = 40_000;
/** In which the other one goes on. */
const AFTER_STOP_MS = 1000;

const S3 = TEST_STORES.find(({ name }) => name === "s3");
assert.ok(S3 !== undefined);
const ABSENT = await whyUnavailable(S3);
const PLACES: readonly (readonly [string, TestStore | "file", number, string | undefined])[] = [
  ["s3", S3, 6, ABSENT],
  ["file", "file", 3, undefined],
];

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.NaN;
}

function describeFailover(failover: Failover): string {
  const { blow, victim, successor, takeoverMs, sinceBlowMs, firstFileMs } = failover;
  const times = [takeoverMs, sinceBlowMs, firstFileMs].map((ms) => `${Math.round(ms)} ms`);
  return `${blow} of ${victim}: ${successor} took over ${times[0]} after the last renewal, ${times[1]} after the blow; first file ${times[2]} after it`;
}

async function survive(store: TestStore | "file", count: number, t: TestContext): Promise<void> {
  t.diagnostic(`MILLRACE_CRASH_SEED=${SEED}`);
  const random = randomFrom(`${SEED} failovers`);
  const lease = { lease: "auto", ttlMs: TTL_MS };
  await using scene = await FailoverScene.open(store, { ...lease, seed: SEED });
  await scene.startBoth();
  const failovers: Failover[] = [];
  for (let index = 0; index < count; index += 1) {
    await pause(300 + 1200 * random());
    const blow = BLOWS[index % BLOWS.length] ?? "SIGKILL";
    const failover = await scene.failOver(blow, { awayMs: 1000 * random() });
    t.diagnostic(describeFailover(failover));
    failovers.push(failover);
  }
  await scene.end();
  t.diagnostic(`writers ${JSON.stringify(assertOneWriter(scene))}`);
  t.diagnostic(`resumed daemons with a request in the window: ${assertResumedKeptStill(scene)}`);
  const { txid, ...line } = await assertOneLine(scene);
  t.diagnostic(`line up to TXID ${txid} ${JSON.stringify(line)}`);
  // Who ends in good order gives the lease back, which would flatter the others.
  const sudden = failovers.filter(({ blow }) => blow !== "SIGTERM");
  const times = sudden.map(({ takeoverMs }) => takeoverMs);
  const [middle, longest] = [median(times), Math.max(...times)];
  t.diagnostic(`takeover ${Math.round(middle)} ms in the median, ${Math.round(longest)} at most`);
  assert.ok(middle <= TTL_MS + MEDIAN_SLACK_MS, `${middle} ms in the median`);
  assert.ok(longest <= TTL_MS + MAX_SLACK_MS, `${longest} ms at most`);
}

/** Without a lease both write, until the store refuses one of them a name; nothing is forked. */
async function refuse(store: TestStore | "file", t: TestContext): Promise<void> {
  t.diagnostic(`MILLRACE_CRASH_SEED=${SEED}`);
  const settings = { lease: "none", ttlMs: TTL_MS, seed: SEED };
  await using scene = await FailoverScene.open(store, settings);
  const { daemons } = scene;
  for (const daemon of daemons) daemon.start();
  const isStopped = (daemon: FailoverDaemon): boolean => daemon.find("shipping stopped").length > 0;
  await daemons[0]?.holds("one of the two to stop", () => daemons.some(isStopped), STOP_MS);
  await pause(AFTER_STOP_MS);
  const stopped = daemons.filter(isStopped);
  t.diagnostic(`stopped: ${stopped.map((daemon) => daemon.name).join(", ")}`);
  for (const daemon of stopped)
    for (const { code } of daemon.find("shipping stopped")) assert.equal(code, "ship/conflict");
  await scene.killApplication();
  const [going] = daemons.filter((daemon) => !isStopped(daemon));
  await going?.holds("everything to be durable", () => isDrained(going.status), STOP_MS);
  for (const daemon of daemons) {
    daemon.signal("SIGTERM");
    await daemon.ended();
    assert.equal(daemon.outcome, daemon === going ? "0" : "1", daemon.describe());
  }
  assert.deepEqual(scene.store.overwritten(daemons), []);
  const { files, bridges } = await proveLine(scene);
  t.diagnostic(`one line of ${files.length} files, ${bridges.length} bridges`);
  if (going === undefined) return;
  const { txid, ...line } = await assertOneLine(scene);
  t.diagnostic(`everything is in it: TXID ${txid} ${JSON.stringify(line)}`);
}

for (const [name, store, usual, absent] of PLACES) {
  const count = Number(ASKED ?? usual);
  const options = { timeout: START_MS + FAILOVER_MS * count, skip: absent ?? false };
  test(`${count} failovers on ${name} keep one line and one writer`, options, async (t) => {
    await survive(store, count, t);
  });

  test(`without a lease one of two daemons on ${name} stops`, options, async (t) => {
    await refuse(store, t);
  });
}
