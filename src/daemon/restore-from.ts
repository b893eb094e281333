/** Restoring for the library: from a URL, without a store to open and close. */
import type { Txid } from "../base/ids.ts";
import { MillraceError } from "../errors.ts";
import type { IntegrityCheck } from "../restore/integrity.ts";
import type { RestoreTarget } from "../restore/plan.ts";
import type { RestoreProgress } from "../restore/progress.ts";
import { restoreDatabase, type RestoreResult } from "../restore/restore.ts";
import { openReplica } from "../storage/registry.ts";
import { toLocation } from "../storage/replica-url/replica-url.ts";
import type { ReplicaLocation } from "../storage/replica-url/target.ts";

export interface RestoreOptions {
  /** Replica URL. */
  readonly from: string | ReplicaLocation;
  /** Path of the database file to be. */
  readonly to: string;
  /** Exactly the state after this transaction. Not together with `timestamp`. */
  readonly txid?: bigint | undefined;
  /** The last state strictly before this time. */
  readonly timestamp?: Date | undefined;
  /** Replace an existing database, once the new one is proven. */
  readonly force?: boolean | undefined;
  /** SQLite's own check, before the new file takes its place. Default `none`. */
  readonly integrityCheck?: IntegrityCheck | undefined;
  /** Decoding threads, 1 to 64. */
  readonly parallelism?: number | undefined;
  readonly signal?: AbortSignal | undefined;
  readonly onProgress?: ((progress: RestoreProgress) => void) | undefined;
}

/**
 * Restores a database. Resolves once it is proven and durable at `to`; on any failure `to` is as it was. Rejects with
 * `restore/*`, `ltx/*`, `storage/*`, `fs/*`, `url/*` or the signal's reason.
 */
export async function restore(options: RestoreOptions): Promise<RestoreResult> {
  const { from, to, txid, timestamp, ...rest } = options;
  const target = toTarget(txid, timestamp);
  await using store = await openReplica(toLocation(from));
  return await restoreDatabase({ ...rest, store, output: to, target });
}

function toTarget(txid: bigint | undefined, timestamp: Date | undefined): RestoreTarget {
  if (txid === undefined)
    return timestamp === undefined ? "latest" : { timestampMs: timestamp.getTime() };
  if (timestamp === undefined) return { txid: txid as Txid };
  throw new MillraceError("usage/invalid", "restore: txid and timestamp exclude each other", {
    op: "restore",
  });
}
