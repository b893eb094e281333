/**
 * The 100-byte LTX header.
 *
 * Millrace writes every file with FLAG_NO_CHECKSUM and zero pre-apply checksum, because Litestream
 * refuses anything else, and keeps its own rolling database checksum in the reserved bytes, which
 * every reader ignores.
 *
 * Source: superfly/ltx@8cb8f8e `Header.MarshalBinary`, `Header.Validate`, `LockPgno`;
 * docs/formats/ltx.md.
 */
import { ByteReader, ByteWriter } from "../base/bytes.ts";
import { NO_CHECKSUM, NO_TXID, formatChecksum, toChecksum, toTxid } from "../base/ids.ts";
import type { Checksum, Pgno, Txid } from "../base/ids.ts";
import { isPageSize } from "../kernel/abi.ts";
import {
  CHECKSUM_FLAG,
  FLAG_COMPRESSED_V1,
  FLAG_NO_CHECKSUM,
  HEADER_SIZE,
  MAGIC,
  PENDING_BYTE,
  RESERVED_FIELDS,
  RESERVED_TAG,
} from "./constants.ts";
import { UNNAMED, ltxError, ltxMisuse } from "./errors.ts";

export { isPageSize } from "../kernel/abi.ts";

/** Where in a write-ahead log the content of a level 0 file comes from. */
export type WalRange = Pick<LtxHeader, "walOffset" | "walSize" | "walSalt1" | "walSalt2">;

/** For merged files of higher levels and snapshots. */
export const NO_WAL_RANGE: WalRange = { walOffset: 0, walSize: 0, walSalt1: 0, walSalt2: 0 };

/**
 * For level 0 files that come from no log or from several: an empty range at a log's beginning, with salts that no log has.
 * Litestream goes on after such a file with a full copy; after one without a range it refuses to go on at all.
 *
 * Source: benbjohnson/litestream@63225f1 `DB.verify`.
 */
export const UNKNOWN_WAL_RANGE: WalRange = { walOffset: 32, walSize: 0, walSalt1: 0, walSalt2: 0 };

export interface LtxHeader {
  /** 0 or FLAG_NO_CHECKSUM. */
  readonly flags: number;
  readonly pageSize: number;
  /** Database size in pages after applying the file; 0 for a deleted database. */
  readonly commit: number;
  readonly minTxid: Txid;
  readonly maxTxid: Txid;
  /** Unix milliseconds. */
  readonly timestampMs: number;
  /**
   * Rolling database checksum before applying; NO_CHECKSUM for snapshots and with FLAG_NO_CHECKSUM.
   */
  readonly preApplyChecksum: Checksum;
  /** Where the pages lay in the source's WAL, in bytes; 0 when they came from elsewhere. */
  readonly walOffset: number;
  readonly walSize: number;
  readonly walSalt1: number;
  readonly walSalt2: number;
  readonly nodeId: bigint;
  /**
   * Rolling database checksum after applying, from our reserved tag; NO_CHECKSUM when the tag is
   * absent.
   */
  readonly databaseChecksum: Checksum;
}

/** The page that holds SQLite's lock byte: never written, never hashed, zero when restored. */
export function lockPgno(pageSize: number): Pgno {
  return Math.floor(PENDING_BYTE / pageSize) + 1;
}

/** Whether the file holds the whole database and not a change to one. */
export function isSnapshot(header: { readonly minTxid: Txid }): boolean {
  return header.minTxid === 1n;
}

/** Whether pre- and post-apply checksums are real. */
export function isTracked(header: { readonly flags: number }): boolean {
  return (header.flags & FLAG_NO_CHECKSUM) === 0;
}

const U32_LIMIT = 2 ** 32;

function isU32(value: number): boolean {
  return Number.isInteger(value) && value >= 0 && value < U32_LIMIT;
}

function findProblem(header: LtxHeader): string | undefined {
  const { flags, pageSize, commit, minTxid, maxTxid, timestampMs } = header;
  if ((flags & ~FLAG_NO_CHECKSUM) !== 0 || !isU32(flags)) {
    return `flags 0x${flags.toString(16)}, wanted 0 or 2`;
  }
  if (!isPageSize(pageSize))
    return `page size ${pageSize}, wanted a power of two from 512 to 65536`;
  if (!isU32(commit)) return `commit ${commit}, wanted an unsigned 32-bit number`;
  if (minTxid === NO_TXID) return "min TXID 0, wanted at least 1";
  if (maxTxid < minTxid) return `max TXID ${maxTxid}, wanted at least the min TXID ${minTxid}`;
  if (!Number.isSafeInteger(timestampMs)) return `timestamp ${timestampMs}, wanted a safe integer`;
  return findWalProblem(header) ?? findChecksumProblem(header);
}

