/**
 * Which LTX files make the database as of a TXID, a time, or now: pure, over listings alone.
 *
 * A plan is a chain: the first file begins at TXID 1, each further one begins at or before the TXID after
 * the last and ends beyond it. A chain from the newest eligible base reaches whatever any chain reaches,
 * because the file that covers the next TXID in the other chain continues this one as well. Of files that
 * end alike the smallest is taken: they all leave the same pages.
 *
 * A plan never stops short in silence: a file that the target includes but the chain cannot reach is an
 * error that names the hole.
 * Source: litestream `CalcRestorePlan`, corrected for times and holes.
 */
import { formatTxid, NO_TXID, nextTxid, toTxid, type Txid } from "../base/ids.ts";
import { MillraceError } from "../errors.ts";
import type { LtxFileInfo } from "../storage/ltx-store.ts";

/** The newest state, exactly the state after a TXID, or the newest state strictly before a time (Unix ms). */
export type RestoreTarget = "latest" | { readonly txid: Txid } | { readonly timestampMs: number };

export interface RestorePlan {
  /** Oldest first; the first begins at TXID 1. */
  readonly files: readonly LtxFileInfo[];
  /** The TXID that the plan reaches: the last file's `maxTxid`. */
  readonly txid: Txid;
  /** When the last file was made. Unix ms. */
  readonly timestampMs: number;
  /** Bytes of all files together. */
  readonly sizeBytes: number;
}

/** No file can be smaller than the header of the format. */
const LTX_HEADER_BYTES = 100;
/** Files named in one message. */
const NAMED_FILES_MAX = 5;
const SNAPSHOT_LEVEL = 9;
const OP = "restore plan";

/** `level 0 file 0000000000000001-0000000000000001.ltx`. */
export function describeFile(file: Pick<LtxFileInfo, "level" | "minTxid" | "maxTxid">): string {
  return `level ${file.level} file ${formatTxid(file.minTxid)}-${formatTxid(file.maxTxid)}.ltx`;
}

/** `latest`, `TXID 000000000000000a` or an ISO time, for messages. */
export function describeTarget(target: RestoreTarget): string {
  if (target === "latest") return "latest";
  return "txid" in target ? `TXID ${formatTxid(target.txid)}` : formatTime(target.timestampMs);
}

function formatTime(timeMs: number): string {
  return Math.abs(timeMs) <= 8.64e15 ? new Date(timeMs).toISOString() : `${timeMs} ms`;
}

/**
 * Plans a restore from the listings of all levels, in any order. Throws `restore/no-backup`,
 * `restore/not-available` (with the nearest restorable TXIDs in `details`), `restore/gap` (with the hole),
 * `ltx/truncated` (the target needs a file that is smaller than an LTX header) or `usage/invalid`.
 */
export function planFiles(files: readonly LtxFileInfo[], target: RestoreTarget): RestorePlan {
  checkTarget(target);
  const usable = files.filter((file) => file.minTxid > 0n && file.minTxid <= file.maxTxid);
  if (usable.length === 0) {
    throw new MillraceError("restore/no-backup", "plan a restore: the replica holds no LTX file", {
      op: OP,
      details: { files: 0 },
      hint: "check the replica URL, and that something was replicated to it",
    });
  }
  const eligible = usable.filter((file) => isEligible(file, target));
  const chain = longestChain(eligible);
  const failure = judge(usable, eligible, chain, target);
  if (failure !== undefined) throw failure;
  const stunted = chain.filter((file) => file.sizeBytes < LTX_HEADER_BYTES);
  if (stunted.length === 0) return toPlan(chain);
  return planWithout(eligible, chain, stunted);
}

/**
 * Every TXID that the files can restore exactly, ascending.
 * Ends of files count, not the TXIDs inside a compacted range.
 */
export function restorableTxids(files: readonly LtxFileInfo[]): Txid[] {
  const byEnd = files.toSorted(
    (a, b) => compareTxids(a.maxTxid, b.maxTxid) || compareTxids(a.minTxid, b.minTxid),
  );
  const reached: Txid[] = [];
  for (const file of byEnd) {
    if (reached.at(-1) === file.maxTxid) continue;
    const before = reached.at(-1) ?? NO_TXID;
    if (file.minTxid <= before + 1n) reached.push(file.maxTxid);
  }
  return reached;
}

function checkTarget(target: RestoreTarget): void {
  if (target === "latest") return;
  if ("txid" in target ? target.txid > 0n : Number.isFinite(target.timestampMs)) return;
  throw new MillraceError(
    "usage/invalid",
    `plan a restore: "${describeTarget(target)}" is no restore target`,
    {
      op: OP,
    },
  );
}

