/**
 * A store that cannot be reached for a while: capture goes on, the queue grows in files and not in memory, and when the
 * store is back the queue drains by itself.
 *
 * MILLRACE_OUTAGE_SECONDS is how long, default 20; MILLRACE_OUTAGE_STORE which store, default s3.
 */
import assert from "node:assert/strict";
import { it, type TestContext } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import { formatBytes } from "../../src/base/format.ts";
import { describeConformance } from "../../src/conformance/report.ts";
import { TEST_STORES, type TestStore } from "../../src/testing/store-places.ts";
import { StoreScene, untilScene, whyUnavailable } from "./store-scene.ts";

const OUTAGE_MS = 1000 * Number(process.env["MILLRACE_OUTAGE_SECONDS"] ?? 20);
const STORE = process.env["MILLRACE_OUTAGE_STORE"] ?? "s3";
/** Pauses between attempts double up to five minutes, so the next one may be as far away as the outage was long. */
const DRAIN_MS = Math.min(2 * OUTAGE_MS, 300_000) + 90_000;
const SETTLE_MS = 5000;
const SAMPLE_MS = 250;
/** What the memory of a process may differ by for reasons of its own. */
const RSS_SLACK_BYTES = 96 * 2 ** 20;

interface Watched {
  readonly highestBytes: number;
  readonly pendingFiles: number;
}

/** Looks at the daemon until the outage is over. */
async function watch(scene: StoreScene): Promise<Watched> {
  let highestBytes = 0;
  let pendingFiles = 0;
  for (const endMs = performance.now() + OUTAGE_MS; performance.now() < endMs;) {
    await pause(SAMPLE_MS);
    highestBytes = Math.max(highestBytes, scene.daemonRssBytes);
    pendingFiles = Math.max(pendingFiles, scene.status?.destinations[0]?.pendingFiles ?? 0);
  }
  return { highestBytes, pendingFiles };
}

async function survive(store: TestStore, t: TestContext): Promise<void> {
  const options = { lifeMs: OUTAGE_MS + DRAIN_MS + SETTLE_MS, syncIntervalMs: 100, seed: 1 };
  await using scene = await StoreScene.open(store, options);
  const drained = { holds: () => scene.isDrained, deadlineMs: DRAIN_MS };
  await untilScene(scene, "the first files to be durable", drained);
  await pause(SETTLE_MS);
  const before = { bytes: scene.daemonRssBytes, entries: scene.committed };
  await scene.proxy.goDown();
  const during = await watch(scene);
  const missed = scene.committed - before.entries;
  assert.ok(missed > 0, "the application writes on");
  assert.ok(during.pendingFiles > 1, `${during.pendingFiles} files were waiting`);
  await scene.proxy.comeUp();
  const backMs = performance.now();
  await scene.killApplication();
  await untilScene(scene, "the queue to drain", drained);
  const tookSeconds = ((performance.now() - backMs) / 1000).toFixed(1);
  const afterBytes = scene.daemonRssBytes;
  const { txid, countFiles } = await scene.finish();
  t.diagnostic(
    `away for ${OUTAGE_MS / 1000} s: ${missed} entries, up to ${during.pendingFiles} files waiting; durable ${tookSeconds} s after it was back, TXID ${txid} in ${countFiles} files`,
  );
  const sizes = [before.bytes, during.highestBytes, afterBytes].map((bytes) => formatBytes(bytes));
  t.diagnostic(`memory of the daemon before, at most during, after: ${sizes.join(", ")}`);
  if (Number.isNaN(before.bytes)) return; // Nothing to compare with on this system.
  for (const bytes of [during.highestBytes, afterBytes]) {
    assert.ok(bytes < before.bytes + RSS_SLACK_BYTES, `${formatBytes(bytes)} of memory`);
  }
}

for (const store of TEST_STORES.filter(({ name }) => name === STORE)) {
  describeConformance(`outage/${store.name}`, await whyUnavailable(store), (ran) => {
    const timeout = OUTAGE_MS + DRAIN_MS + 120_000;
    it("loses nothing, and the queue drains", { timeout }, async (t) => {
      await survive(store, t);
      ran();
    });
  });
}
