/**
 * Keeps the local queue near its bound by merging files that nobody is uploading, one merge at a time.
 *
 * A merge is crash-safe: the merged file is written aside, fsynced, renamed, its directory fsynced, and
 * only then are its parts deleted. A queue that cannot be merged further may exceed its bound; nothing
 * is ever dropped.
 *
 * Names on disk: a merge in progress is `<directory>/0/<min>-<max>.ltx.merge`.
 */
import { dirname } from "node:path";
import type { Clock } from "../base/clock.ts";
import type { Logger } from "../base/logger.ts";
import { MillraceError, toMillraceError } from "../errors.ts";
import type { Files } from "../platform/files.ts";
import type { LtxFileId } from "../storage/ltx-store.ts";
import type { LineEvent } from "./contract.ts";
import { readLocalHeader } from "./local-file.ts";
import { MERGE_SUFFIX, mergeFiles } from "./merge.ts";
import { planMerge } from "./queue-plan.ts";
import type { LocalFile } from "./span.ts";

/** How far the queue must grow past the last fruitless plan before it is planned again. */
const REPLAN_GROWTH = 1 / 16;

export interface QueueBoundOptions {
  readonly files: Files;
  readonly logger: Logger;
  readonly clock: Clock;
  readonly maxBytes: number;
  readonly maxFiles: number;
  readonly onEvent: ((event: LineEvent) => void) | undefined;
}

/** The queue that is kept bounded. */
export interface BoundedQueue {
  readonly files: readonly LocalFile[];
  readonly queueBytes: number;
  pathOf(file: LtxFileId): string;
  /** Files that must keep their names: next to be uploaded somewhere. */
  keptFiles(): ReadonlySet<LocalFile>;
  /** Puts one file in the place of its parts. */
  replace(parts: readonly LocalFile[], merged: LocalFile): void;
}

export class QueueBound {
  readonly #queue: BoundedQueue;
  readonly #options: QueueBoundOptions;
  readonly #pageSizes = new WeakMap<LocalFile, number>();
  #merge: { readonly parts: ReadonlySet<LocalFile>; readonly done: Promise<void> } | undefined;
  /** After a plan that found nothing: the size at which to look again. */
  #replanAt: { readonly bytes: number; readonly files: number } | undefined;
  #closed = false;

  constructor(queue: BoundedQueue, options: QueueBoundOptions) {
    this.#queue = queue;
    this.#options = options;
  }

  /** Starts a merge when the queue is over its bound and one is worth it. */
  check(): void {
    const { maxBytes, maxFiles } = this.#options;
    const { files, queueBytes } = this.#queue;
    if (queueBytes <= maxBytes && files.length <= maxFiles) {
      this.#replanAt = undefined;
      return;
    }
    if (this.#merge !== undefined || this.#closed) return;
    const again = this.#replanAt;
    if (again !== undefined && queueBytes < again.bytes && files.length < again.files) return;
    const parts = this.#plan();
    if (parts === undefined) this.#exceed(again === undefined);
    else this.#merge = { parts: new Set(parts), done: this.#run(parts) };
  }

  /** Resolves when no merge is about to replace `file`; `undefined` when none is. */
  whenUsable(file: LocalFile): Promise<void> | undefined {
    return this.#merge?.parts.has(file) === true ? this.#merge.done : undefined;
  }

  /** Waits for the merge in progress; none is started afterwards. */
  async close(): Promise<void> {
    this.#closed = true;
    await this.#merge?.done;
  }

  #plan(): readonly LocalFile[] | undefined {
    const kept = this.#queue.keptFiles();
    try {
      return planMerge(this.#queue.files, {
        isKept: (file) => kept.has(file),
        pageSizeOf: (file) => this.#pageSizeOf(file),
      });
    } catch (error) {
      this.#warn("planning a merge of the local queue failed", error);
      return undefined;
    }
  }

  #pageSizeOf(file: LocalFile): number {
    const known = this.#pageSizes.get(file);
    if (known !== undefined) return known;
    const { pageSize } = readLocalHeader(this.#options.files, this.#queue.pathOf(file));
    this.#pageSizes.set(file, pageSize);
    return pageSize;
  }

  #exceed(isNews: boolean): void {
    const { maxBytes, maxFiles, logger, onEvent } = this.#options;
    const facts = {
      countFiles: this.#queue.files.length,
      sizeBytes: this.#queue.queueBytes,
      maxBytes,
    };
    this.#replanAt = {
      bytes: facts.sizeBytes + maxBytes * REPLAN_GROWTH,
      files: facts.countFiles + maxFiles * REPLAN_GROWTH,
    };
    if (!isNews) return;
    logger.log("warn", "local queue is over its bound", facts);
    onEvent?.({ type: "queue-over-bound", ...facts });
  }

  async #run(parts: readonly LocalFile[]): Promise<void> {
    let failed = false;
    try {
      await this.#mergeParts(parts);
    } catch (error) {
      failed = true;
      this.#warn("merge of the local queue failed", error);
    }
    this.#merge = undefined;
    // Whatever is wrong with a part, its own upload will tell.
    if (failed) this.#exceed(this.#replanAt === undefined);
    else this.check();
  }

  async #mergeParts(parts: readonly LocalFile[]): Promise<void> {
    const { files, clock, logger, onEvent } = this.#options;
    const first = parts[0];
    const last = parts.at(-1);
    if (first === undefined || last === undefined) return;
    const { minTxid } = first;
    const { maxTxid } = last;
    const path = this.#queue.pathOf({ level: 0, minTxid, maxTxid });
    const temporary = `${path}${MERGE_SUFFIX}`;
    const pageSize = this.#pageSizeOf(first);
    let afterBytes: number;
    try {
      const inputs = parts.map((file) => this.#queue.pathOf(file));
      afterBytes = await mergeFiles({ inputs, output: temporary, pageSize }, { files, clock });
      if (!parts.every((file) => this.#queue.files.includes(file))) {
        throw new MillraceError("ship/local-missing", "merge local files: a part was taken away");
      }
      files.rename("publish merged ltx", temporary, path);
    } catch (error) {
      files.unlink("remove failed merge", temporary);
      throw error;
    }
    files.fsyncDirectory("publish merged ltx", dirname(path));
    const merged: LocalFile = { level: 0, minTxid, maxTxid, sizeBytes: afterBytes };
    this.#pageSizes.set(merged, pageSize);
    this.#queue.replace(parts, merged);
    for (const file of parts) files.unlink("remove merged part", this.#queue.pathOf(file));
    const beforeBytes = parts.reduce((sum, file) => sum + file.sizeBytes, 0);
    const facts = { minTxid, maxTxid, countFiles: parts.length, beforeBytes, afterBytes };
    logger.log("info", "local queue merged", facts);
    onEvent?.({ type: "queue-compacted", ...facts });
  }

  #warn(message: string, error: unknown): void {
    this.#options.logger.log("warn", message, { error: toMillraceError(error).message });
  }
}
