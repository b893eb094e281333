/**
 * Which backup of a replica is restored where there may be two: LTX files, and below `generations/` what Litestream 0.3
 * left there. The choice is pure, over the listings.
 *
 * Source: benbjohnson/litestream@63225f1 `Replica.shouldUseV3Restore`. One difference: any file that begins at TXID 1 counts as a
 * snapshot of the LTX line, as the format defines it, not only those of level 9. After an upgrade the first of these
 * is days older than the first of level 9, and a time in between would get the old backup's state.
 */
import { MillraceError } from "../errors.ts";
import type { LtxFileInfo, LtxStore } from "../storage/ltx-store.ts";
import { listLegacy, LEGACY_FORMAT, type LegacyListing } from "./legacy/names.ts";
import {
  bestSnapshot,
  newestOf,
  planLegacy,
  type LegacyPlan,
  type LegacyTarget,
} from "./legacy/plan.ts";
import { listLtxFiles, planOptions, type PlanOptions } from "./listing.ts";
import { describeTarget, planFiles, type RestorePlan, type RestoreTarget } from "./plan.ts";
import { retryPassing } from "./retry.ts";

/** What a restore reads, by the format of the backup. */
export type BackupPlan = { readonly format: "ltx"; readonly plan: RestorePlan } | LegacyBackup;

export interface LegacyBackup {
  readonly format: typeof LEGACY_FORMAT;
  readonly plan: LegacyPlan;
  readonly target: LegacyTarget;
}

export type BackupFormat = BackupPlan["format"];

/**
 * Plans a restore of whichever backup is to be taken. Rejects as `planFiles` and `planLegacy` do; a TXID is
 * looked for among LTX files only.
 */
export async function planBackup(
  store: LtxStore,
  target: RestoreTarget = "latest",
  options: PlanOptions = {},
): Promise<BackupPlan> {
  const legacy = (): Promise<LegacyListing> =>
    retryPassing(planOptions(options), () => listLegacy(store.store, options));
  if (target !== "latest" && "txid" in target) {
    const files = await listLtxFiles(store, target, options);
    if (files.length === 0) refuseTxid(await legacy(), target);
    return { format: "ltx", plan: planFiles(files, target) };
  }
  const [files, listing] = await Promise.all([listLtxFiles(store, target, options), legacy()]);
  return chooseFormat(files, listing, target) === "ltx"
    ? { format: "ltx", plan: planFiles(files, target) }
    : { format: LEGACY_FORMAT, plan: planLegacy(listing, target), target };
}

/**
 * Which of the two is restored: the only one there is; for the latest state the one with the newest object; for a time
 * the one with the newer snapshot before it. In doubt LTX, because it can be proven.
 */
export function chooseFormat(
  files: readonly LtxFileInfo[],
  legacy: LegacyListing,
  target: LegacyTarget,
): BackupFormat {
  const objects = [...legacy.snapshots, ...legacy.segments];
  if (objects.length === 0) return "ltx";
  if (files.length === 0) return LEGACY_FORMAT;
  if (target === "latest") {
    return newestOf(objects) > newestFile(files) ? LEGACY_FORMAT : "ltx";
  }
  const snapshot = bestSnapshot(legacy, target);
  if (snapshot === undefined) return "ltx";
  const bases = files.filter(
    (file) => file.minTxid === 1n && file.createdAtMs < target.timestampMs,
  );
  return snapshot.createdAtMs > newestFile(bases) ? LEGACY_FORMAT : "ltx";
}

function newestFile(files: readonly LtxFileInfo[]): number {
  return files.reduce(
    (newest, { createdAtMs }) => Math.max(newest, createdAtMs),
    Number.NEGATIVE_INFINITY,
  );
}

/** Not `restore/no-backup`: there is one, it only has no such thing as a TXID. */
function refuseTxid(listing: LegacyListing, target: RestoreTarget): void {
  if (listing.snapshots.length + listing.segments.length === 0) return;
  throw new MillraceError(
    "restore/not-available",
    `plan a restore of ${describeTarget(target)}: the replica holds a Litestream 0.3 backup only, which has no TXIDs`,
    { op: "restore plan", hint: "restore the latest state, or one by -timestamp" },
  );
}
