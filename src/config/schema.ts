/** The shape of a configuration file, keys as they are written there. Defaults are filled in by `load.ts`. */
import { z } from "zod";
import type { LogLevel } from "../base/logger.ts";
import { count, duration, flag, text, word } from "./values.ts";

/** Durations are milliseconds. */
export interface ReplicaEntry {
  readonly url?: string | undefined;
  readonly type?: string | undefined;
  readonly path?: string | undefined;
  readonly "sync-interval"?: number | undefined;
}

export interface DatabaseEntry {
  readonly path?: string | undefined;
  readonly replica?: ReplicaEntry | undefined;
  readonly replicas?: readonly ReplicaEntry[] | undefined;
  readonly "meta-path"?: string | undefined;
  readonly "monitor-interval"?: number | undefined;
  readonly "checkpoint-interval"?: number | undefined;
  readonly "min-checkpoint-page-count"?: number | undefined;
  readonly "truncate-page-n"?: number | undefined;
  readonly "max-sync-wal-bytes"?: number | undefined;
  readonly "busy-timeout"?: number | undefined;
  readonly "page-format"?: "block" | "frame" | undefined;
}

export interface LoggingEntry {
  readonly level?: LogLevel | undefined;
  readonly type?: "text" | "json" | undefined;
  readonly stderr?: boolean | undefined;
}

export interface ConfigFile {
  readonly dbs?: readonly DatabaseEntry[] | undefined;
  readonly exec?: string | undefined;
  readonly logging?: LoggingEntry | undefined;
  readonly "shutdown-sync-timeout"?: number | undefined;
  readonly "sync-interval"?: number | undefined;
}

const POSITIVE = { min: "above-zero" } as const;
const FROM_ZERO = { min: "zero" } as const;

const REPLICA = z.object({
  url: text().optional(),
  type: text().optional(),
  path: text().optional(),
  "sync-interval": duration(POSITIVE).optional(),
});

const DATABASE = z.object({
  path: text().optional(),
  replica: REPLICA.optional(),
  replicas: z.array(REPLICA, "wanted a list of replicas").optional(),
  "meta-path": text().optional(),
  "monitor-interval": duration(POSITIVE).optional(),
  "checkpoint-interval": duration(FROM_ZERO).optional(),
  "min-checkpoint-page-count": count(POSITIVE).optional(),
  "truncate-page-n": count(FROM_ZERO).optional(),
  "max-sync-wal-bytes": count(FROM_ZERO).optional(),
  "busy-timeout": duration(FROM_ZERO).optional(),
  "page-format": word(["block", "frame"]).optional(),
});

const LOGGING = z.object({
  level: word(["trace", "debug", "info", "warn", "error"], { warning: "warn" }).optional(),
  type: word(["text", "json"]).optional(),
  stderr: flag().optional(),
});

export const CONFIG: z.ZodType<ConfigFile> = z.object({
  dbs: z.array(DATABASE, "wanted a list of databases").optional(),
  exec: z.string("wanted a command").optional(),
  logging: LOGGING.optional(),
  "shutdown-sync-timeout": duration(FROM_ZERO).optional(),
  "sync-interval": duration(POSITIVE).optional(),
});
