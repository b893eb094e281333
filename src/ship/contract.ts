/**
 * What shipping tells the rest of the process: events and positions, as plain data. Requests to capture (`boundary-needed`,
 * `remote-ahead`) are told once each; `Shipper.position().need` repeats the open one.
 */
import type { Txid } from "../base/ids.ts";
import type { MillraceError } from "../errors.ts";
import type { Need, NeedReason } from "./reconcile.ts";

/** From one destination. */
export type ShipEvent =
  /** The one listing at start is done. */
  | {
      readonly type: "reconciled";
      /** Restorable in the destination without a gap. */
      readonly headTxid: Txid;
      /** The newest TXID of any file in the destination. */
      readonly remoteMaxTxid: Txid;
      /** Up to here the destination was found to agree with the local line; 0 when nothing could be compared. */
      readonly provenTxid: Txid;
    }
  | {
      readonly type: "uploaded";
      readonly level: number;
      readonly minTxid: Txid;
      readonly maxTxid: Txid;
      readonly sizeBytes: number;
      readonly durationMs: number;
      /** The file was there already: an earlier upload whose answer was lost. */
      readonly repeated: boolean;
    }
  /** Everything the local line held up to `txid` can be restored from the destination. */
  | { readonly type: "durable"; readonly txid: Txid }
  | {
      readonly type: "failing";
      readonly error: MillraceError;
      readonly consecutiveErrors: number;
      readonly backoffMs: number;
    }
  | { readonly type: "recovered"; readonly consecutiveErrors: number; readonly downMs: number }
  /** Another writer owns the destination. Shipping has stopped until the next start. */
  | { readonly type: "conflict"; readonly error: MillraceError }
  /** A defect of ours showed. Shipping has stopped until the next start. */
  | { readonly type: "stopped"; readonly error: MillraceError }
  /** A local file that still had to be uploaded is gone or damaged. */
  | {
      readonly type: "local-missing";
      readonly level: number;
      readonly minTxid: Txid;
      readonly maxTxid: Txid;
      readonly error: MillraceError;
    }
  /** Capture should make a level 9 snapshot `1-N` of its present position N, which is at least `minTxid`. */
  | { readonly type: "boundary-needed"; readonly reason: NeedReason; readonly minTxid: Txid }
  /**
   * The destination holds TXIDs that the local line has not reached, or reached otherwise. Capture should
   * go on after the higher of `remoteMaxTxid` and its own TXID with a file that holds every page, and add
   * a level 9 snapshot when `snapshotNeeded` or when its own TXID was the higher one. Files that it made
   * before it heard are passed over.
   */
  | {
      readonly type: "remote-ahead";
      readonly remoteMaxTxid: Txid;
      readonly localMaxTxid: Txid;
      readonly snapshotNeeded: boolean;
    };

/** From the local queue, which all destinations share. */
export type LineEvent =
  /** Every live destination has everything up to `txid`: capture may delete those files, but should keep the newest. */
  | { readonly type: "released"; readonly txid: Txid }
  | {
      readonly type: "queue-compacted";
      readonly minTxid: Txid;
      readonly maxTxid: Txid;
      readonly countFiles: number;
      readonly beforeBytes: number;
      readonly afterBytes: number;
    }
  /** The queue exceeds its bound and cannot be merged further for now. Nothing is dropped. */
  | {
      readonly type: "queue-over-bound";
      readonly countFiles: number;
      readonly sizeBytes: number;
      readonly maxBytes: number;
    };

export type ShipState =
  /** The destination was not looked at yet. */
  | "starting"
  | "shipping"
  /** The last attempt failed; it is repeated. */
  | "failing"
  /** Waits for a file that capture was asked for. */
  | "waiting"
  /** Another process has the lease; this one waits. */
  | "standby"
  /** Another writer owns the destination, or a defect of ours showed: stopped until the next start. */
  | "stopped";

export interface ShipPosition {
  readonly name: string;
  readonly state: ShipState;
  /** Everything up to here can be restored from the destination; 0 while nothing is known to be. */
  readonly durableTxid: Txid;
  /** Level 0 files not yet uploaded. */
  readonly pendingFiles: number;
  readonly pendingBytes: number;
  /** Wall clock, Unix ms. */
  readonly lastUploadAtMs: number | undefined;
  /** Why nothing moves, when `failing`, `standby` or `stopped`. */
  readonly error: MillraceError | undefined;
  /** What capture has to provide, when `waiting`. */
  readonly need: Need | undefined;
}
