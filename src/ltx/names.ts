/**
 * Names of LTX files and how files of a level follow each other.
 *
 * Source: superfly/ltx@8cb8f8e `FormatFilename`, `ParseFilename`, `IsContiguous`.
 */
import { formatTxid, parseTxid } from "../base/ids.ts";
import type { Txid } from "../base/ids.ts";

/** The level of complete snapshots; levels below hold changes, merged ever more coarsely. */
export const SNAPSHOT_LEVEL = 9;

export interface TxidRange {
  readonly minTxid: Txid;
  readonly maxTxid: Txid;
}

const NAME = /^([0-9a-f]{16})-([0-9a-f]{16})\.ltx$/;

/** `<min>-<max>.ltx`, each 16 lower-case hexadecimal digits. */
export function ltxFileName(minTxid: Txid, maxTxid: Txid): string {
  return `${formatTxid(minTxid)}-${formatTxid(maxTxid)}.ltx`;
}

/**
 * The range in a file name; `undefined` for anything that is not exactly the name of an LTX file.
 */
export function parseLtxFileName(name: string): TxidRange | undefined {
  const match = NAME.exec(name);
  const minTxid = parseTxid(match?.[1] ?? "");
  const maxTxid = parseTxid(match?.[2] ?? "");
  if (minTxid === undefined || maxTxid === undefined) return undefined;
  return minTxid >= 1n && minTxid <= maxTxid ? { minTxid, maxTxid } : undefined;
}

/**
 * Whether `next` continues after `previousMax`: no gap, and it reaches further. An overlap is
 * allowed.
 */
export function isContiguous(previousMax: Txid, next: TxidRange): boolean {
  return next.minTxid <= previousMax + 1n && next.maxTxid > previousMax;
}