function isEligible(file: LtxFileInfo, target: RestoreTarget): boolean {
  if (target === "latest") return true;
  return "txid" in target ? file.maxTxid <= target.txid : file.createdAtMs < target.timestampMs;
}

function compareTxids(a: Txid, b: Txid): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

/** Whether `a` is the better continuation of a chain. */
function isBetter(a: LtxFileInfo, b: LtxFileInfo | undefined): boolean {
  if (b === undefined) return true;
  if (a.maxTxid !== b.maxTxid) return a.maxTxid > b.maxTxid;
  if (a.sizeBytes !== b.sizeBytes) return a.sizeBytes < b.sizeBytes;
  if (a.level !== b.level) return a.level > b.level;
  if (a.minTxid !== b.minTxid) return a.minTxid > b.minTxid;
  return a.createdAtMs < b.createdAtMs;
}

/** The newest snapshot, then greedily whatever reaches furthest; empty when nothing begins at TXID 1. */
function longestChain(files: readonly LtxFileInfo[]): LtxFileInfo[] {
  let base: LtxFileInfo | undefined;
  for (const file of files) {
    if (file.level === SNAPSHOT_LEVEL && file.minTxid === 1n && isBetter(file, base)) base = file;
  }
  const byStart = files.toSorted((a, b) => compareTxids(a.minTxid, b.minTxid));
  const chain: LtxFileInfo[] = base === undefined ? [] : [base];
  let reached: Txid = base?.maxTxid ?? NO_TXID;
  let best: LtxFileInfo | undefined;
  let next = 0;
  for (;;) {
    for (; next < byStart.length; next += 1) {
      const file = byStart[next];
      if (file === undefined || file.minTxid > reached + 1n) break;
      if (file.maxTxid > reached && isBetter(file, best)) best = file;
    }
    if (best === undefined || best.maxTxid <= reached) return chain;
    // A file from TXID 1 on holds every page: what was chosen before it adds nothing.
    if (best.minTxid === 1n) chain.length = 0;
    chain.push(best);
    reached = best.maxTxid;
    best = undefined;
  }
}

function toPlan(chain: readonly LtxFileInfo[]): RestorePlan {
  const last = chain.at(-1);
  if (last === undefined)
    throw new MillraceError("internal/bug", "assertion failed: a plan has a file");
  return {
    files: chain,
    txid: last.maxTxid,
    timestampMs: last.createdAtMs,
    sizeBytes: chain.reduce((sum, file) => sum + file.sizeBytes, 0),
  };
}

/** Another chain to the same TXID around files that cannot be LTX files, or an error that names them. */
function planWithout(
  eligible: readonly LtxFileInfo[],
  chain: readonly LtxFileInfo[],
  stunted: readonly LtxFileInfo[],
): RestorePlan {
  const other = longestChain(eligible.filter((file) => file.sizeBytes >= LTX_HEADER_BYTES));
  if (other.at(-1)?.maxTxid === chain.at(-1)?.maxTxid) return toPlan(other);
  const named = stunted
    .slice(0, NAMED_FILES_MAX)
    .map((file) => `${describeFile(file)} (${file.sizeBytes} bytes)`);
  if (stunted.length > named.length) named.push(`${stunted.length - named.length} more`);
  throw new MillraceError(
    "ltx/truncated",
    `plan a restore: smaller than an LTX header of ${LTX_HEADER_BYTES} bytes: ${named.join(", ")}`,
    {
      op: OP,
      details: { files: stunted.map(describeFile), nearestBelow: hex(other.at(-1)?.maxTxid) },
      hint: `an upload was cut short or the files were damaged; ${offer(other.at(-1)?.maxTxid, undefined)}`,
    },
  );
}

/** Why the chain is not the answer to the target, if it is not. */
function judge(
  usable: readonly LtxFileInfo[],
  eligible: readonly LtxFileInfo[],
  chain: readonly LtxFileInfo[],
  target: RestoreTarget,
): MillraceError | undefined {
  const last = chain.at(-1);
  const reached = last?.maxTxid ?? NO_TXID;
  const wanted = target !== "latest" && "txid" in target ? target.txid : undefined;
  if (wanted !== undefined) {
    if (reached === wanted) return undefined;
  } else if (last !== undefined && !eligible.some((file) => file.maxTxid > reached)) {
    return undefined;
  }
  const points = restorableTxids(usable);
  if (points.length === 0) return noBase(usable);
  const bridge = earliest(
    usable.filter((file) => file.minTxid <= reached + 1n && file.maxTxid > reached),
  );
  const beyond = usable.filter((file) => file.maxTxid > reached);
  const isPastEnd =
    wanted === undefined ? beyond.length === 0 : !usable.some((file) => file.maxTxid >= wanted);
  if (bridge !== undefined || isPastEnd) return notAvailable({ target, last, bridge, points });
  return gap({ target, last, beyond, points });
}

