/**
 * What to upload next, decided from two facts: which LTX files the local line has and which the
 * destination has. Pure: every case is a line of a table test.
 *
 * The rule that keeps a destination from ever forking: a file is uploaded only when it continues
 * what the destination holds, or when it stands alone (a level 9 snapshot, or a level 0 file that
 * holds every page) and lies past everything the destination holds. Whenever neither is at hand,
 * shipping waits for capture to make one, and says so.
 *
 * Source: litestream `Replica.syncOnce`, `CalcRestorePlan`, for what other readers and writers expect.
 */
import { nextTxid, toTxid, NO_CHECKSUM, NO_TXID, type Checksum, type Txid } from "../base/ids.ts";
import type { LtxFileId } from "../storage/ltx-store.ts";
import {
  compareSpans,
  coverage,
  firstReaching,
  largerTxid,
  restorableHead,
  sameSpan,
  type Coverage,
  type LocalFile,
  type RemoteFile,
} from "./span.ts";

/** What the database held at a TXID. */
export interface Anchor {
  readonly txid: Txid;
  /** Rolling database checksum. */
  readonly checksum: Checksum;
}

/** The local line as it is known now. */
export interface LocalView {
  /** The newest TXID capture has given out; 0 for none. */
  readonly positionTxid: Txid;
  /** A state that capture vouches for. */
  readonly anchor: Anchor | undefined;
  /** Level 0, ordered by span, none contained in another. */
  readonly files: readonly LocalFile[];
  /** Level 9, ordered by `maxTxid`. */
  readonly snapshots: readonly LocalFile[];
}

/** What one listing of every level says. */
export interface RemoteView {
  readonly covered: Coverage;
  readonly maxTxid: Txid;
  /** The newest TXID at level 0, which is what other implementations resume from. */
  readonly level0MaxTxid: Txid;
}

export type NeedReason =
  | "remote-empty"
  | "remote-hole"
  | "remote-ahead"
  | "diverged"
  | "local-missing"
  | "page-size-changed";

/** Shipping cannot go on without a file that stands alone. */
export interface Need {
  readonly reason: NeedReason;
  /** A level 9 snapshot `1-N` with N at least this satisfies the need. */
  readonly minTxid: Txid;
  /** So does a level 0 file that begins here and holds every page; `undefined` when only a snapshot does. */
  readonly wholeFileTxid: Txid | undefined;
}

/** What the destination is known to hold. */
export interface RemoteState {
  /** Restorable without a gap up to here. */
  readonly headTxid: Txid;
  /** Stretches past a hole behind `headTxid`. */
  readonly beyond: Coverage;
  readonly level0MaxTxid: Txid;
  /** Up to here the destination's content is known to be of the local line; 0 when nothing is. */
  readonly provenTxid: Txid;
  /** Set when the line may not simply be continued. */
  readonly need: Need | undefined;
}

export type WorkAction =
  /** Upload; it continues the line. */
  | { readonly kind: "continue"; readonly file: LocalFile }
  /** Upload; it stands alone and takes the line up. */
  | { readonly kind: "rebase"; readonly file: LocalFile }
  /** Find out whether the file holds every page; if it does, it is a `rebase`. */
  | { readonly kind: "probe"; readonly file: LocalFile; readonly need: Need };

export type Action =
  | WorkAction
  | { readonly kind: "idle" }
  | { readonly kind: "wait"; readonly need: Need };

export function viewRemote(files: readonly RemoteFile[]): RemoteView {
  let maxTxid = NO_TXID;
  let level0MaxTxid = NO_TXID;
  for (const file of files) {
    maxTxid = largerTxid(maxTxid, file.maxTxid);
    if (file.level === 0) level0MaxTxid = largerTxid(level0MaxTxid, file.maxTxid);
  }
  return { covered: coverage(files), maxTxid, level0MaxTxid };
}