function findWalProblem(header: LtxHeader): string | undefined {
  const { walOffset, walSize, walSalt1, walSalt2 } = header;
  for (const [name, value] of [
    ["offset", walOffset],
    ["size", walSize],
  ] as const) {
    if (!Number.isSafeInteger(value) || value < 0) {
      return `WAL ${name} ${value}, wanted a non-negative safe integer`;
    }
  }
  if (!isU32(walSalt1) || !isU32(walSalt2)) {
    return `WAL salts ${walSalt1} and ${walSalt2}, wanted unsigned 32-bit numbers`;
  }
  if (walOffset !== 0) return undefined;
  if (walSize !== 0) return `WAL size ${walSize} with WAL offset 0, wanted both or neither`;
  if (walSalt1 !== 0 || walSalt2 !== 0)
    return "WAL salts with WAL offset 0, wanted both or neither";
  return undefined;
}

function findChecksumProblem(header: LtxHeader): string | undefined {
  const { preApplyChecksum, databaseChecksum } = header;
  const before = formatChecksum(preApplyChecksum);
  if (databaseChecksum !== NO_CHECKSUM && (databaseChecksum & CHECKSUM_FLAG) === 0n) {
    return `database checksum ${formatChecksum(databaseChecksum)}, wanted bit 63 set`;
  }
  if (isSnapshot(header) || !isTracked(header)) {
    return preApplyChecksum === NO_CHECKSUM ? undefined : `pre-apply checksum ${before}, wanted 0`;
  }
  const present = (preApplyChecksum & CHECKSUM_FLAG) !== 0n;
  return present ? undefined : `pre-apply checksum ${before}, wanted bit 63 set`;
}

/** The reserved bytes from the tag to the checksum's end, as they stand in the file. */
export function encodeReservedTag(databaseChecksum: Checksum): Uint8Array {
  const { tag, databaseChecksum: checksum } = RESERVED_FIELDS;
  const writer = new ByteWriter(tag.size + checksum.size);
  if (databaseChecksum === NO_CHECKSUM) return writer.bytes;
  return writer.u32(RESERVED_TAG).u64(databaseChecksum).bytes;
}

/** The header's 100 bytes. Throws `ltx/misuse` for a header that breaks the format's rules. */
export function encodeHeader(header: LtxHeader): Uint8Array {
  const problem = findProblem(header);
  if (problem !== undefined) throw ltxMisuse("encode LTX header", problem);
  return new ByteWriter(HEADER_SIZE)
    .u32(MAGIC)
    .u32(header.flags)
    .u32(header.pageSize)
    .u32(header.commit)
    .u64(header.minTxid)
    .u64(header.maxTxid)
    .i64(BigInt(header.timestampMs))
    .u64(header.preApplyChecksum)
    .i64(BigInt(header.walOffset))
    .i64(BigInt(header.walSize))
    .u32(header.walSalt1)
    .u32(header.walSalt2)
    .u64(header.nodeId)
    .put(encodeReservedTag(header.databaseChecksum)).bytes;
}

/**
 * Reads a header from the first 100 bytes. `name` is what messages call the file. Throws
 * `ltx/truncated`, `ltx/invalid`, or `ltx/unsupported` for the compressed form of the oldest
 * encoding.
 */
export function decodeHeader(bytes: Uint8Array, name: string = UNNAMED): LtxHeader {
  const reader = new ByteReader(bytes, {
    code: "ltx/truncated",
    what: `header of LTX file "${name}"`,
  });
  const magic = reader.u32();
  if (magic !== MAGIC) {
    const found = magic.toString(16).padStart(8, "0");
    throw ltxError("ltx/invalid", name, `magic ${found}, wanted 4c545831 ("LTX1")`, { offset: 0 });
  }
  const header: LtxHeader = {
    flags: reader.u32(),
    pageSize: reader.u32(),
    commit: reader.u32(),
    minTxid: toTxid(reader.u64()),
    maxTxid: toTxid(reader.u64()),
    timestampMs: Number(reader.i64()),
    preApplyChecksum: toChecksum(reader.u64()),
    walOffset: Number(reader.i64()),
    walSize: Number(reader.i64()),
    walSalt1: reader.u32(),
    walSalt2: reader.u32(),
    nodeId: reader.u64(),
    databaseChecksum: readReservedTag(reader),
  };
  if (header.flags === FLAG_COMPRESSED_V1) {
    const problem =
      "header flag 1, the compressed encoding before version 2; only version 3 is read";
    throw ltxError("ltx/unsupported", name, problem, { flags: header.flags });
  }
  const problem = findProblem(header);
  if (problem !== undefined) throw ltxError("ltx/invalid", name, `header with ${problem}`);
  return header;
}

/** Reads all 20 reserved bytes; an unknown tag is somebody else's and means nothing. */
function readReservedTag(reader: ByteReader): Checksum {
  const tag = reader.u32();
  const checksum = toChecksum(reader.u64());
  reader.skip(RESERVED_FIELDS.unused.size);
  return tag === RESERVED_TAG ? checksum : NO_CHECKSUM;
}
