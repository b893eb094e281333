/** What a replicating process writes about a database, as tests and benchmarks wait for it. */
import { defaultMetaDir, metaPaths } from "../capture/meta-dir.ts";
import { readStatusFile, type StatusRecord } from "../daemon/status-file.ts";
import { nodeFiles } from "../platform/files.ts";

/** The newest status of the database at `path`; `undefined` before the first. */
export function daemonStatus(path: string): StatusRecord | undefined {
  return readStatusFile(nodeFiles, metaPaths(defaultMetaDir(path)).status);
}

/** Everything that was captured is in the first destination, and shipping is well. */
export function isDrained(record: StatusRecord | undefined): boolean {
  const [destination] = record?.destinations ?? [];
  if (record === undefined || destination === undefined) return false;
  const { durableTxid, pendingFiles, state } = destination;
  return durableTxid === record.txid && pendingFiles === 0 && state === "shipping";
}
