/**
 * Which keys a configuration file may have, and which keys of Litestream's this version does not have. A key that
 * does nothing here is an error: silence would leave somebody without what they configured.
 *
 * Source: benbjohnson/litestream@63225f1 `Config`, `DBConfig`, `ReplicaConfig`.
 */

export interface KeyTable {
  /** What the mapping is, for messages. */
  readonly what: string;
  readonly known: readonly string[];
  /** Litestream has it, this version does not. */
  readonly later: readonly string[];
  /** Obsolete or meaningless, accepted and ignored as Litestream does. */
  readonly ignored: readonly string[];
}

const S3_KEYS = [
  "access-key-id",
  "secret-access-key",
  "region",
  "bucket",
  "endpoint",
  "force-path-style",
  "sign-payload",
  "require-content-md5",
  "put-object-content-md5",
  "sign-accept-encoding",
  "skip-verify",
  "storage-class",
  "part-size",
  "concurrency",
  "sse-customer-algorithm",
  "sse-customer-key",
  "sse-customer-key-path",
  "sse-kms-key-id",
];

const OTHER_STORE_KEYS = [
  "account-name",
  "account-key",
  "sas-token",
  "host",
  "user",
  "password",
  "key-path",
  "host-key",
  "concurrent-writes",
  "webdav-url",
  "webdav-username",
  "webdav-password",
  "jwt",
  "seed",
  "creds",
  "nkey",
  "username",
  "token",
  "tls",
  "root-cas",
  "client-cert",
  "client-key",
  "max-reconnects",
  "reconnect-wait",
  "timeout",
  "age",
];

const REPLICA_LATER = [
  ...S3_KEYS,
  ...OTHER_STORE_KEYS,
  "max-sync-ltx-files",
  "auto-recover",
  "validation-interval",
];

export const TOP_KEYS: KeyTable = {
  what: "the configuration",
  known: ["dbs", "exec", "logging", "shutdown-sync-timeout", "sync-interval"],
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
  known: ["url", "type", "path", "sync-interval"],
  later: REPLICA_LATER,
  ignored: ["name"],
};
