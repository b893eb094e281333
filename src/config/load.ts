/**
 * From the text of a configuration file to a `Config`. Everything that is wrong is reported at once, each with its
 * line. Litestream's files are read as they are, as far as this version goes.
 *
 * Source: benbjohnson/litestream@63225f1 `ParseConfig`, `Config.Validate`. Bare numbers as durations (nanoseconds there) and
 * unknown keys (ignored there) are errors here.
 */
import { defined } from "../base/assert.ts";
import { withoutUndefined } from "../base/objects.ts";
import { MillraceError } from "../errors.ts";
import type { Config, DatabaseConfig, ReplicaConfig } from "./contract.ts";
import { ConfigDocument, formatPlace, type Place, type Problem } from "./document.ts";
import { expandEnv } from "./env.ts";
import { DATABASE_KEYS, LOGGING_KEYS, REPLICA_KEYS, TOP_KEYS } from "./keys.ts";
import { expandPath, type PathContext } from "./paths.ts";
import { buildReplica } from "./replica.ts";
import { CONFIG, type ConfigFile, type DatabaseEntry } from "./schema.ts";
import { DEFAULT_DATABASE, DEFAULT_LOGGING, DEFAULT_SHUTDOWN_SYNC_TIMEOUT_MS } from "./defaults.ts";

export interface ConfigContext extends PathContext {
  /** Where the text came from, for messages. */
  readonly source: string;
  /** `undefined` leaves `$` alone. */
  readonly env: Readonly<Record<string, string | undefined>> | undefined;
  readonly pid: number;
}

const MAX_PROBLEMS = 20;

/** Throws `config/invalid` with every problem found. */
export function parseConfig(text: string, context: ConfigContext): Config {
  const expanded = context.env === undefined ? text : expandEnv(text, context.env, context.pid);
  const document = new ConfigDocument(expanded);
  refuse(document.syntaxProblems(), context);
  const keyProblems = checkKeys(document);
  const parsed = CONFIG.safeParse(document.value ?? {});
  const valueProblems = (parsed.error?.issues ?? []).map(({ path, message }): Problem => {
    const place = path as (string | number)[];
    const where = formatPlace(place);
    return {
      line: document.lineOf(place),
      message: where === "" ? "wanted keys and values" : `${where}: ${message}`,
    };
  });
  refuse([...keyProblems, ...valueProblems], context);
  const problems: Problem[] = [];
  const config = build(defined(parsed.data, "parsed configuration"), context, (place, message) =>
    problems.push({ line: document.lineOf(place), message: `${formatPlace(place)}: ${message}` }),
  );
  refuse(problems, context);
  return config;
}

function refuse(problems: readonly Problem[], context: ConfigContext): void {
  const [first] = problems;
  if (first === undefined) return;
  const lines = problems
    .slice(0, MAX_PROBLEMS)
    .map(({ line, message }) => (line === undefined ? message : `line ${line}: ${message}`));
  if (problems.length > lines.length) lines.push(`and ${problems.length - lines.length} more`);
  const text = lines.length === 1 ? ` ${lines[0]}` : lines.map((line) => `\n  ${line}`).join("");
  throw new MillraceError("config/invalid", `read config "${context.source}":${text}`, {
    op: "read config",
    details: { path: context.source, problems },
  });
}

function checkKeys(document: ConfigDocument): Problem[] {
  const problems = [
    ...document.keyProblems([], TOP_KEYS),
    ...document.keyProblems(["logging"], LOGGING_KEYS),
  ];
  const entries = (document.value as { dbs?: unknown } | null)?.dbs;
  for (const [index, entry] of (Array.isArray(entries) ? entries : []).entries()) {
    const place = ["dbs", index];
    problems.push(...document.keyProblems(place, DATABASE_KEYS));
    problems.push(...document.keyProblems([...place, "replica"], REPLICA_KEYS));
    const replicas = (entry as { replicas?: unknown } | null)?.replicas;
    const count = Array.isArray(replicas) ? replicas.length : 0;
    for (let number = 0; number < count; number += 1)
      problems.push(...document.keyProblems([...place, "replicas", number], REPLICA_KEYS));
  }
  return problems;
}

