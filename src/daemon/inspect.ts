/**
 * What can be said about a database's replication from its local directory alone, whether or not a daemon runs.
 */
import { hostname, uptime } from "node:os";
import { NO_TXID, type Txid } from "../base/ids.ts";
import type { Clock } from "../base/clock.ts";
import { defaultMetaDir, ltxLevelDir, metaPaths } from "../capture/meta-dir.ts";
import { loadState } from "../capture/state.ts";
import { foreignCode } from "../errors.ts";
import { parseLtxFileName } from "../ltx/names.ts";
import type { Files } from "../platform/files.ts";
import { readStatusFile, type StatusRecord } from "./status-file.ts";

/**
 * `none`: never replicated from here. `closed`: it ended as it should. `died`: the process that wrote the record is
 * gone and did not end as it should. `elsewhere`: the record is of another machine or container.
 */
export type DaemonState = "running" | "closed" | "died" | "elsewhere" | "none";

export interface Inspection {
  readonly path: string;
  readonly metaDir: string;
  /** Litestream's words. */
  readonly status: "ok" | "not initialized" | "no database";
  /** The last transaction captured; 0 for none. */
  readonly localTxid: Txid;
  /** `undefined` when there is no WAL. */
  readonly walSizeBytes: number | undefined;
  readonly daemon: DaemonState;
  readonly record: StatusRecord | undefined;
}

export function inspectDatabase(
  context: { readonly files: Files; readonly clock: Clock },
  options: { readonly path: string; readonly metaDir?: string | undefined },
): Inspection {
  const { files, clock } = context;
  const { path, metaDir = defaultMetaDir(path) } = options;
  const op = "inspect database";
  const meta = metaPaths(metaDir);
  const newest = files
    .list(op, ltxLevelDir(meta, 0))
    .flatMap((name) => parseLtxFileName(name)?.maxTxid ?? [])
    .reduce((a, b) => (a > b ? a : b), NO_TXID);
  const recorded = loadState(files, meta.state)?.txid ?? NO_TXID;
  const localTxid = newest > recorded ? newest : recorded;
  const record = readStatusFile(files, meta.status);
  const exists = files.stat(op, path) !== undefined;
  return {
    path,
    metaDir,
    status: !exists ? "no database" : localTxid === NO_TXID ? "not initialized" : "ok",
    localTxid,
    walSizeBytes: files.stat(op, `${path}-wal`)?.sizeBytes,
    daemon: record === undefined ? "none" : daemonState(record, clock.now()),
    record,
  };
}

function daemonState(record: StatusRecord, nowMs: number): DaemonState {
  if (record.phase === "closed") return "closed";
  if (record.host !== hostname()) return "elsewhere";
  // A process id is given out again after a restart of the machine.
  const bootedAtMs = nowMs - uptime() * 1000;
  const isOlder = Date.parse(record.startedAt) < bootedAtMs;
  return !isOlder && isAlive(record.pid) ? "running" : "died";
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return foreignCode(error) === "EPERM";
  }
}
