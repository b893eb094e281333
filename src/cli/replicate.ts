/** `millrace replicate`: the daemon. Databases from the command line or the configuration, until a signal or `-exec`'s end. */
import type { LogLevel, Logger } from "../base/logger.ts";
import {
  DEFAULT_DATABASE,
  DEFAULT_LOGGING,
  DEFAULT_SHUTDOWN_SYNC_TIMEOUT_MS,
  DEFAULT_SYNC_INTERVAL_MS,
} from "../config/defaults.ts";
import type { Config, DatabaseConfig } from "../config/contract.ts";
import { expandPath } from "../config/paths.ts";
import type { DatabaseOptions } from "../daemon/contract.ts";
import { openReplicator } from "../daemon/replicator.ts";
import { splitWords } from "../daemon/shell-words.ts";
import { readVersion } from "../daemon/version.ts";
import { systemClock } from "../platform/clock.ts";
import { DEFAULT_TTL_MS } from "../lease/lease-rules.ts";
import { parseReplicaUrl } from "../storage/replica-url/replica-url.ts";
import type { Command } from "./command.ts";
import { CONFIG_FLAGS, loadConfig } from "./config-file.ts";
import { usage, type Arguments } from "./flags.ts";
import { createLogger, parseLogLevel, type LogFormat } from "./logger.ts";
import { isUrl } from "./replica-argument.ts";
import { runOnce, runUntilEnd, type Run } from "./replicate-run.ts";
import type { Terminal } from "./terminal.ts";

const NAME = "replicate";

export const replicate: Command = {
  name: NAME,
  usage: ["replicate [FLAGS] DB_PATH REPLICA_URL", "replicate [FLAGS] [-config PATH]"],
  about:
    "Replicates databases for as long as it runs: every commit is captured and brought to the replica, the first after a pause at once, further ones every sync-interval. A signal ends it after a final sync; a second signal ends it at once.",
  flags: {
    ...CONFIG_FLAGS,
    exec: {
      kind: "text",
      value: "COMMAND",
      help: "run a command, and end when it ends, after a final sync, with its exit status",
    },
    once: {
      kind: "boolean",
      help: "capture and upload what there is, make sure that it is durable, and end",
    },
    "log-level": {
      kind: "text",
      value: "LEVEL",
      help: "trace, debug, info, warn or error; before $LOG_LEVEL and the configuration",
    },
  },
  later: ["restore-if-db-not-exists", "force-snapshot", "enforce-retention"],
  examples: [
    "millrace replicate /var/lib/shop/shop.db file:///backup/shop",
    "millrace replicate -config /etc/millrace.yml -exec 'node server.js'",
  ],
  run: async (args, terminal) => {
    const isPositional = args.positionals.length > 0;
    const config = isPositional
      ? positionalConfig(args, terminal)
      : await loadConfig(args, terminal);
    const exec = args.text("exec") ?? config.exec;
    if (exec !== undefined) splitWords(exec);
    if (exec !== undefined && args.flag("once"))
      throw usage(NAME, "-once and -exec exclude each other", "give one of them");
    if (config.databases.length === 0)
      throw usage(
        NAME,
        "there is no database to replicate",
        'list databases under "dbs" in the configuration',
      );
    for (const { replica } of config.databases) parseReplicaUrl(replica);
    const json = args.flag("json");
    const logger = makeLogger(config, args, terminal);
    const version = readVersion();
    logger.log("info", "millrace", { version, pid: terminal.pid });
    const run: Run = {
      terminal,
      logger,
      json,
      shutdownSyncTimeoutMs: config.shutdownSyncTimeoutMs,
      leaseTtlMs: Math.max(
        ...config.databases.map(({ replica }) => replica.leaseTtlMs ?? DEFAULT_TTL_MS),
      ),
      isStrict: isPositional,
      open: (onEvent) =>
        openReplicator({
          databases: config.databases.map(toOptions),
          logger,
          version,
          pid: terminal.pid,
          onEvent,
        }),
    };
    return args.flag("once") ? runOnce(run) : runUntilEnd(run, exec);
  },
};

function positionalConfig(args: Arguments, terminal: Terminal): Config {
  const [path = "", url, ...more] = args.positionals;
  if (args.text("config") !== undefined)
    throw usage(
      NAME,
      "-config and a database on the command line exclude each other",
      "give one of them",
    );
  if (isUrl(path))
    throw usage(
      NAME,
      `"${path}" is where the database path belongs`,
      "millrace replicate DB_PATH REPLICA_URL",
    );
  if (url === undefined)
    throw usage(
      NAME,
      `the replica URL of "${path}" is missing`,
      `millrace replicate ${path} file:///backup/shop`,
    );
  if (more.length > 0)
    throw usage(
      NAME,
      `too many arguments: "${more[0]}"`,
      "for more than one database write a configuration",
    );
  const replica = {
    url,
    syncIntervalMs: DEFAULT_SYNC_INTERVAL_MS,
    lease: "auto",
    leaseTtlMs: undefined,
  };
  const database = {
    ...DEFAULT_DATABASE,
    path: expandPath(path, terminal),
    metaDir: undefined,
    replica,
  };
  return {
    databases: [database],
    exec: undefined,
    logging: DEFAULT_LOGGING,
    shutdownSyncTimeoutMs: DEFAULT_SHUTDOWN_SYNC_TIMEOUT_MS,
  };
}

function toOptions(config: DatabaseConfig): DatabaseOptions {
  const { path, metaDir, replica, ...tuning } = config;
  const { syncIntervalMs, ...destination } = replica;
  return {
    path,
    metaDir,
    to: [destination],
    capture: { ...tuning, syncIntervalMs },
  };
}

/** Standard output as Litestream's, unless that is taken by JSON or the configuration says otherwise. */
function makeLogger(config: Config, args: Arguments, terminal: Terminal): Logger {
  const { stderr, type } = config.logging;
  const format: LogFormat = type;
  const isOut = !stderr && !args.flag("json");
  return createLogger({
    format,
    level: chooseLevel(config, args, terminal),
    now: () => systemClock.now(),
    write: (text) => (isOut ? terminal.out(text) : terminal.err(text)),
  });
}

function chooseLevel(config: Config, args: Arguments, terminal: Terminal): LogLevel {
  for (const text of [args.text("log-level"), terminal.env["LOG_LEVEL"]]) {
    if (text === undefined || text === "") continue;
    const level = parseLogLevel(text);
    if (level !== undefined) return level;
    throw usage(
      NAME,
      `log level "${text}" does not exist`,
      "write trace, debug, info, warn or error",
    );
  }
  return config.logging.level;
}
