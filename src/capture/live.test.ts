import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { CaptureBench } from "../testing/capture-bench.ts";
import { CaptureThread } from "./client.ts";
import { DEFAULT_CAPTURE, type CaptureEvent } from "./contract.ts";

const WRITER = fileURLToPath(new URL("../testing/writer.ts", import.meta.url));

function write(
  path: string,
  transactions: number,
  seed: number,
  habits: readonly string[],
): Promise<void> {
  const args = [WRITER, path, String(transactions), String(seed), ...habits];
  const child = spawn(process.execPath, args, { stdio: ["ignore", "ignore", "inherit"] });
  return once(child, "exit").then(([code]) => assert.equal(code, 0, "the writer succeeded"));
}

/** Lets writers loose on a captured database and compares at the end. */
async function live(options: {
  readonly transactions: number;
  readonly habits: readonly (readonly string[])[];
  readonly syncIntervalMs: number;
  /** Writers are let loose again until this holds. */
  readonly enough?: ((events: readonly CaptureEvent[]) => boolean) | undefined;
}): Promise<CaptureEvent[]> {
  using bench = new CaptureBench({});
  bench.app.exec("CREATE TABLE seeded (v); INSERT INTO seeded VALUES (randomblob(100000))");
  const events: CaptureEvent[] = [];
  await using thread = new CaptureThread({
    onDeath: (error) => {
      throw error;
    },
  });
  const { path, metaDir } = bench;
  const settings = {
    ...DEFAULT_CAPTURE,
    path,
    metaDir,
    syncIntervalMs: options.syncIntervalMs,
    checkpointPages: 200,
  };
  const handle = await thread.add(settings, (event) => events.push(event));
  await handle.sync();
  const { transactions, habits, enough = () => true } = options;
  let seed = 0;
  do {
    await Promise.all(habits.map((list) => write(path, transactions, ++seed, list)));
  } while (!enough(events));
  const txid = await handle.sync();
  bench.verify({ txid });
  await handle.remove();
  return events;
}

function restarts(events: readonly CaptureEvent[]): number {
  return events.filter((event) => event.type === "checkpoint" && event.restarted).length;
}

function resyncs(events: readonly CaptureEvent[]): string[] {
  return events.flatMap((event) =>
    event.type === "resync" ? [`${event.kind}: ${event.reason}`] : [],
  );
}

test(
  "[C7] two busy writers cost no resync, however often the WAL restarts",
  { timeout: 120_000 },
  async () => {
    const events = await live({
      transactions: 800,
      habits: [[], ["vacuum"]],
      syncIntervalMs: 10,
      enough: (seen) => restarts(seen) >= 3,
    });
    assert.equal(resyncs(events).length, 1, resyncs(events).join("; "));
  },
);

test(
  "[C3] writers that checkpoint by themselves cost no resync",
  { timeout: 120_000 },
  async () => {
    const events = await live({
      transactions: 250,
      habits: [["autocheckpoint"], ["checkpoint", "vacuum"]],
      syncIntervalMs: 50,
    });
    assert.equal(resyncs(events).length, 1, resyncs(events).join("; "));
  },
);
