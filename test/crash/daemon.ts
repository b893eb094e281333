/**
 * The replicating process that the crash test kills: `node daemon.ts DATABASE URL`. Each line `sync` on its input is
 * answered by `durable TXID` once everything committed before is in the destination.
 */
import { createInterface } from "node:readline";
import { SILENT } from "../../src/base/logger.ts";
import { openReplicator } from "../../src/daemon/replicator.ts";

const [path, url] = process.argv.slice(2);
if (path === undefined || url === undefined) throw new Error("usage: daemon.ts DATABASE URL");

const replicator = await openReplicator({
  databases: [
    {
      path,
      to: [{ url }],
      capture: { syncIntervalMs: 5, checkpointPages: 60, truncatePages: 400 },
    },
  ],
  logger: SILENT,
  version: "crash-test",
  pid: process.pid,
  captureSetup: { filesModule: new URL("./crash-files.ts", import.meta.url).href },
  onEvent: (event) => {
    if (event.type === "stopped") console.log(`stopped ${JSON.stringify(event.error)}`);
    if (event.type === "resync") console.log(`resync ${event.kind}: ${event.reason}`);
  },
});

console.log("ready");
for await (const _line of createInterface({ input: process.stdin })) {
  const txids = await replicator.sync({ wait: true });
  console.log(`durable ${txids.get(path)}`);
}
