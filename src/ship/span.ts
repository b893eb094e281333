/**
 * Spans of TXIDs and the arithmetic of coverage: what a set of LTX files reaches without a gap.
 *
 * A file of any level covers its whole span; files may overlap. A line is restorable up to the end
 * of the first covered stretch if that starts at TXID 1 (a level 9 snapshot always does).
 *
 * Source: superfly/ltx `IsContiguous`, litestream `CalcRestorePlan`.
 */
import { NO_TXID, type Txid } from "../base/ids.ts";
import type { LtxFileId } from "../storage/ltx-store.ts";

/** Inclusive at both ends. */
export interface TxidSpan {
  readonly minTxid: Txid;
  readonly maxTxid: Txid;
}

/** One LTX file of the local line. */
export interface LocalFile extends LtxFileId {
  readonly sizeBytes: number;
}

/** One LTX file in the destination. */
export interface RemoteFile extends LtxFileId {
  readonly sizeBytes: number;
}

/** Disjoint, ascending, never adjacent. */
export type Coverage = readonly TxidSpan[];

/** Orders by `minTxid`, then `maxTxid`. */
export function compareSpans(a: TxidSpan, b: TxidSpan): number {
  if (a.minTxid !== b.minTxid) return a.minTxid < b.minTxid ? -1 : 1;
  if (a.maxTxid !== b.maxTxid) return a.maxTxid < b.maxTxid ? -1 : 1;
  return 0;
}

/** The union of all spans. */
export function coverage(spans: Iterable<TxidSpan>): Coverage {
  const union: { minTxid: Txid; maxTxid: Txid }[] = [];
  for (const { minTxid, maxTxid } of [...spans].sort(compareSpans)) {
    const last = union.at(-1);
    if (last === undefined || minTxid > last.maxTxid + 1n) union.push({ minTxid, maxTxid });
    else if (maxTxid > last.maxTxid) last.maxTxid = maxTxid;
  }
  return union;
}

/** The TXID up to which a restore can go: the end of the stretch that starts at TXID 1; 0 without one. */
export function restorableHead(covered: Coverage): Txid {
  const first = covered[0];
  return first !== undefined && first.minTxid <= 1n ? first.maxTxid : NO_TXID;
}

/** Whether `inner` lies within `outer`. */
export function contains(outer: TxidSpan, inner: TxidSpan): boolean {
  return outer.minTxid <= inner.minTxid && outer.maxTxid >= inner.maxTxid;
}

export function sameSpan(a: TxidSpan, b: TxidSpan): boolean {
  return a.minTxid === b.minTxid && a.maxTxid === b.maxTxid;
}

export function largerTxid(a: Txid, b: Txid): Txid {
  return a > b ? a : b;
}

/** The first of `spans` (ordered, none contained in another) that ends at `txid` or later. */
export function firstReaching<T extends TxidSpan>(spans: readonly T[], txid: Txid): T | undefined {
  let low = 0;
  let high = spans.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    const span = spans[middle];
    if (span !== undefined && span.maxTxid >= txid) high = middle;
    else low = middle + 1;
  }
  return spans[low];
}
