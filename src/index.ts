/**
 * The library. Everything exported here is public; everything else may change.
 *
 *   await using replication = await replicate("shop.db", { to: "file:///backup/shop" });
 *   await replication.durable();
 *   await restore({ from: "file:///backup/shop", to: "copy.db" });
 */
export type { Txid } from "./base/ids.ts";
export { formatTxid, parseTxid } from "./base/ids.ts";
export { ERROR_KINDS, isMillraceError, MillraceError } from "./errors.ts";
export type { ErrorCode, ErrorRecord, Retry } from "./errors.ts";
export { replicate, type Replication, type ReplicateOptions } from "./daemon/replication.ts";
export type {
  CapturePhase,
  DatabaseResult,
  DatabaseStatus,
  DestinationLocation,
  DestinationStatus,
  ReplicationEvent,
  ShipState,
} from "./daemon/contract.ts";
export { restore, type RestoreOptions } from "./daemon/restore-from.ts";
export type { IntegrityCheck } from "./restore/integrity.ts";
export type { RestoreProgress } from "./restore/progress.ts";
export type { LegacyRestoreResult, LtxRestoreResult, RestoreResult } from "./restore/restore.ts";
export type { LegacyPlan } from "./restore/legacy/plan.ts";
export type { RestorePlan } from "./restore/plan.ts";
export type { RestoreProof } from "./restore/open-output.ts";
export type { ReplicaLocation } from "./storage/replica-url/target.ts";
export type { ReplicaSettings } from "./storage/replica-url/settings.ts";
export type { LtxFileInfo } from "./storage/ltx-store.ts";
