/**
 * Where Litestream 0.3 keeps what, below the root of a replica, and a listing of it over any store.
 *
 * Frozen: a generation is a directory of 16 hexadecimal digits with snapshots (the database file at the start of an
 * index of the write-ahead log) and segments (pieces of that log, by index and byte offset). Names that are none of
 * these are ignored, as everywhere.
 *
 * Source: benbjohnson/litestream@v0.3.13 `SnapshotPath`, `WALSegmentPath`, `FormatIndex`; for offsets of more than
 * eight digits benbjohnson/litestream@63225f1 `ParseWALSegmentFilenameV3`.
 */
import type { CallOptions, ObjectKey, ObjectStore } from "../../storage/contract.ts";

/** What the format is called in plans, results and messages. */
export const LEGACY_FORMAT = "litestream-0.3";

/** Everything of the format lies below this. */
export const GENERATIONS_PREFIX = "generations/";

const NAME =
  /^([0-9a-f]{16})\/(?:snapshots\/([0-9a-f]{8})\.snapshot\.lz4|wal\/([0-9a-f]{8})_([0-9a-f]{8,16})\.wal\.lz4)$/;

/** One object of a backup. */
export interface LegacyObject {
  readonly key: ObjectKey;
  /** 16 hexadecimal digits. */
  readonly generation: string;
  /** Counts the write-ahead logs of a generation. */
  readonly index: number;
  /** Bytes in the store, compressed. */
  readonly sizeBytes: number;
  /** The store's own time: the format records none. Unix ms. */
  readonly createdAtMs: number;
}

/** The database file as it was while the log of its index was being written. */
export type LegacySnapshot = LegacyObject;

/** A piece of the log of an index. */
export interface LegacySegment extends LegacyObject {
  /** Bytes from the start of that log, uncompressed. Numbers beyond 2^53 are not exact: nothing reaches them. */
  readonly offset: number;
}

export interface LegacyListing {
  /** In order of generation and index. */
  readonly snapshots: readonly LegacySnapshot[];
  /** In order of generation, index and offset. */
  readonly segments: readonly LegacySegment[];
}

/** What an object's name says, the key being relative to the replica's root; `undefined` for foreign names. */
export function parseLegacyKey(
  key: string,
): { generation: string; index: number; offset: number | undefined } | undefined {
  if (!key.startsWith(GENERATIONS_PREFIX)) return undefined;
  const match = NAME.exec(key.slice(GENERATIONS_PREFIX.length));
  if (match === null) return undefined;
  const [, generation = "", snapshot, index = snapshot, offset] = match;
  return {
    generation,
    index: Number.parseInt(index ?? "", 16),
    offset: offset === undefined ? undefined : Number.parseInt(offset, 16),
  };
}

/** Lists the backup in a store that is rooted at the replica. Rejects with what the store throws. */
export async function listLegacy(
  store: ObjectStore,
  options: CallOptions = {},
): Promise<LegacyListing> {
  const snapshots: LegacySnapshot[] = [];
  const segments: LegacySegment[] = [];
  for await (const info of store.list(GENERATIONS_PREFIX, options)) {
    const name = parseLegacyKey(info.key);
    if (name === undefined) continue;
    const { generation, index, offset } = name;
    const { key, sizeBytes, createdAtMs } = info;
    const object = { key, generation, index, sizeBytes, createdAtMs };
    if (offset === undefined) snapshots.push(object);
    else segments.push({ ...object, offset });
  }
  // Names differ in width, so their order is not the order of offsets.
  segments.sort(compareSegments);
  return { snapshots, segments };
}

function compareSegments(a: LegacySegment, b: LegacySegment): number {
  if (a.generation !== b.generation) return a.generation < b.generation ? -1 : 1;
  return a.index - b.index || a.offset - b.offset;
}

/** `generation 0123456789abcdef, snapshot 0000000a`, for messages. */
export function describeLegacy(object: LegacySnapshot | LegacySegment): string {
  const index = formatIndex(object.index);
  return "offset" in object
    ? `generation ${object.generation}, WAL ${index} from byte ${object.offset}`
    : `generation ${object.generation}, snapshot ${index}`;
}

export function formatIndex(index: number): string {
  return index.toString(16).padStart(8, "0");
}
