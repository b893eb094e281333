/**
 * `steady`: what a replicator asks of a real store while an application commits once a second, and while it does not:
 * requests by type, from the log of a proxy between the two. Another store with `--store`, longer with `--seconds`.
 */
import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, dirname, join } from "node:path";
import { daemonStatus, isDrained } from "../../src/testing/daemon-status.ts";
import { FaultProxy } from "../../src/testing/fault-proxy.ts";
import { SqlProcess } from "../../src/testing/sql-process.ts";
import { emptyPlace, TEST_STORES } from "../../src/testing/store-places.ts";
import type { BenchOptions } from "../lib/options.ts";
import { processFigures } from "../lib/process-figures.ts";
import type { Report } from "../lib/report.ts";
import { waitUntil } from "../lib/time.ts";

const BIN = join(dirname(dirname(import.meta.dirname)), "bin", "millrace.js");
const COMMIT_MS = 1000;
/** From the last answer to the first moment that counts as quiet. */
const SETTLE_MS = 3000;

export async function benchSteady(options: BenchOptions, report: Report): Promise<void> {
  const seconds = options.seconds ?? (options.quick ? 10 : 600);
  const idleSeconds = options.quick ? 10 : 60;
  const store = TEST_STORES.find(({ name }) => name === options.store);
  if (store === undefined) {
    const names = TEST_STORES.map(({ name }) => name).join(", ");
    throw new Error(`no store "${options.store}": there are ${names}`);
  }
  report.section(`steady: one commit a second for ${seconds} s, store ${store.name}`);
  const directory = mkdtempSync(join(tmpdir(), "millrace-bench-steady-"));
  await using stack = new AsyncDisposableStack();
  stack.defer(() => rmSync(directory, { recursive: true }));
  const place = await store.find(`millrace/${basename(directory)}`);
  if (typeof place === "string") {
    report.note(`not run: ${place}`);
    return;
  }
  stack.defer(() => emptyPlace(place));
  const proxy = stack.use(await FaultProxy.open({ target: place.server, ...store.proxy }));
  const path = join(directory, "app.db");
  const application = stack.use(await SqlProcess.open(path));
  await application.exec("CREATE TABLE visits (id INTEGER PRIMARY KEY, at, note)");
  const url = place.url(proxy.endpoint);
  const env = { PATH: process.env["PATH"], HOME: directory, ...place.env };
  const daemon = spawn(process.execPath, [BIN, "replicate", "-log-level", "warn", path, url], {
    env,
    stdio: ["ignore", "inherit", "inherit"],
  });
  stack.defer(async () => void (await end(daemon, "SIGKILL")));
  await waitUntil("the first copy", () => isDrained(daemonStatus(path)));
  tellRequests(report, "start", { proxy, from: 0, commits: 1 });

  const from = await settle(proxy);
  const pid = daemon.pid ?? 0;
  const before = processFigures(pid);
  const startMs = performance.now();
  for (let commits = 1; commits <= seconds; commits += 1) {
    await application.exec("INSERT INTO visits (at, note) VALUES (unixepoch(), randomblob(200))");
    await sleep(startMs + commits * COMMIT_MS - performance.now());
  }
  await waitUntil("everything to be durable", () => isDrained(daemonStatus(path)));
  const counts = tellRequests(report, "steady", { proxy, from, commits: seconds });
  const lists = counts["LIST"] ?? 0;
  if (store.proxy.level === "http")
    report.check("no listing after the start", lists === 0, `${lists}`);
  const busy = processFigures(pid).threadSeconds - before.threadSeconds;
  report.measure("processor time", { unit: "% of a core", samples: [(100 * busy) / seconds] });
  report.measure("peak memory", { unit: "MB", samples: [processFigures(pid).peakRssBytes / 1e6] });

  const quietFrom = await settle(proxy);
  const quietBytes = proxy.traffic.upBytes;
  await sleep(idleSeconds * 1000);
  const requests = proxy.log.count - quietFrom;
  const bytes = proxy.traffic.upBytes - quietBytes;
  if (store.proxy.level === "http") {
    report.check(`no request in ${idleSeconds} s of silence`, requests === 0, `${requests}`);
  } else report.note(`bytes sent in ${idleSeconds} s of silence: ${bytes}`);
  const status = await end(daemon, "SIGTERM");
  report.check("the daemon ends with everything durable", status === 0, `status ${status}`);
}

/** Tells the requests from the `from`-th on, and returns them by type. */
function tellRequests(
  report: Report,
  phase: string,
  facts: { readonly proxy: FaultProxy; readonly from: number; readonly commits: number },
): Readonly<Record<string, number>> {
  const { proxy, from, commits } = facts;
  const counts = proxy.log.countByType(from);
  const list = Object.entries(counts).map(([type, count]) => `${type} ${count}`);
  const total = proxy.log.count - from;
  const each = (total / commits).toFixed(2);
  report.note(`${phase}: ${total} requests, ${each} a commit: ${list.join(", ") || "none seen"}`);
  return counts;
}

/** Waits until nothing was asked for a while; returns how many requests there were. */
async function settle(proxy: FaultProxy): Promise<number> {
  for (let count = -1; count !== proxy.log.count;) {
    count = proxy.log.count;
    await sleep(SETTLE_MS);
  }
  return proxy.log.count;
}

/** Resolves with the exit status. */
async function end(child: ChildProcess, signal: NodeJS.Signals): Promise<number | null> {
  if (child.exitCode === null && child.signalCode === null) {
    child.kill(signal);
    await once(child, "exit");
  }
  return child.exitCode;
}

function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
