/**
 * Which objects of a Litestream 0.3 backup make the database as of a time, or now: pure, over a listing alone.
 *
 * A plan is the newest eligible snapshot of all generations and every eligible segment of its generation from its index
 * on. Indexes must follow each other and each must begin at byte 0; whether the segments of one index connect shows
 * only when they are decompressed. Nothing that the target includes is passed over in silence, except other generations
 * that can be restored on their own: those the plan names.
 * Source: benbjohnson/litestream@63225f1 `Replica.RestoreV3`, which passes over more.
 */
import { MillraceError } from "../../errors.ts";
import { describeTarget, type RestoreTarget } from "../plan.ts";
import {
  describeLegacy,
  formatIndex,
  type LegacyListing,
  type LegacyObject,
  type LegacySegment,
  type LegacySnapshot,
} from "./names.ts";

/** What a backup without TXIDs can be restored to: now, or the last state at or before a time (Unix ms). */
export type LegacyTarget = Exclude<RestoreTarget, { readonly txid: unknown }>;

/** A generation with newer changes than the one that was chosen: somebody else's, or of a clock that was wrong. */
export interface PassedOver {
  readonly generation: string;
  /** Of its newest object. Unix ms. */
  readonly newestMs: number;
}

export interface LegacyPlan {
  readonly generation: string;
  readonly snapshot: LegacySnapshot;
  /** In order; none when nothing followed the snapshot. */
  readonly segments: readonly LegacySegment[];
  /** When the newest object of the plan was stored. Unix ms. */
  readonly timestampMs: number;
  /** Bytes of all objects together, compressed. */
  readonly sizeBytes: number;
  readonly passedOver: readonly PassedOver[];
}

const OP = "restore plan";

/** Throws `restore/no-backup`, `restore/not-available` or `restore/gap`. */
export function planLegacy(listing: LegacyListing, target: LegacyTarget): LegacyPlan {
  if (listing.snapshots.length + listing.segments.length === 0) {
    throw new MillraceError(
      "restore/no-backup",
      "plan a restore: the replica holds no Litestream 0.3 backup",
      { op: OP },
    );
  }
  const eligible = {
    snapshots: listing.snapshots.filter((object) => isIncluded(object, target)),
    segments: listing.segments.filter((object) => isIncluded(object, target)),
  };
  const snapshot = newestSnapshot(eligible.snapshots);
  if (snapshot === undefined) throw noSnapshot(listing, eligible, target);
  const { generation } = snapshot;
  const segments = eligible.segments.filter(
    (segment) => segment.generation === generation && segment.index >= snapshot.index,
  );
  requireOrder(snapshot, segments, target);
  const objects: LegacyObject[] = [snapshot, ...segments];
  const timestampMs = newestOf(objects);
  const passedOver = newerGenerations(eligible, generation, timestampMs);
  const lost = passedOver.find(
    (other) => !eligible.snapshots.some((object) => object.generation === other.generation),
  );
  if (lost !== undefined) throw lostGeneration(lost, { target, timestampMs });
  return {
    generation,
    snapshot,
    segments,
    timestampMs,
    sizeBytes: objects.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0),
    passedOver,
  };
}

/** Whether a target includes an object. Unlike LTX files, one of exactly the time is included, as in Litestream. */
function isIncluded(object: LegacyObject, target: LegacyTarget): boolean {
  return target === "latest" || object.createdAtMs <= target.timestampMs;
}

/** The newest snapshot that the target includes. */
export function bestSnapshot(
  listing: LegacyListing,
  target: LegacyTarget,
): LegacySnapshot | undefined {
  return newestSnapshot(listing.snapshots.filter((object) => isIncluded(object, target)));
}

function newestSnapshot(snapshots: readonly LegacySnapshot[]): LegacySnapshot | undefined {
  let best: LegacySnapshot | undefined;
  for (const snapshot of snapshots) {
    const isNewer =
      best === undefined ||
      snapshot.createdAtMs > best.createdAtMs ||
      (snapshot.createdAtMs === best.createdAtMs &&
        snapshot.generation === best.generation &&
        snapshot.index > best.index);
    if (isNewer) best = snapshot;
  }
  return best;
}

export function newestOf(objects: readonly LegacyObject[]): number {
  return objects.reduce(
    (newest, { createdAtMs }) => Math.max(newest, createdAtMs),
    Number.NEGATIVE_INFINITY,
  );
}

