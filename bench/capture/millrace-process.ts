/** Millrace as its daemon composes it, in a process of its own, until told to stop. Keeps its events until then. */
import { SILENT } from "../../src/base/logger.ts";
import { openReplicator } from "../../src/daemon/replicator.ts";
import { nowMs } from "../lib/time.ts";
import type { MillraceReport, ReplicatorJob, TimedEvent } from "./replicators.ts";

const job = JSON.parse(process.argv[2] ?? "") as ReplicatorJob;
const events: TimedEvent[] = [];
const capture = job.syncIntervalMs === undefined ? {} : { syncIntervalMs: job.syncIntervalMs };
const replicator = await openReplicator({
  databases: job.databases.map(({ path, replica }) => ({
    path,
    to: [{ url: `file://${replica}` }],
    capture,
  })),
  logger: SILENT,
  version: "bench",
  pid: process.pid,
  onEvent: (event) => events.push({ atMs: nowMs(), event }),
});
process.once("message", () => {
  void (async () => {
    const { durable } = await replicator.close();
    const report: MillraceReport = { durable, events };
    process.send?.(report, undefined, undefined, () => process.disconnect());
  })();
});
