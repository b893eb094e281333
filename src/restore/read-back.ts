/**
 * The last proof of a restore: the checksum of the output as it is, not of what was meant for it.
 */
import type { Checksum, Pgno } from "../base/ids.ts";
import { openKernel, xorCrc } from "../kernel/kernel.ts";
import { lockPgno } from "../ltx/header.ts";
import type { BackgroundFlush } from "../platform/background-flush.ts";
import type { Files } from "../platform/files.ts";
import { toDatabaseChecksum, type Assembled } from "./assemble.ts";
import type { DecodePool } from "./decode-pool.ts";
import type { PageRun } from "./page-set.ts";
import { sumZeroPages } from "./zero-pages.ts";

export interface WrittenOutput {
  readonly path: string;
  /** Has it open. */
  readonly pool: DecodePool;
  readonly files: Files;
}

export interface ReadBackOptions extends WrittenOutput {
  /** Began to flush it. */
  readonly flush: BackgroundFlush;
  readonly signal: AbortSignal | undefined;
}

/**
 * Flushes the output and reads it back, both at once. Pages past its end are zeros that were never written; they are not
 * looked at one by one, because a damaged header can make a database of terabytes of them.
 */
export async function readBack(
  { pages, pageSize }: Pick<Assembled, "pages" | "pageSize">,
  { pool, files, path, flush, signal }: ReadBackOptions,
): Promise<Checksum> {
  const sizeBytes = files.stat("restore output size", path)?.sizeBytes ?? 0;
  const written = Math.min(pages, Math.floor(sizeBytes / pageSize));
  const [sum] = await Promise.all([
    pool.sumOutput(written, { pageSize, signal }),
    flush.finish().then(() => pool.sync()),
  ]);
  const kernel = openKernel({ pageSize, batchPages: 1 });
  for (const run of withoutLockPage(written + 1, pages, pageSize)) {
    xorCrc(sum, sumZeroPages(kernel, run));
  }
  return toDatabaseChecksum(sum);
}

/** Zero pages at the end were not written: gives the output its full length, durably. */
export async function extendOutput(
  { pages, pageSize }: Assembled,
  { pool, files, path }: WrittenOutput,
): Promise<void> {
  const op = "restore output size";
  const sizeBytes = pages * pageSize;
  const fd = files.open(op, path, "r+");
  try {
    if (files.fstat(op, fd).sizeBytes === sizeBytes) return;
    files.truncate(op, fd, sizeBytes);
  } finally {
    files.close(op, fd);
  }
  await pool.sync();
}

function withoutLockPage(first: Pgno, last: Pgno, pageSize: number): PageRun[] {
  const lock = lockPgno(pageSize);
  if (lock < first || lock > last) return first > last ? [] : [{ first, last }];
  return [
    { first, last: lock - 1 },
    { first: lock + 1, last },
  ].filter((run) => run.first <= run.last);
}
