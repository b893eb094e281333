/**
 * What a configuration means where it says nothing: of capture, what capture itself means by it. Source:
 * benbjohnson/litestream@63225f1 `DefaultConfig`, but for `checkpointPages`.
 */
import { DEFAULT_CAPTURE } from "../capture/contract.ts";
import type { DatabaseConfig, LoggingConfig } from "./contract.ts";

export const DEFAULT_SYNC_INTERVAL_MS: number = DEFAULT_CAPTURE.syncIntervalMs;
export const DEFAULT_SHUTDOWN_SYNC_TIMEOUT_MS = 30_000;

export const DEFAULT_LOGGING: LoggingConfig = { level: "info", type: "text", stderr: false };

const { syncIntervalMs: _, ...ofDatabase } = DEFAULT_CAPTURE;

export const DEFAULT_DATABASE: Omit<DatabaseConfig, "path" | "metaDir" | "replica"> = ofDatabase;