type Complain = (place: Place, message: string) => void;

function build(file: ConfigFile, context: ConfigContext, complain: Complain): Config {
  const databases = (file.dbs ?? []).flatMap((entry, index) => {
    const place = ["dbs", index];
    const database = buildDatabase(entry, file, { place, context, complain });
    return database === undefined ? [] : [database];
  });
  refuseDoubles(databases, complain);
  const { exec } = file;
  if (exec !== undefined && exec.trim() === "") complain(["exec"], "the command is empty");
  const { level, type, stderr } = { ...DEFAULT_LOGGING, ...withoutUndefined(file.logging) };
  return {
    databases,
    exec,
    logging: { level, type, stderr },
    shutdownSyncTimeoutMs: file["shutdown-sync-timeout"] ?? DEFAULT_SHUTDOWN_SYNC_TIMEOUT_MS,
  };
}

interface EntryContext {
  readonly place: Place;
  readonly context: ConfigContext;
  readonly complain: Complain;
}

function buildDatabase(
  entry: DatabaseEntry,
  file: ConfigFile,
  { place, context, complain }: EntryContext,
): DatabaseConfig | undefined {
  const { path, replica, replicas } = entry;
  if (path === undefined) complain(place, 'a database needs a "path"');
  if (replica !== undefined && replicas !== undefined)
    complain([...place, "replicas"], 'not together with "replica"');
  if (replicas !== undefined && replicas.length !== 1)
    complain([...place, "replicas"], `wanted exactly one replica (got ${replicas.length})`);
  const only = replica ?? replicas?.[0];
  if (only === undefined) {
    complain(place, 'a database needs a "replica"');
    return undefined;
  }
  const replicaPlace = replica === undefined ? [...place, "replicas", 0] : [...place, "replica"];
  const built = buildReplica(only, file, { place: replicaPlace, context, complain });
  if (path === undefined || built === undefined) return undefined;
  const metaPath = entry["meta-path"];
  const maxSyncWalBytes = entry["max-sync-wal-bytes"] ?? DEFAULT_DATABASE.maxSyncWalBytes;
  return {
    path: expandPath(path, context),
    metaDir: metaPath === undefined ? undefined : expandPath(metaPath, context),
    replica: built,
    monitorIntervalMs: entry["monitor-interval"] ?? DEFAULT_DATABASE.monitorIntervalMs,
    checkpointIntervalMs: entry["checkpoint-interval"] ?? DEFAULT_DATABASE.checkpointIntervalMs,
    checkpointPages: entry["min-checkpoint-page-count"] ?? DEFAULT_DATABASE.checkpointPages,
    // 0 stands for the default here, and for "no limit" in the next line, as in Litestream.
    truncatePages: entry["truncate-page-n"] || DEFAULT_DATABASE.truncatePages,
    maxSyncWalBytes: maxSyncWalBytes === 0 ? Number.MAX_SAFE_INTEGER : maxSyncWalBytes,
    busyTimeoutMs: entry["busy-timeout"] ?? DEFAULT_DATABASE.busyTimeoutMs,
    pageFormat: entry["page-format"] ?? DEFAULT_DATABASE.pageFormat,
  };
}

/** Two entries for one database, or two databases in one replica, would write over each other. */
function refuseDoubles(databases: readonly DatabaseConfig[], complain: Complain): void {
  const paths = new Map<string, number>();
  const urls = new Map<string, number>();
  for (const [index, { path, replica }] of databases.entries()) {
    const samePath = paths.get(path);
    const target = replicaKey(replica);
    const sameUrl = urls.get(target);
    if (samePath !== undefined)
      complain(["dbs", index, "path"], `the same database as dbs[${samePath}]`);
    else if (sameUrl !== undefined)
      complain(
        ["dbs", index, "replica"],
        `the same replica as dbs[${sameUrl}]: each database needs its own`,
      );
    paths.set(path, samePath ?? index);
    urls.set(target, sameUrl ?? index);
  }
}

/** The same for replicas that are the same. */
function replicaKey({ url, settings }: ReplicaConfig): string {
  return JSON.stringify([url, settings]);
}