function noBase(usable: readonly LtxFileInfo[]): MillraceError {
  const first = usable.reduce((a, b) => (b.minTxid < a.minTxid ? b : a));
  return new MillraceError(
    "restore/no-backup",
    `plan a restore: no file begins at TXID 1, the first is ${describeFile(first)}`,
    {
      op: OP,
      details: { files: usable.length, first: describeFile(first) },
      hint: "the snapshot is missing; a new snapshot makes the replica restorable from then on",
    },
  );
}

function earliest(files: readonly LtxFileInfo[]): LtxFileInfo | undefined {
  return files.reduce<LtxFileInfo | undefined>(
    (first, file) => (first === undefined || file.createdAtMs < first.createdAtMs ? file : first),
    undefined,
  );
}

/** The target lies before, after, or inside a range that only exists compacted into one file. */
function notAvailable(facts: {
  readonly target: RestoreTarget;
  readonly last: LtxFileInfo | undefined;
  readonly bridge: LtxFileInfo | undefined;
  readonly points: readonly Txid[];
}): MillraceError {
  const { target, last, bridge, points } = facts;
  const isTime = target !== "latest" && "timestampMs" in target;
  const from =
    target !== "latest" && "txid" in target ? target.txid : nextTxid(last?.maxTxid ?? NO_TXID);
  const below = isTime ? last?.maxTxid : points.findLast((point) => point < from);
  const above = points.find((point) => point >= from);
  const why =
    bridge === undefined
      ? `the newest restorable TXID is ${formatTxid(points.at(-1) ?? NO_TXID)}`
      : isTime
        ? `changes up to then exist only inside ${describeFile(bridge)} of ${formatTime(bridge.createdAtMs)}`
        : `it exists only inside ${describeFile(bridge)}`;
  return new MillraceError(
    "restore/not-available",
    `plan a restore of ${describeTarget(target)}: ${why}`,
    {
      op: OP,
      details: {
        nearestBelow: hex(below),
        nearestAbove: hex(above),
        ...(isTime
          ? { nearestBelowMs: last?.createdAtMs, nearestAboveMs: bridge?.createdAtMs }
          : {}),
      },
      hint: offer(below, above),
    },
  );
}

/** A file between two others is missing. */
function gap(facts: {
  readonly target: RestoreTarget;
  readonly last: LtxFileInfo | undefined;
  readonly beyond: readonly LtxFileInfo[];
  readonly points: readonly Txid[];
}): MillraceError {
  const { target, last, beyond, points } = facts;
  const reached = last?.maxTxid ?? NO_TXID;
  const after = beyond.reduce((a, b) => (b.minTxid < a.minTxid ? b : a));
  const from = nextTxid(reached);
  const to = toTxid(after.minTxid - 1n);
  const range =
    from === to
      ? `TXID ${formatTxid(from)} is`
      : `TXIDs ${formatTxid(from)} to ${formatTxid(to)} are`;
  const before = last === undefined ? "the beginning" : describeFile(last);
  const below = points.findLast((point) => point <= reached);
  const above = points.find((point) => point > reached);
  return new MillraceError(
    "restore/gap",
    `plan a restore of ${describeTarget(target)}: ${range} missing between ${before} and ${describeFile(after)}`,
    {
      op: OP,
      details: {
        missingFrom: hex(from),
        missingTo: hex(to),
        before: last === undefined ? undefined : describeFile(last),
        after: describeFile(after),
        nearestBelow: hex(below),
        nearestAbove: hex(above),
      },
      hint: `a file was lost or deleted; ${offer(below, above)}`,
    },
  );
}

function hex(txid: Txid | undefined): string | undefined {
  return txid === undefined ? undefined : formatTxid(txid);
}

function offer(below: Txid | undefined, above: Txid | undefined): string {
  const points = [below, above].filter((point) => point !== undefined).map(formatTxid);
  return points.length === 0
    ? "no TXID can be restored"
    : `restorable by -txid: ${points.join(" and ")}`;
}
