/**
 * Carrying out the plan of a Litestream 0.3 backup: the snapshot streamed into the temporary output, the logs applied to
 * it one index after the other, and the result read back.
 *
 * What that proves: every object is what was uploaded (content checksum of its LZ4 frame), every log is complete and in
 * order as far as it goes (offsets, salts and cumulative checksums), and the output holds what they make. What it cannot
 * prove, because the format records nothing to compare with: that snapshot and logs are of one database state, and that
 * no log is missing at the end. SQLite's own check narrows that.
 */
import { parseDatabaseHeader } from "../../sqlite/header.ts";
import { MillraceError } from "../../errors.ts";
import type { Checksum } from "../../base/ids.ts";
import type { BackgroundFlush } from "../../platform/background-flush.ts";
import type { Files } from "../../platform/files.ts";
import type { DecodePool } from "../decode-pool.ts";
import { unkept } from "../prove.ts";
import { readBack } from "../read-back.ts";
import { Image } from "./image.ts";
import { Lz4Frames } from "./lz4-frame.ts";
import { describeLegacy, formatIndex, type LegacySegment, type LegacySnapshot } from "./names.ts";
import { streamObject, streamSegments, type ObjectStreamOptions } from "./object-stream.ts";
import { legacyGap, type LegacyPlan, type LegacyTarget } from "./plan.ts";
import { WalReplay, type Replayed } from "./wal-replay.ts";

/** Where the database header has the size in pages. */
const PAGE_COUNT_OFFSET = 28;

export interface LegacyFillOptions extends ObjectStreamOptions {
  readonly plan: LegacyPlan;
  /** For messages. */
  readonly target: LegacyTarget;
  /** The temporary output, which exists and is empty. */
  readonly path: string;
  readonly files: Files;
  readonly flush: BackgroundFlush;
  readonly pool: DecodePool;
  /** Called when the snapshot's size is known. */
  readonly onBegin: (pagesTotal: number, pageSize: number) => void;
  /** Hears of pages of the snapshot that were written. */
  readonly onPages: (pages: number) => void;
  readonly onReplay: () => void;
  /** Called before the output is read back. */
  readonly onReadBack: () => void;
}

export interface LegacyFilled {
  readonly pageSize: number;
  readonly pages: number;
  readonly databaseChecksum: Checksum;
  readonly transactions: number;
  /** Bytes of log behind the last commit, which were left out. */
  readonly unfinishedBytes: number;
}

/**
 * Fills and flushes the temporary output. Throws `lz4/*`, `wal/*`, `restore/gap`, `restore/unproven`,
 * `sqlite/not-a-database`, what store and file system throw, and the signal's reason.
 */
export async function fillFromLegacy(options: LegacyFillOptions): Promise<LegacyFilled> {
  const { plan, path, files, pool, flush, signal } = options;
  const frames = new Lz4Frames();
  using image = await takeSnapshot(options, frames);
  options.onReplay();
  const replayed = await replay(options, frames, image);
  const { pages, pageSize, checksum } = image;
  await pool.open({ pageSize, path, scratch: undefined, hashed: false });
  options.onReadBack();
  const databaseChecksum = await readBack(
    { pages, pageSize },
    { pool, files, path, flush, signal },
  );
  if (databaseChecksum !== checksum) throw unkept(databaseChecksum, checksum);
  if (pages === 0) throw noDatabase(plan.snapshot, "it becomes empty");
  return { pageSize, pages, databaseChecksum, ...replayed };
}

async function takeSnapshot(options: LegacyFillOptions, frames: Lz4Frames): Promise<Image> {
  const { snapshot } = options.plan;
  const { path, files, flush, signal } = options;
  const name = describeLegacy(snapshot);
  let image: Image | undefined;
  let isDone = false;
  try {
    for await (const bytes of frames.decompress(streamObject(snapshot, options), name)) {
      signal?.throwIfAborted();
      if (image === undefined) {
        const { pageSize } = parseDatabaseHeader(bytes, name);
        const pageCount = new DataView(bytes.buffer, bytes.byteOffset).getUint32(PAGE_COUNT_OFFSET);
        options.onBegin(pageCount, pageSize);
        let left = pageCount;
        const onPages = (count: number, sizeBytes: number): void => {
          flush.wrote(sizeBytes);
          // The header's size is SQLite's word, not a promise about this file.
          options.onPages(Math.min(left, count));
          left -= Math.min(left, count);
        };
        image = new Image({ files, path, pageSize, onPages });
      }
      image.append(bytes);
    }
    if (image === undefined) throw noDatabase(snapshot, "it is empty");
    const rest = image.endAppend();
    if (rest > 0) throw noDatabase(snapshot, `it ends ${rest} bytes into a page`);
    isDone = true;
    return image;
  } finally {
    if (!isDone) image?.[Symbol.dispose]();
  }
}

async function replay(
  options: LegacyFillOptions,
  frames: Lz4Frames,
  image: Image,
): Promise<Replayed> {
  const { plan, target, path, files, signal } = options;
  const total = { transactions: 0, unfinishedBytes: 0 };
  if (plan.segments.length === 0) return total;
  using log = new WalReplay(files, `${path}.scratch`, plan.generation);
  let before: LegacySnapshot | LegacySegment = plan.snapshot;
  let index = plan.snapshot.index;
  const finish = async (): Promise<void> => {
    const { transactions, unfinishedBytes } = await log.apply(index, image, { signal });
    total.transactions += transactions;
    total.unfinishedBytes += unfinishedBytes;
  };
  for await (const { segment, chunks } of streamSegments(plan.segments, options)) {
    signal?.throwIfAborted();
    if (segment.index !== index) await finish();
    index = segment.index;
    requireContinuation(log.sizeBytes, { segment, before, target });
    for await (const bytes of frames.decompress(chunks, describeLegacy(segment))) log.append(bytes);
    before = segment;
  }
  await finish();
  return total;
}

/** The segments of a log have to meet. */
function requireContinuation(
  sizeBytes: number,
  place: {
    readonly segment: LegacySegment;
    readonly before: LegacySnapshot | LegacySegment;
    readonly target: LegacyTarget;
  },
): void {
  const { segment, before, target } = place;
  if (segment.offset === sizeBytes) return;
  const log = `WAL ${formatIndex(segment.index)}`;
  const missing =
    segment.offset > sizeBytes
      ? `bytes ${sizeBytes} to ${segment.offset} of ${log} are missing`
      : `bytes ${segment.offset} to ${sizeBytes} of ${log} are there twice`;
  throw legacyGap({ target, missing, before, after: segment });
}

function noDatabase(snapshot: LegacySnapshot, found: string): MillraceError {
  return new MillraceError(
    "sqlite/not-a-database",
    `restore ${describeLegacy(snapshot)}: ${found}`,
    {
      op: "restore snapshot",
      details: { key: snapshot.key },
      hint: "the snapshot holds no SQLite database: restore an earlier time with -timestamp",
    },
  );
}