/** Indexes follow each other from the snapshot's on, each from byte 0, and no two segments claim one offset. */
function requireOrder(
  snapshot: LegacySnapshot,
  segments: readonly LegacySegment[],
  target: LegacyTarget,
): void {
  let before: LegacyObject = snapshot;
  let previous: LegacySegment | undefined;
  for (const segment of segments) {
    const index = previous === undefined ? snapshot.index : previous.index + 1;
    if (previous !== undefined && segment.index === previous.index) {
      if (segment.offset === previous.offset) throw twice(previous, segment);
    } else if (segment.index !== index) {
      const missing = `all of WAL ${formatIndex(index)} is missing`;
      throw legacyGap({ target, missing, before, after: segment });
    } else if (segment.offset !== 0) {
      const missing = `the first ${segment.offset} bytes of WAL ${formatIndex(index)} are missing`;
      throw legacyGap({ target, missing, before, after: segment });
    }
    before = segment;
    previous = segment;
  }
}

/** The error for a hole between two objects of a plan: what to restore instead is in the hint. */
export function legacyGap(hole: {
  readonly target: LegacyTarget;
  readonly missing: string;
  readonly before: LegacySnapshot | LegacySegment;
  readonly after: LegacySegment;
}): MillraceError {
  const { target, missing, before, after } = hole;
  const isUntimely = after.createdAtMs < before.createdAtMs && "offset" in before;
  const cause = isUntimely
    ? "the objects' times are out of order, as after a copy that did not keep them; restore the latest state, or copy the replica with its times"
    : `an object was lost or deleted; restorable: -timestamp ${formatTime(before.createdAtMs)}`;
  return new MillraceError(
    "restore/gap",
    `plan a restore of ${describeTarget(target)}: ${missing} between ${describeLegacy(before)} and ${describeLegacy(after)}`,
    { op: OP, details: { before: before.key, after: after.key }, hint: cause },
  );
}

function twice(a: LegacySegment, b: LegacySegment): MillraceError {
  return new MillraceError(
    "restore/gap",
    `plan a restore: "${a.key}" and "${b.key}" claim the same place`,
    {
      op: OP,
      details: { keys: [a.key, b.key] },
      hint: "find out which belongs to the backup, and move the other away",
    },
  );
}

function noSnapshot(
  listing: LegacyListing,
  eligible: LegacyListing,
  target: LegacyTarget,
): MillraceError {
  const first = listing.snapshots.reduce<LegacySnapshot | undefined>(
    (oldest, object) =>
      oldest === undefined || object.createdAtMs < oldest.createdAtMs ? object : oldest,
    undefined,
  );
  if (first === undefined) {
    return new MillraceError(
      "restore/gap",
      `plan a restore of ${describeTarget(target)}: ${listing.segments.length} WAL segments of Litestream 0.3, but no snapshot to begin with`,
      {
        op: OP,
        details: { segments: listing.segments.length },
        hint: "the snapshots were lost or deleted; nothing of this backup can be restored",
      },
    );
  }
  const found = eligible.segments.length === 0 ? "nothing" : "no snapshot";
  return new MillraceError(
    "restore/not-available",
    `plan a restore of ${describeTarget(target)}: ${found} was stored up to then`,
    {
      op: OP,
      details: { nearestAboveMs: first.createdAtMs },
      hint: `the first snapshot is of ${formatTime(first.createdAtMs)}`,
    },
  );
}

function newerGenerations(
  eligible: LegacyListing,
  chosen: string,
  timestampMs: number,
): PassedOver[] {
  const newest = new Map<string, number>();
  for (const object of [...eligible.snapshots, ...eligible.segments]) {
    const { generation, createdAtMs } = object;
    if (generation === chosen || createdAtMs <= timestampMs) continue;
    newest.set(generation, Math.max(createdAtMs, newest.get(generation) ?? createdAtMs));
  }
  return [...newest].map(([generation, newestMs]) => ({ generation, newestMs }));
}

/** Newer changes are there, and nothing to apply them to. */
function lostGeneration(
  lost: PassedOver,
  facts: { readonly target: LegacyTarget; readonly timestampMs: number },
): MillraceError {
  return new MillraceError(
    "restore/gap",
    `plan a restore of ${describeTarget(facts.target)}: generation ${lost.generation} has changes up to ${formatTime(lost.newestMs)}, but no snapshot to begin with`,
    {
      op: OP,
      details: { generation: lost.generation, newestMs: lost.newestMs },
      hint: `its snapshot was lost or deleted; restorable: -timestamp ${formatTime(facts.timestampMs)}`,
    },
  );
}

function formatTime(timeMs: number): string {
  return describeTarget({ timestampMs: timeMs });
}