/** A remote file and what the local side knows of the state it leads to. */
export interface Evidence {
  readonly remote: RemoteFile;
  /** The local file that ends at the same TXID. */
  readonly local: LocalFile | undefined;
  /** The rolling checksum that the local side has for that TXID; 0 when unknown. */
  readonly checksum: Checksum;
}

/** The newest TXID that both sides can testify about; without one, the newest remote file alone. */
export function chooseEvidence(
  local: LocalView,
  files: readonly RemoteFile[],
): Evidence | undefined {
  const byMax = new Map<Txid, LocalFile[]>();
  for (const file of [...local.files, ...local.snapshots]) {
    byMax.set(file.maxTxid, [...(byMax.get(file.maxTxid) ?? []), file]);
  }
  const newestFirst = [...files].sort((a, b) =>
    a.maxTxid === b.maxTxid
      ? a.level - b.level || compareSpans(b, a)
      : a.maxTxid > b.maxTxid
        ? -1
        : 1,
  );
  for (const remote of newestFirst) {
    const candidates = byMax.get(remote.maxTxid) ?? [];
    const twin = candidates.find((file) => sameFile(file, remote));
    const checksum = remote.maxTxid === local.anchor?.txid ? local.anchor.checksum : NO_CHECKSUM;
    if (twin !== undefined || candidates[0] !== undefined || checksum !== NO_CHECKSUM) {
      return { remote, local: twin ?? candidates[0], checksum };
    }
  }
  const newest = newestFirst[0];
  return newest && { remote: newest, local: undefined, checksum: NO_CHECKSUM };
}

export function sameFile(a: LtxFileId, b: LtxFileId): boolean {
  return a.level === b.level && sameSpan(a, b);
}

/** The state to start shipping from. `provenTxid` is where both sides were found to agree, or 0. */
export function reconcile(input: {
  readonly local: LocalView;
  readonly remote: RemoteView;
  readonly provenTxid: Txid;
  /** Both sides have a state for one TXID, and the two differ. */
  readonly diverged: boolean;
}): RemoteState {
  const { local, remote, provenTxid, diverged } = input;
  const headTxid = restorableHead(remote.covered);
  const minTxid = nextTxid(remote.maxTxid);
  const state = {
    headTxid,
    beyond: headTxid === NO_TXID ? remote.covered : remote.covered.slice(1),
    level0MaxTxid: remote.level0MaxTxid,
    provenTxid,
  };
  const reason =
    remote.maxTxid > local.positionTxid ? "remote-ahead" : diverged ? "diverged" : undefined;
  if (reason === undefined) return { ...state, need: undefined };
  const wholeFileTxid = headTxid === remote.maxTxid ? minTxid : undefined;
  return { ...state, need: { reason, minTxid, wholeFileTxid } };
}

/** The next thing to do. Files that the destination covers, or never will need, are passed over. */
export function nextAction(state: RemoteState, local: LocalView): Action {
  return state.need === undefined ? onLine(state, local) : offLine(state.need, local);
}

function offLine(need: Need, local: LocalView): Action {
  const snapshot = firstReaching(local.snapshots, need.minTxid);
  if (snapshot !== undefined) return { kind: "rebase", file: snapshot };
  const { wholeFileTxid } = need;
  const file = wholeFileTxid === undefined ? undefined : firstReaching(local.files, wholeFileTxid);
  if (file !== undefined && file.minTxid === wholeFileTxid) return { kind: "probe", file, need };
  return { kind: "wait", need };
}

