/** What a configuration says, as plain data with every default filled in. */
import type { LogLevel } from "../base/logger.ts";
import type { ReplicaLocation } from "../storage/replica-url/target.ts";

export interface Config {
  readonly databases: readonly DatabaseConfig[];
  /** Command to run under Millrace. */
  readonly exec: string | undefined;
  readonly logging: LoggingConfig;
  /** How long the end of the process may take to make everything durable; 0 for a single attempt. */
  readonly shutdownSyncTimeoutMs: number;
}

export interface LoggingConfig {
  readonly level: LogLevel;
  readonly type: "text" | "json";
  /** Standard error instead of standard output. */
  readonly stderr: boolean;
}

export interface DatabaseConfig {
  /** Absolute. */
  readonly path: string;
  /** Absolute; `undefined` for the default beside the database. */
  readonly metaDir: string | undefined;
  readonly replica: ReplicaConfig;
  readonly monitorIntervalMs: number;
  /** 0 turns it off. */
  readonly checkpointIntervalMs: number;
  readonly checkpointPages: number;
  readonly truncatePages: number;
  readonly maxSyncWalBytes: number;
  readonly busyTimeoutMs: number;
  readonly pageFormat: "block" | "frame";
}

export interface ReplicaConfig extends ReplicaLocation {
  readonly syncIntervalMs: number;
  /** Who sees to it that one process writes there, as `parseLease` reads it. */
  readonly lease: string;
  /** How long a silent holder keeps others out. */
  readonly leaseTtlMs: number | undefined;
}
