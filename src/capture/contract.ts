/**
 * What capture is told and what it tells: options, events and status of one database. Everything here survives
 * structured clone, because capture runs in a worker thread.
 */
import type { Txid } from "../base/ids.ts";
import type { ErrorRecord } from "../errors.ts";

export interface CaptureOptions {
  /** Absolute path of the database file. */
  readonly path: string;
  /** Absolute path of the local directory, see `meta-dir.ts`. */
  readonly metaDir: string;
  /** Least time between two captures while commits keep coming; the first commit after a pause is captured at once. */
  readonly syncIntervalMs: number;
  /** Period of the look that catches what the file system's notifications missed. */
  readonly monitorIntervalMs: number;
  /**
   * Checkpoint and restart the WAL when it holds this many pages. The default is below the 1000 at which SQLite has the
   * application checkpoint during a commit, which then waits for the disk.
   */
  readonly checkpointPages: number;
  /** Checkpoint this long after the first capture that no checkpoint followed; 0 turns it off. */
  readonly checkpointIntervalMs: number;
  /** Give the WAL's disk space back when its file holds more pages than this. */
  readonly truncatePages: number;
  /** Cut a long WAL into files of about this many WAL bytes, at commits. */
  readonly maxSyncWalBytes: number;
  readonly busyTimeoutMs: number;
  readonly pageFormat: "block" | "frame";
}

export const DEFAULT_CAPTURE: Omit<CaptureOptions, "path" | "metaDir"> = {
  syncIntervalMs: 1000,
  monitorIntervalMs: 1000,
  checkpointPages: 750,
  checkpointIntervalMs: 60_000,
  truncatePages: 121_359,
  maxSyncWalBytes: 67_108_864,
  busyTimeoutMs: 1000,
  pageFormat: "block",
};

/** `wal` and `rollback`: capturing; `missing`: no file there; `waiting`: it cannot be read just now. */
export type CapturePhase = "starting" | "wal" | "rollback" | "missing" | "waiting" | "closed";

export type CaptureEvent =
  /** A local file is durable and may be shipped. */
  | {
      readonly type: "ltx";
      readonly level: number;
      readonly minTxid: Txid;
      readonly maxTxid: Txid;
      readonly sizeBytes: number;
      readonly timestampMs: number;
      readonly pageCount: number;
    }
  /** Every page was compared (`diff`) or copied (`full`); `txid` is unchanged when nothing differed. */
  | {
      readonly type: "resync";
      readonly kind: "diff" | "full" | "boundary";
      readonly reason: string;
      readonly txid: Txid;
      readonly pagesScanned: number;
      readonly pagesWritten: number;
      readonly durationMs: number;
    }
  | {
      readonly type: "checkpoint";
      /** The WAL starts anew at the next commit. */
      readonly restarted: boolean;
      readonly truncated: boolean;
      readonly frames: number;
      readonly copiedFrames: number;
      readonly lockHeldMs: number;
    }
  | { readonly type: "phase"; readonly phase: CapturePhase; readonly reason?: string | undefined }
  /** The file under the path is another one than before. */
  | { readonly type: "replaced"; readonly reason: string }
  | { readonly type: "failing"; readonly error: ErrorRecord; readonly consecutive: number }
  | { readonly type: "recovered" };

export interface CaptureStatus {
  readonly phase: CapturePhase;
  /** The last transaction captured into a durable local file. */
  readonly txid: Txid;
  readonly pageSize: number;
  readonly commit: number;
  readonly walBytes: number;
  readonly error?: ErrorRecord | undefined;
}

/** Where the line goes on when the destination holds another one. */
export interface MoveRequest {
  /** The highest TXID in the destination. */
  readonly txid: Txid;
  /** The destination also needs a snapshot 1-N. */
  readonly snapshot: boolean;
}
