/**
 * The WAL header and the cumulative checksum that every frame continues.
 *
 * Source: benbjohnson/litestream@63225f1 `WALReader.readHeader`, `WALChecksum`; SQLite's own
 * recovery (`walIndexRecover`) likewise takes a WAL with a foreign magic or page size as empty.
 */
import { MillraceError } from "../errors.ts";
import {
  WAL_HEADER_FIELDS as FIELD,
  WAL_HEADER_SIZE,
  WAL_MAGIC_BIG_ENDIAN,
  WAL_MAGIC_LITTLE_ENDIAN,
  WAL_VERSION,
} from "./constants.ts";

/** The running pair of the WAL checksum, two u32. */
export interface WalSum {
  readonly s0: number;
  readonly s1: number;
}

export interface WalHeader {
  readonly bigEndian: boolean;
  readonly pageSize: number;
  /** Counts restarts as seen by the connection that wrote the header: no proof of anything across connections. */
  readonly checkpointSequence: number;
  readonly salt1: number;
  readonly salt2: number;
  /** Seeds the checksum of the first frame. */
  readonly sum: WalSum;
}

/** Continues a WAL checksum over `bytes`, whose length is a multiple of 8. */
export function walChecksum(
  bytes: Uint8Array,
  bigEndian: boolean,
  from: WalSum = { s0: 0, s1: 0 },
): WalSum {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  let { s0, s1 } = from;
  for (let at = 0; at < bytes.length; at += 8) {
    s0 = (s0 + view.getUint32(at, !bigEndian) + s1) >>> 0;
    s1 = (s1 + view.getUint32(at + 4, !bigEndian) + s0) >>> 0;
  }
  return { s0, s1 };
}

/**
 * Reads a WAL header. `undefined` means that the WAL holds nothing: too short, foreign magic, impossible page
 * size or wrong checksum. Throws `wal/invalid` for a version that this code does not know.
 */
export function parseWalHeader(bytes: Uint8Array): WalHeader | undefined {
  if (bytes.length < WAL_HEADER_SIZE) return undefined;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const magic = view.getUint32(FIELD.magic);
  if (magic !== WAL_MAGIC_LITTLE_ENDIAN && magic !== WAL_MAGIC_BIG_ENDIAN) return undefined;
  const bigEndian = magic === WAL_MAGIC_BIG_ENDIAN;
  const pageSize = view.getUint32(FIELD.pageSize);
  if (pageSize < 512 || pageSize > 65536 || (pageSize & (pageSize - 1)) !== 0) return undefined;
  const sum = walChecksum(bytes.slice(0, FIELD.checksum1), bigEndian);
  if (sum.s0 !== view.getUint32(FIELD.checksum1) || sum.s1 !== view.getUint32(FIELD.checksum2))
    return undefined;
  const version = view.getUint32(FIELD.version);
  if (version !== WAL_VERSION) {
    throw new MillraceError(
      "wal/invalid",
      `read WAL header: version ${version}, wanted ${WAL_VERSION}`,
      {
        hint: "the database was written by a newer SQLite; update Millrace",
        details: { version },
      },
    );
  }
  return {
    bigEndian,
    pageSize,
    checkpointSequence: view.getUint32(FIELD.checkpointSequence),
    salt1: view.getUint32(FIELD.salt1),
    salt2: view.getUint32(FIELD.salt2),
    sum,
  };
}

export function sameGeneration(
  a: { readonly salt1: number; readonly salt2: number },
  b: { readonly salt1: number; readonly salt2: number },
): boolean {
  return a.salt1 === b.salt1 && a.salt2 === b.salt2;
}
