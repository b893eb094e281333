/**
 * The pages of one level 0 file: those that the chunk's transactions wrote, and those that came into being
 * without being written. SQLite may grow a database without writing every new page (a page allocated and freed
 * again); the replica must hold what the file will hold there: an older frame of the same WAL, else what lies
 * in the file. Source: benbjohnson/litestream@63225f1 `DB.sync`, which fills growth likewise.
 */
import type { Pgno } from "../base/ids.ts";
import type { Kernel } from "../kernel/kernel.ts";
import { lockPgno } from "../ltx/header.ts";
import type { Files } from "../platform/files.ts";
import { FRAME_HEADER_SIZE } from "../wal/constants.ts";
import type { WalHeader } from "../wal/header.ts";
import { scanWal, startOfGeneration, type WalChunk, type WalPosition } from "../wal/scan.ts";
import type { PageWriter } from "./line.ts";
import type { WalFile } from "./wal-file.ts";

export interface ChunkPagesOptions {
  readonly files: Files;
  readonly kernel: Kernel;
  readonly wal: WalFile;
  /** The database file's one descriptor, borrowed. */
  readonly databaseFd: number;
  readonly header: WalHeader;
  readonly from: WalPosition;
  readonly chunk: WalChunk;
  /** Database size in pages before the chunk. */
  readonly commitBefore: number;
}

/** Delivers the pages in ascending order, a kernel batch at a time. */
export function writeChunkPages(options: ChunkPagesOptions, write: PageWriter): void {
  const { kernel, chunk } = options;
  const grown = unwrittenGrowth(options);
  const older = grown.length === 0 ? undefined : framesBefore(options);
  const pgnos = sorted(chunk.frames, grown);
  for (let start = 0; start < pgnos.length; start += kernel.batchPages) {
    const batch = pgnos.subarray(start, start + kernel.batchPages);
    batch.forEach((pgno, index) => {
      const target = kernel.input.subarray(index * kernel.pageSize, (index + 1) * kernel.pageSize);
      readPage(options, pgno, older, target);
    });
    write(batch, kernel.input.subarray(0, batch.length * kernel.pageSize));
  }
}

/** Ascending page numbers of both, without an intermediate array: a transaction can have millions. */
function sorted(frames: ReadonlyMap<Pgno, number>, grown: readonly Pgno[]): Uint32Array {
  const pgnos = new Uint32Array(frames.size + grown.length);
  let count = 0;
  for (const pgno of frames.keys()) pgnos[count++] = pgno;
  pgnos.set(grown, count);
  return pgnos.sort();
}

function unwrittenGrowth({ chunk, commitBefore, kernel }: ChunkPagesOptions): Pgno[] {
  const lock = lockPgno(kernel.pageSize);
  const grown: Pgno[] = [];
  for (let pgno = commitBefore + 1; pgno <= chunk.commit; pgno++) {
    if (pgno !== lock && !chunk.frames.has(pgno)) grown.push(pgno);
  }
  return grown;
}

/** Newest frames of the generation before the chunk, including pages that a later shrink cut off. */
function framesBefore({ kernel, wal, header, from }: ChunkPagesOptions): ReadonlyMap<Pgno, number> {
  return scanWal({
    kernel,
    read: wal.read,
    header,
    from: startOfGeneration(header),
    endOffset: from.offset,
    keepCutOff: true,
  }).frames;
}

function readPage(
  { files, wal, databaseFd, kernel, chunk }: ChunkPagesOptions,
  pgno: Pgno,
  older: ReadonlyMap<Pgno, number> | undefined,
  target: Uint8Array,
): void {
  const frame = chunk.frames.get(pgno) ?? older?.get(pgno);
  const got =
    frame === undefined
      ? files.read("read database page", databaseFd, target, (pgno - 1) * kernel.pageSize)
      : wal.read(target, frame + FRAME_HEADER_SIZE);
  target.fill(0, got);
}
