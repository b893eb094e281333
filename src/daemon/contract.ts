/**
 * What a replicating process is told and what it tells: options, events, status. All of it survives structured
 * clone, because the library runs the replicator in a child process.
 */
import type { Txid } from "../base/ids.ts";
import type { CaptureOptions, CapturePhase } from "../capture/contract.ts";
import type { ErrorRecord } from "../errors.ts";
import type { ShipState } from "../ship/contract.ts";
import type { ReplicaLocation } from "../storage/replica-url/target.ts";

export type { CapturePhase } from "../capture/contract.ts";
export type { ShipState } from "../ship/contract.ts";

/** A replica that is written to. */
export interface DestinationLocation extends ReplicaLocation {
  /**
   * Who sees to it that one process writes there: `auto` (default; the store itself, where it can), `none`, or the URL of a
   * service: `consul://host/key`, `etcd://host/key`, `nats://host/key`, `file:///path`.
   */
  readonly lease?: string | undefined;
  /** How long a silent holder keeps others out; default 30 s. */
  readonly leaseTtlMs?: number | undefined;
}

/** One database and where it goes. */
export interface DatabaseOptions {
  /** Absolute. */
  readonly path: string;
  /** Absolute; default `.<file>-millrace` beside the database. */
  readonly metaDir?: string | undefined;
  /** At least one. */
  readonly to: readonly DestinationLocation[];
  readonly capture?: Partial<Omit<CaptureOptions, "path" | "metaDir">> | undefined;
}

export type ReplicationEvent =
  /** Commits were captured into a durable local file. */
  | {
      readonly type: "captured";
      readonly database: string;
      readonly level: number;
      readonly minTxid: Txid;
      readonly maxTxid: Txid;
      readonly sizeBytes: number;
      readonly pageCount: number;
      readonly timestampMs: number;
    }
  | {
      readonly type: "uploaded";
      readonly database: string;
      readonly destination: string;
      readonly level: number;
      readonly minTxid: Txid;
      readonly maxTxid: Txid;
      readonly sizeBytes: number;
      readonly durationMs: number;
    }
  /** Everything captured up to `txid` can be restored from the destination. */
  | {
      readonly type: "durable";
      readonly database: string;
      readonly destination: string;
      readonly txid: Txid;
    }
  | {
      readonly type: "checkpoint";
      readonly database: string;
      readonly restarted: boolean;
      readonly truncated: boolean;
      readonly frames: number;
      readonly copiedFrames: number;
      readonly lockHeldMs: number;
    }
  /** Every page was compared or copied, because not every change had been seen. */
  | {
      readonly type: "resync";
      readonly database: string;
      readonly kind: "diff" | "full" | "boundary";
      readonly reason: string;
      readonly txid: Txid;
      readonly pagesScanned: number;
      readonly pagesWritten: number;
      readonly durationMs: number;
    }
  | {
      readonly type: "phase";
      readonly database: string;
      readonly phase: CapturePhase;
      readonly reason?: string | undefined;
    }
  /** Another file lies under the database's path. */
  | { readonly type: "replaced"; readonly database: string; readonly reason: string }
  /** The destination asked for a new base: a snapshot, or a place further on the line of TXIDs. */
  | {
      readonly type: "rebase";
      readonly database: string;
      readonly destination: string;
      readonly reason: string;
    }
  /** Who may write to the destination: this process (`acquired`), or another one (`waiting`, with its name). */
  | {
      readonly type: "lease";
      readonly database: string;
      readonly destination: string;
      readonly state: "acquired" | "waiting" | "lost" | "released";
      readonly epoch?: number | undefined;
      /** The other one. */
      readonly owner?: string | undefined;
    }
  /** Capture, or shipping to `destination`, fails and is tried again. */
  | {
      readonly type: "failing";
      readonly database: string;
      readonly destination?: string | undefined;
      readonly error: ErrorRecord;
      readonly consecutive: number;
    }
  | {
      readonly type: "recovered";
      readonly database: string;
      readonly destination?: string | undefined;
    }
  /** Capture, or shipping to `destination`, ended for good until the next start. */
  | {
      readonly type: "stopped";
      readonly database: string;
      readonly destination?: string | undefined;
      readonly error: ErrorRecord;
    };

export interface DestinationStatus {
  /** The replica URL without credentials. */
  readonly name: string;
  readonly state: ShipState;
  /** Everything up to here can be restored from the destination; 0 while nothing is known to be. */
  readonly durableTxid: Txid;
  readonly pendingFiles: number;
  readonly pendingBytes: number;
  /** When the oldest transaction was captured that is not durable there, Unix ms. */
  readonly behindSinceMs?: number | undefined;
  readonly lastUploadAtMs?: number | undefined;
  readonly error?: ErrorRecord | undefined;
}

export interface DatabaseStatus {
  readonly path: string;
  readonly metaDir: string;
  readonly phase: CapturePhase | "stopped";
  /** The last transaction captured into a durable local file. */
  readonly txid: Txid;
  readonly error?: ErrorRecord | undefined;
  readonly destinations: readonly DestinationStatus[];
}

export interface ReplicatorStatus {
  readonly pid: number;
  readonly version: string;
  readonly startedAtMs: number;
  readonly databases: readonly DatabaseStatus[];
}

/** How one database ended. */
export interface DatabaseResult {
  readonly path: string;
  /** The last transaction captured. */
  readonly txid: Txid;
  /** Everything committed before the end is in every destination. */
  readonly durable: boolean;
  readonly destinations: readonly { readonly name: string; readonly durableTxid: Txid }[];
  /** Why it is not durable. */
  readonly error?: ErrorRecord | undefined;
}

export interface CloseResult {
  readonly durable: boolean;
  readonly databases: readonly DatabaseResult[];
}

export const DEFAULT_CLOSE_TIMEOUT_MS = 30_000;
