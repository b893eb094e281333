/** What a configuration means where it says nothing. Source: benbjohnson/litestream@63225f1 `DefaultConfig`. */
import type { DatabaseConfig, LoggingConfig } from "./contract.ts";

export const DEFAULT_SYNC_INTERVAL_MS = 1000;
export const DEFAULT_SHUTDOWN_SYNC_TIMEOUT_MS = 30_000;

export const DEFAULT_LOGGING: LoggingConfig = { level: "info", type: "text", stderr: false };

export const DEFAULT_DATABASE: Omit<DatabaseConfig, "path" | "metaDir" | "replica"> = {
  monitorIntervalMs: 1000,
  checkpointIntervalMs: 60_000,
  checkpointPages: 750,
  truncatePages: 121_359,
  maxSyncWalBytes: 67_108_864,
  busyTimeoutMs: 1000,
  pageFormat: "block",
};
