/**
 * Identifiers that appear in file names, headers and messages.
 *
 * Source: superfly/ltx@8cb8f8e `TXID.String`, `ParseTXID`, `Checksum`.
 */
import { MillraceError } from "../errors.ts";

declare const brand: unique symbol;

/** A transaction id: position on a database's line of LTX files. 1 is the first; 0 stands for "none yet". */
export type Txid = bigint & { readonly [brand]: "Txid" };

/** A 64-bit LTX checksum; every valid non-empty one has bit 63 set, 0 stands for "none". */
export type Checksum = bigint & { readonly [brand]: "Checksum" };

/** A page number: 1-based, as in SQLite. */
export type Pgno = number;

export const NO_TXID = 0n as Txid;
export const NO_CHECKSUM = 0n as Checksum;

const MAX_U64 = (1n << 64n) - 1n;
const HEX16 = /^[0-9a-f]{16}$/i;

export function toTxid(value: bigint | number): Txid {
  const id = BigInt(value);
  if (id < 0n || id > MAX_U64) throw new MillraceError("internal/bug", `TXID out of range: ${id}`);
  return id as Txid;
}

export function nextTxid(txid: Txid): Txid {
  return toTxid(txid + 1n);
}

/** 16 lower-case hexadecimal digits. */
export function formatTxid(txid: Txid): string {
  return txid.toString(16).padStart(16, "0");
}

/** Parses exactly 16 hexadecimal digits; `undefined` for anything else. */
export function parseTxid(text: string): Txid | undefined {
  return HEX16.test(text) ? (BigInt(`0x${text}`) as Txid) : undefined;
}

export function toChecksum(value: bigint): Checksum {
  return BigInt.asUintN(64, value) as Checksum;
}

export function formatChecksum(checksum: Checksum): string {
  return checksum.toString(16).padStart(16, "0");
}

export function parseChecksum(text: string): Checksum | undefined {
  return HEX16.test(text) ? (BigInt(`0x${text}`) as Checksum) : undefined;
}