function onLine(state: RemoteState, local: LocalView): Action {
  const { headTxid, provenTxid } = state;
  const maxTxid = state.beyond.at(-1)?.maxTxid ?? headTxid;
  if (state.beyond.length > 0 && provenTxid < maxTxid) {
    // What lies past the hole may be somebody else's: nothing is fitted to it.
    return offLine({ reason: "remote-hole", minTxid: maxTxid, wholeFileTxid: undefined }, local);
  }
  const last = newestUnlisted(state, local);
  if (last !== undefined) return { kind: "continue", file: last };
  const wanted = nextTxid(headTxid);
  const following = firstReaching(local.files, wanted);
  if (following !== undefined && following.minTxid <= headTxid && provenTxid < headTxid) {
    return offLine({ reason: "diverged", minTxid: wanted, wholeFileTxid: undefined }, local);
  }
  if (following !== undefined && following.minTxid <= wanted) {
    return { kind: "continue", file: following };
  }
  return acrossGap(state, local, following);
}

/**
 * The level 0 file that ends at the head when level 0 stops short of it: after a snapshot took the
 * line up, or after level 0 expired. Implementations that resume from level 0 then resume right.
 */
function newestUnlisted(state: RemoteState, local: LocalView): LocalFile | undefined {
  const { headTxid, level0MaxTxid, provenTxid } = state;
  if (level0MaxTxid >= headTxid || provenTxid < headTxid) return undefined;
  const last = firstReaching(local.files, headTxid);
  return last?.maxTxid === headTxid && last.minTxid > level0MaxTxid ? last : undefined;
}

/** Why the file of an action must not be uploaded, now that its content is known; `undefined` when it may. */
export function refusalOf(
  action: WorkAction,
  content: { readonly pageSize: number; readonly holdsEveryPage: boolean },
  headPageSize: number | undefined,
): Need | undefined {
  const isOtherSize = headPageSize !== undefined && headPageSize !== content.pageSize;
  const wholeFileTxid = undefined;
  if (action.kind === "probe") {
    const stands = content.holdsEveryPage && !isOtherSize;
    return stands ? undefined : { ...action.need, wholeFileTxid };
  }
  const { minTxid } = action.file;
  if (action.kind === "rebase" || !isOtherSize || minTxid === 1n) return undefined;
  // Restores merge files of one page size: a snapshot of the new size has to come first.
  return { reason: "page-size-changed", minTxid, wholeFileTxid };
}

/** Local files up to here will never be uploaded any more. */
export function releasedTxid(state: RemoteState, local: LocalView): Txid {
  // Nothing before the file that takes the line up is of use to the destination.
  const next = state.need?.minTxid ?? newestUnlisted(state, local)?.minTxid;
  return next === undefined ? state.headTxid : toTxid(next - 1n);
}

/** The TXID after the head is nowhere: only a snapshot gets the destination past what is missing. */
function acrossGap(state: RemoteState, local: LocalView, following?: LocalFile): Action {
  const { headTxid, beyond } = state;
  const resumes = [following?.minTxid, beyond[0]?.minTxid].filter((txid) => txid !== undefined);
  if (resumes.length === 0 && local.positionTxid <= headTxid) return { kind: "idle" };
  const resumeTxid = resumes.reduce((a, b) => (a < b ? a : b), nextTxid(local.positionTxid));
  const reason: NeedReason =
    beyond.length > 0 ? "remote-hole" : headTxid === NO_TXID ? "remote-empty" : "local-missing";
  const need = { reason, minTxid: toTxid(resumeTxid - 1n), wholeFileTxid: undefined };
  return offLine(need, local);
}

/** The state after `file` is in the destination. */
export function afterUpload(state: RemoteState, file: LtxFileId): RemoteState {
  let headTxid = largerTxid(state.headTxid, file.maxTxid);
  let beyond = state.beyond;
  while (beyond[0] !== undefined && beyond[0].minTxid <= headTxid + 1n) {
    headTxid = largerTxid(headTxid, beyond[0].maxTxid);
    beyond = beyond.slice(1);
  }
  const level0MaxTxid =
    file.level === 0 ? largerTxid(state.level0MaxTxid, file.maxTxid) : state.level0MaxTxid;
  const provenTxid = largerTxid(state.provenTxid, file.maxTxid);
  return { headTxid, beyond, level0MaxTxid, provenTxid, need: undefined };
}
