/**
 * Every store, broken in every way the fault proxy knows while an application writes: when the faults are over everything
 * committed becomes durable by itself, and what is restored by the straight way is the database, bit for bit.
 *
 * MILLRACE_STORE_FAULT_SECONDS of faults for each store, default 8; MILLRACE_FAULT_SEED repeats a run's choices.
 */
import assert from "node:assert/strict";
import { it, type TestContext } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import { describeConformance } from "../../src/conformance/report.ts";
import { randomFrom } from "../../src/testing/seeded-random.ts";
import {
  seededHttpFaults,
  seededTcpFaults,
  type ProxyRequest,
} from "../../src/testing/fault-proxy/plan.ts";
import { TEST_STORES, type TestStore } from "../../src/testing/store-places.ts";
import { StoreScene, untilScene, whyUnavailable } from "./store-scene.ts";

const FAULT_MS = 1000 * Number(process.env["MILLRACE_STORE_FAULT_SECONDS"] ?? 8);
const SEED = Number(process.env["MILLRACE_FAULT_SEED"] ?? Date.now() % 1_000_000);
/** A daemon that met many failures in a row waits this long at most before it tries again, and some. */
const DRAIN_MS = 60_000 + 2 * FAULT_MS;
const OUTAGE_MS = 1000;
const HTTP_RATE = 0.2;

/** The last two parts of what is asked for name an object or a level, whatever bucket and prefix it is in. */
function shortName({ path, query }: ProxyRequest): string {
  return `${path}/${query.get("prefix") ?? ""}`
    .split("/")
    .filter((part) => part !== "")
    .slice(-2)
    .join("/");
}

/**
 * Breaks requests and connections until the time is over, now and then everything that is open; in the middle the store
 * is away, and the daemon is killed and started again.
 */
async function harass(scene: StoreScene): Promise<void> {
  const { proxy, store } = scene;
  const random = randomFrom(`${SEED} ${store.name}`);
  const isHttp = store.proxy.level === "http";
  proxy.tcpPlan = seededTcpFaults({ seed: SEED, rate: isHttp ? 0.1 : 0.8, maxAfter: 50_000 });
  if (isHttp) {
    proxy.httpPlan = seededHttpFaults({ seed: SEED, rate: HTTP_RATE, nameOf: shortName });
  }
  const endMs = performance.now() + FAULT_MS;
  let isOutageOver = false;
  while (performance.now() < endMs) {
    await pause(300 + 700 * random());
    if (random() < (isHttp ? 0.3 : 0.6)) proxy.resetConnections();
    if (isOutageOver || performance.now() < endMs - FAULT_MS / 2) continue;
    await proxy.goDown();
    await pause(OUTAGE_MS);
    await proxy.comeUp();
    await scene.replaceDaemon();
    isOutageOver = true;
  }
}

async function survive(store: TestStore, t: TestContext): Promise<void> {
  t.diagnostic(`MILLRACE_FAULT_SEED=${SEED}`);
  const options = { lifeMs: FAULT_MS + DRAIN_MS, syncIntervalMs: 20, seed: SEED };
  await using scene = await StoreScene.open(store, options);
  await harass(scene);
  await scene.assertDurableIsThere();
  scene.proxy.heal();
  const healedMs = performance.now();
  await scene.killApplication();
  const drained = { holds: () => scene.isDrained, deadlineMs: DRAIN_MS };
  await untilScene(scene, "everything to be durable", drained);
  const tookSeconds = ((performance.now() - healedMs) / 1000).toFixed(1);
  const { txid, countFiles, committed } = await scene.finish();
  t.diagnostic(
    `${committed} entries, TXID ${txid} in ${countFiles} files, durable ${tookSeconds} s after the faults`,
  );
  const { faults, countFaults, log } = scene.proxy;
  assert.ok(countFaults > 0, "something was broken");
  t.diagnostic(`faults ${JSON.stringify(faults)}`);
  t.diagnostic(`requests ${JSON.stringify(log.countByType())}`);
}

for (const store of TEST_STORES) {
  describeConformance(`faults/${store.name}`, await whyUnavailable(store), (ran) => {
    const timeout = FAULT_MS + DRAIN_MS + 60_000;
    it("loses nothing that was committed", { timeout }, async (t) => {
      await survive(store, t);
      ran();
    });
  });
}
