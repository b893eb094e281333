/** `millrace status`: what of each database is durable where. Reads local files only; needs no daemon. */
import { formatBytes } from "../base/format.ts";
import { formatDuration } from "../base/duration.ts";
import { formatTxid } from "../base/ids.ts";
import { expandPath } from "../config/paths.ts";
import { inspectDatabase, type Inspection } from "../daemon/inspect.ts";
import { systemClock } from "../platform/clock.ts";
import { nodeFiles } from "../platform/files.ts";
import type { Command } from "./command.ts";
import { CONFIG_FLAGS, findConfig, loadConfig } from "./config-file.ts";
import { usage, type Arguments } from "./flags.ts";
import { formatJson, formatTable } from "./output.ts";
import type { Terminal } from "./terminal.ts";

export const status: Command = {
  name: "status",
  usage: ["status [-config PATH] [DB_PATH]"],
  about:
    'Says of each database how far it is captured, how far each destination has it, and whether a process is at it. Everything comes from local files, so it works without a daemon and without the network.\n"daemon" is running, closed (it ended as it should), died (it did not), elsewhere (another machine or container) or none.',
  flags: CONFIG_FLAGS,
  run: async (args, terminal) => {
    const nowMs = systemClock.now();
    const databases = await chosen(args, terminal);
    const inspections = databases.map((database) =>
      inspectDatabase({ files: nodeFiles, clock: systemClock }, database),
    );
    if (args.flag("json")) {
      terminal.out(formatJson(inspections.map((inspection) => toJson(inspection, nowMs))));
      return 0;
    }
    const rows = inspections.flatMap((inspection) => toRows(inspection, nowMs));
    const header = [
      "database",
      "status",
      "local txid",
      "wal size",
      "daemon",
      "replica",
      "state",
      "durable txid",
      "behind",
    ];
    terminal.out(formatTable(header, rows));
    for (const problem of inspections.flatMap(problems)) terminal.out(`${problem}\n`);
    return 0;
  },
};

interface Chosen {
  readonly path: string;
  readonly metaDir?: string | undefined;
}

/** The database named, or all of the configuration. */
async function chosen(args: Arguments, terminal: Terminal): Promise<readonly Chosen[]> {
  const [argument, ...more] = args.positionals;
  if (more.length > 0)
    throw usage("status", `too many arguments: "${more[0]}"`, "name one database");
  if (argument === undefined) return (await loadConfig(args, terminal)).databases;
  const path = expandPath(argument, terminal);
  const config = await findConfig(args, terminal);
  const configured = config?.databases.find((database) => database.path === path);
  return [configured ?? { path }];
}

interface Place {
  readonly name: string;
  readonly state: string;
  readonly durableTxid: string;
  readonly behindMs: number | undefined;
}

function places({ record }: Inspection, nowMs: number): Place[] {
  return (record?.destinations ?? []).map(({ name, state, durableTxid, behindSince }) => ({
    name,
    state,
    durableTxid,
    behindMs: behindSince === undefined ? undefined : Math.max(0, nowMs - Date.parse(behindSince)),
  }));
}

function toRows(inspection: Inspection, nowMs: number): string[][] {
  const { path, status, localTxid, walSizeBytes, daemon } = inspection;
  const known = localTxid > 0n ? formatTxid(localTxid) : "-";
  const wal = walSizeBytes === undefined ? "-" : formatBytes(walSizeBytes);
  const found = places(inspection, nowMs).map(({ name, state, durableTxid, behindMs }) => [
    name,
    state,
    durableTxid,
    behindMs === undefined ? "-" : formatDuration(behindMs),
  ]);
  const replicas = found.length === 0 ? [["-", "-", "-", "-"]] : found;
  return replicas.map((cells) => [path, status, known, wal, daemon, ...cells]);
}

function problems({ path, record }: Inspection): string[] {
  const errors = [
    { place: path, error: record?.error },
    ...(record?.destinations ?? []).map(({ name, error }) => ({ place: name, error })),
  ];
  return errors.flatMap(({ place, error }) =>
    error === undefined ? [] : [`${place}: ${error.message} (${error.code})`],
  );
}

function toJson(inspection: Inspection, nowMs: number): Record<string, unknown> {
  const { path, status, localTxid, walSizeBytes, daemon, record } = inspection;
  return {
    database: path,
    status,
    local_txid: localTxid > 0n ? formatTxid(localTxid) : "-",
    wal_size: walSizeBytes === undefined ? "-" : formatBytes(walSizeBytes),
    wal_size_bytes: walSizeBytes,
    daemon,
    pid: record?.pid,
    version: record?.version,
    phase: record?.phase,
    updated_at: record?.updatedAt,
    error: record?.error,
    replicas: (record?.destinations ?? []).map((destination, index) => ({
      url: destination.name,
      state: destination.state,
      durable_txid: destination.durableTxid,
      pending_files: destination.pendingFiles,
      pending_bytes: destination.pendingBytes,
      behind_ms: places(inspection, nowMs)[index]?.behindMs ?? 0,
      last_upload_at: destination.lastUploadAt,
      error: destination.error,
    })),
  };
}
