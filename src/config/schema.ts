/** The shape of a configuration file, keys as they are written there. Defaults are filled in by `load.ts`. */
import { z } from "zod";
import type { LogLevel } from "../base/logger.ts";
import {
  REPLICA_SCHEMES,
  SETTING_KINDS,
  type ReplicaScheme,
  type SettingKind,
} from "../storage/replica-url/settings.ts";
import { PLACE_KEYS } from "./keys.ts";
import { count, duration, flag, integer, size, text, word } from "./values.ts";

/** Settings of stores by their keys; which of them a replica may have, its scheme says. */
export type StoreEntry = Readonly<Record<string, unknown>> & {
  readonly bucket?: string | undefined;
  readonly host?: string | undefined;
  readonly "webdav-url"?: string | undefined;
  readonly "sync-interval"?: number | undefined;
  readonly lease?: string | undefined;
  readonly "lease-ttl"?: number | undefined;
};

/** Durations are milliseconds. */
export type ReplicaEntry = StoreEntry & {
  readonly url?: string | undefined;
  readonly type?: ReplicaScheme | undefined;
  readonly path?: string | undefined;
};

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

export type ConfigFile = StoreEntry & {
  readonly dbs?: readonly DatabaseEntry[] | undefined;
  readonly exec?: string | undefined;
  readonly logging?: LoggingEntry | undefined;
  readonly "shutdown-sync-timeout"?: number | undefined;
};

const POSITIVE = { min: "above-zero" } as const;
const FROM_ZERO = { min: "zero" } as const;

const VALUES: Readonly<Record<SettingKind, z.ZodType>> = {
  text: text(),
  flag: flag(),
  count: integer(),
  size: size(),
  duration: duration(FROM_ZERO),
  file: text(),
  files: z.array(text(), "wanted a list of files"),
};

const STORE: Readonly<Record<string, z.ZodType>> = {
  ...Object.fromEntries(PLACE_KEYS.map((key) => [key, text().optional()])),
  ...Object.fromEntries([...SETTING_KINDS].map(([key, kind]) => [key, VALUES[kind].optional()])),
  "sync-interval": duration(POSITIVE).optional(),
  lease: text().optional(),
  "lease-ttl": duration(POSITIVE).optional(),
};

const REPLICA: z.ZodType<ReplicaEntry> = z.object({
  ...STORE,
  url: text().optional(),
  type: word(REPLICA_SCHEMES).optional(),
  path: text().optional(),
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
  ...STORE,
});
