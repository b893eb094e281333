/**
 * Which files of a long local queue to merge next: pure.
 *
 * The local queue grows while a destination cannot be reached. Past its bound it is merged, newest
 * files first, so that the oldest keep the names they may already have in a destination. Only files
 * of like size are merged: each byte is then written again only as often as the queue's size doubles,
 * and the queue ends at about twice the pages that were changed at all.
 */
import type { LocalFile } from "./span.ts";

/** Every input is open during a merge. */
export const MERGE_FILES_MAX = 128;
/** Files below this size count as alike: their number costs more than their bytes. */
const SMALL_BYTES = 1 << 20;
/** An older file at most this many times the newer ones together joins their merge. */
const TIER_RATIO = 2;

export interface QueuePlanOptions {
  /** A file that must keep its name and bytes: one being uploaded, or next to be. */
  readonly isKept: (file: LocalFile) => boolean;
  /** Files of different page sizes are never merged. */
  readonly pageSizeOf: (file: LocalFile) => number;
}

/** The newest mergeable stretch of `files` (ordered), oldest first; `undefined` when there is none. */
export function planMerge(
  files: readonly LocalFile[],
  options: QueuePlanOptions,
): readonly LocalFile[] | undefined {
  let stretch: LocalFile[] = [];
  let stretchBytes = 0;
  for (const file of files.toReversed()) {
    const newer = stretch.at(-1);
    if (!options.isKept(file) && newer !== undefined && joins(file, newer, stretchBytes, options)) {
      stretch.push(file);
      stretchBytes += file.sizeBytes;
      if (stretch.length === MERGE_FILES_MAX) break;
      continue;
    }
    if (stretch.length > 1) break;
    stretch = options.isKept(file) ? [] : [file];
    stretchBytes = file.sizeBytes;
  }
  return stretch.length > 1 ? stretch.reverse() : undefined;
}

function joins(
  older: LocalFile,
  newer: LocalFile,
  newerBytes: number,
  options: QueuePlanOptions,
): boolean {
  return (
    older.sizeBytes <= Math.max(SMALL_BYTES, TIER_RATIO * newerBytes) &&
    older.maxTxid + 1n >= newer.minTxid &&
    options.pageSizeOf(older) === options.pageSizeOf(newer)
  );
}
