/**
 * Which keys a configuration file may have, and which keys of Litestream's this version does not have. A key that
 * does nothing here is an error: silence would leave somebody without what they configured.
 *
 * Source: benbjohnson/litestream@63225f1 `Config`, `DBConfig`, `ReplicaConfig`.
 */
import { SETTING_KINDS } from "../storage/replica-url/settings.ts";

export interface KeyTable {
  /** What the mapping is, for messages. */
  readonly what: string;
  readonly known: readonly string[];
  /** Litestream has it, this version does not. */
  readonly later: readonly string[];
  /** Obsolete or meaningless, accepted and ignored as Litestream does. */
  readonly ignored: readonly string[];
}

/** Where a replica is, when no URL says so. */
export const PLACE_KEYS: readonly string[] = ["bucket", "host", "webdav-url"];

/** Settings of stores: of one replica, or of all as top-level keys. */
const STORE_KEYS: readonly string[] = [...PLACE_KEYS, ...SETTING_KINDS.keys()];

const REPLICA_LATER = ["max-sync-ltx-files", "auto-recover", "validation-interval", "age"];

export const TOP_KEYS: KeyTable = {
  what: "the configuration",
  known: [
    "dbs",
    "exec",
    "logging",
    "shutdown-sync-timeout",
    "sync-interval",
    "lease",
    "lease-ttl",
    ...STORE_KEYS,
  ],
  later: [
    "addr",
    "mcp-addr",
    "socket",
    "levels",
    "snapshot",
    "l0-retention",
    "l0-retention-check-interval",
    "retention",
    "verify-compaction",
    "validation",
    "heartbeat-url",
    "heartbeat-interval",
    "shutdown-sync-interval",
    "shutdown-timeout",
    ...REPLICA_LATER,
  ],
  ignored: [],
};

export const LOGGING_KEYS: KeyTable = {
  what: "logging",
  known: ["level", "type", "stderr"],
  later: ["source"],
  ignored: [],
};

export const DATABASE_KEYS: KeyTable = {
  what: "a database",
  known: [
    "path",
    "replica",
    "replicas",
    "meta-path",
    "monitor-interval",
    "checkpoint-interval",
    "min-checkpoint-page-count",
    "truncate-page-n",
    "max-sync-wal-bytes",
    "busy-timeout",
    "page-format",
  ],
  later: [
    "dir",
    "pattern",
    "recursive",
    "watch",
    "meta-dir",
    "snapshot",
    "restore-if-db-not-exists",
  ],
  ignored: [],
};

export const REPLICA_KEYS: KeyTable = {
  what: "a replica",
  known: ["url", "type", "path", "sync-interval", "lease", "lease-ttl", ...STORE_KEYS],
  later: REPLICA_LATER,
  ignored: ["name"],
};
