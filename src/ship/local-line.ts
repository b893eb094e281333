/**
 * The local LTX files of one database as a queue that all its destinations share.
 *
 * The directory is listed once; after that capture announces each file. The line knows the slowest
 * destination and tells when files are needed by none. A start drops the parts that a whole merged
 * file contains, which an interrupted merge left.
 *
 * Names on disk: `<directory>/<level>/<min>-<max>.ltx`.
 */
import { join } from "node:path";
import type { Clock } from "../base/clock.ts";
import { NO_TXID, nextTxid, type Txid } from "../base/ids.ts";
import type { Logger } from "../base/logger.ts";
import { toMillraceError } from "../errors.ts";
import { ltxFileName, parseLtxFileName, SNAPSHOT_LEVEL } from "../ltx/names.ts";
import type { Files } from "../platform/files.ts";
import type { LtxFileId } from "../storage/ltx-store.ts";
import type { LineEvent } from "./contract.ts";
import { verifyLocalFile } from "./local-file.ts";
import { MERGE_SUFFIX } from "./merge.ts";
import { QueueBound, type BoundedQueue } from "./queue-bound.ts";
import type { Anchor, LocalView } from "./reconcile.ts";
import {
  compareSpans,
  contains,
  firstReaching,
  largerTxid,
  sameSpan,
  type LocalFile,
} from "./span.ts";

export const DEFAULT_MAX_QUEUE_BYTES: number = 2 ** 30;
export const DEFAULT_MAX_QUEUE_FILES = 10_000;

export interface LocalLineOptions {
  readonly files: Files;
  /** Holds one directory per level. */
  readonly directory: string;
  readonly logger: Logger;
  readonly clock: Clock;
  /** Where capture's own state says the line ends. Without one, the files alone say it. */
  readonly anchor?: Anchor | undefined;
  readonly maxQueueBytes?: number | undefined;
  readonly maxQueueFiles?: number | undefined;
  readonly onEvent?: ((event: LineEvent) => void) | undefined;
}

/** A destination, as the line sees it. */
export interface LineConsumer {
  /** Files up to here are not needed any more; `undefined` while that is unknown. */
  readonly releasedTxid: Txid | undefined;
  /** The file that is being uploaded: it must stay where it is. */
  readonly shipping: LocalFile | undefined;
  /** Gave up for good: holds nothing back. */
  readonly stopped: boolean;
  /** A file was announced. */
  wake(): void;
  /** Capture began a line anew: what was known about it is void. */
  restarted(): void;
}

export class LocalLine implements LocalView, BoundedQueue, AsyncDisposable {
  readonly #options: LocalLineOptions;
  readonly #bound: QueueBound;
  readonly #maxQueueBytes: number;
  readonly #maxQueueFiles: number;
  readonly #consumers = new Set<LineConsumer>();
  #files: LocalFile[] = [];
  #snapshots: LocalFile[] = [];
  #queueBytes = 0;
  #anchor: Anchor | undefined;
  #positionTxid: Txid;
  #releasedTxid: Txid = NO_TXID;
  #restarts = 0;
  #announcedTxid: Txid = NO_TXID;
  #isListed = false;
  /** The newest file that the directory held when it was listed. */
  #listedTxid: Txid = NO_TXID;

  constructor(options: LocalLineOptions) {
    this.#options = options;
    this.#anchor = options.anchor;
    this.#positionTxid = options.anchor?.txid ?? NO_TXID;
    this.#maxQueueBytes = options.maxQueueBytes ?? DEFAULT_MAX_QUEUE_BYTES;
    this.#maxQueueFiles = options.maxQueueFiles ?? DEFAULT_MAX_QUEUE_FILES;
    this.#bound = new QueueBound(this, {
      files: options.files,
      logger: options.logger,
      clock: options.clock,
      maxBytes: this.#maxQueueBytes,
      maxFiles: this.#maxQueueFiles,
      onEvent: options.onEvent,
    });
  }

  get files(): readonly LocalFile[] {
    return this.#files;
  }

  get snapshots(): readonly LocalFile[] {
    return this.#snapshots;
  }

  get positionTxid(): Txid {
    return this.#positionTxid;
  }

  get anchor(): Anchor | undefined {
    return this.#anchor;
  }

  /** Bytes of level 0 files that some destination may still need. */
  get queueBytes(): number {
    return this.#queueBytes;
  }

  /** How often the line began anew: what was learnt before a change is void. */
  get restarts(): number {
    return this.#restarts;
  }

  pathOf(file: LtxFileId): string {
    const { directory } = this.#options;
    return join(directory, String(file.level), ltxFileName(file.minTxid, file.maxTxid));
  }

  attach(consumer: LineConsumer): void {
    this.#consumers.add(consumer);
  }

  detach(consumer: LineConsumer): void {
    this.#consumers.delete(consumer);
  }

  /** Lists the directory, once. Throws `fs/*`; then nothing was taken in. */
  load(): void {
    if (this.#isListed) return;
    const listed = this.#withoutParts(this.#list(0));
    const snapshots = this.#list(SNAPSHOT_LEVEL);
    this.#isListed = true;
    this.#listedTxid = listed.at(-1)?.maxTxid ?? NO_TXID;
    for (const file of [...listed, ...snapshots]) this.#insert(file);
  }

  /**
   * Takes in a file that capture made durable, and wakes the destinations. Capture announces in order; a
   * file that goes back behind an earlier one means that capture lost its state, and restarts the line.
   */
  announce(file: LocalFile): void {
    const { level, minTxid, maxTxid, sizeBytes } = file;
    if (this.#isKnown(file)) return;
    const newestTxid = this.#files.at(-1)?.maxTxid ?? NO_TXID;
    if (level === 0 && maxTxid <= largerTxid(this.#announcedTxid, newestTxid)) {
      // The first announcements may be about files that the listing had, and that are shipped already.
      if (maxTxid > this.#announcedTxid) return;
      this.#options.logger.log("error", "capture went back on its line", {
        txid: maxTxid,
        position: this.#positionTxid,
      });
      this.restart({ anchor: undefined });
    }
    this.#insert({ level, minTxid, maxTxid, sizeBytes });
    if (level === 0) this.#announcedTxid = maxTxid;
    this.#bound.check();
    for (const consumer of this.#consumers) consumer.wake();
  }

  /** Forgets everything and has every destination compared again: capture begins anew, or lost its state. */
  restart(options: { readonly anchor: Anchor | undefined }): void {
    this.#restarts += 1;
    this.#files = [];
    this.#snapshots = [];
    this.#queueBytes = 0;
    this.#anchor = options.anchor;
    this.#positionTxid = options.anchor?.txid ?? NO_TXID;
    this.#releasedTxid = NO_TXID;
    this.#announcedTxid = NO_TXID;
    this.#isListed = false;
    this.#listedTxid = NO_TXID;
    for (const consumer of this.#consumers) consumer.restarted();
  }

  /** Takes out a file that turned out to be missing or damaged. On disk it stays, if it is there. */
  lost(file: LocalFile): void {
    this.#remove(file);
  }

  /** A destination moved: lets go of what none needs. */
  advanced(): void {
    let released: Txid | undefined;
    for (const { releasedTxid, stopped } of this.#consumers) {
      if (stopped) continue;
      if (releasedTxid === undefined) return;
      if (released === undefined || releasedTxid < released) released = releasedTxid;
    }
    if (released === undefined || released <= this.#releasedTxid) return;
    this.#releasedTxid = released;
    // The newest is kept: at the next start it proves that line and destination agree.
    while (this.#files.length > 1) {
      const oldest = this.#files[0];
      if (oldest === undefined || oldest.maxTxid > released) break;
      this.#remove(oldest);
    }
    while (this.#snapshots[0] !== undefined && this.#snapshots[0].maxTxid <= released) {
      this.#snapshots.shift();
    }
    this.#options.onEvent?.({ type: "released", txid: released });
    this.#bound.check();
  }

  /** Resolves when no merge is about to replace `file`; `undefined` when none is. */
  whenUsable(file: LocalFile): Promise<void> | undefined {
    return this.#bound.whenUsable(file);
  }

  keptFiles(): ReadonlySet<LocalFile> {
    const kept = new Set<LocalFile>();
    for (const { releasedTxid, shipping } of this.#consumers) {
      if (shipping !== undefined) kept.add(shipping);
      const next =
        releasedTxid === undefined ? undefined : firstReaching(this.#files, nextTxid(releasedTxid));
      if (next !== undefined) kept.add(next);
      if (releasedTxid === undefined) for (const file of this.#unknownFiles()) kept.add(file);
    }
    return kept;
  }

  /**
   * Files that a destination may have under just these names, when it was not looked at yet: those of
   * earlier processes. Merging them is safe, but can cost a snapshot; so it waits for twice the bound.
   */
  #unknownFiles(): readonly LocalFile[] {
    const isExcessive =
      this.#queueBytes > 2 * this.#maxQueueBytes || this.#files.length > 2 * this.#maxQueueFiles;
    if (isExcessive) return this.#files.slice(0, 1);
    return this.#files.filter((file) => file.maxTxid <= this.#listedTxid);
  }

  replace(parts: readonly LocalFile[], merged: LocalFile): void {
    for (const file of parts) this.#remove(file);
    this.#insert(merged);
  }

  /** Waits for a merge in progress; afterwards none is started. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.#bound.close();
  }

  #isKnown(file: LocalFile): boolean {
    if (file.level !== 0) return this.#snapshots.some((known) => sameSpan(known, file));
    const known = firstReaching(this.#files, file.maxTxid);
    return known !== undefined && contains(known, file);
  }

  #insert(file: LocalFile): void {
    if (this.#isKnown(file)) return;
    const list = file.level === 0 ? this.#files : this.#snapshots;
    const index = list.findLastIndex((before) => compareSpans(before, file) < 0) + 1;
    list.splice(index, 0, file);
    if (file.level === 0) this.#queueBytes += file.sizeBytes;
    this.#positionTxid = largerTxid(this.#positionTxid, file.maxTxid);
  }

  #remove(file: LocalFile): void {
    const list = file.level === 0 ? this.#files : this.#snapshots;
    const index = list.indexOf(file);
    if (index < 0) return;
    list.splice(index, 1);
    if (file.level === 0) this.#queueBytes -= file.sizeBytes;
  }

  #list(level: number): LocalFile[] {
    const { files, directory } = this.#options;
    const path = join(directory, String(level));
    const found: LocalFile[] = [];
    for (const name of files.list("list local ltx", path)) {
      if (name.endsWith(MERGE_SUFFIX)) files.unlink("remove unfinished merge", join(path, name));
      const span = parseLtxFileName(name);
      const stat = span && files.stat("list local ltx", join(path, name));
      if (span === undefined || stat === undefined) continue;
      found.push({ level, ...span, sizeBytes: stat.sizeBytes });
    }
    return found.sort(compareSpans);
  }

  /** Resolves what an interrupted merge left: the merged file if it is whole, otherwise its parts. */
  #withoutParts(files: LocalFile[]): LocalFile[] {
    let kept = files;
    for (const outer of files) {
      if (outer.minTxid === outer.maxTxid || !kept.includes(outer)) continue;
      const parts = kept.filter((file) => file !== outer && contains(outer, file));
      if (parts.length === 0) continue;
      const isWhole = this.#isWhole(outer);
      kept = kept.filter((file) => (isWhole ? !parts.includes(file) : file !== outer));
      if (!isWhole) continue;
      for (const part of parts) {
        this.#options.files.unlink("remove merged part", this.pathOf(part));
      }
    }
    return kept;
  }

  #isWhole(file: LocalFile): boolean {
    try {
      verifyLocalFile(this.#options.files, this.pathOf(file), file);
      return true;
    } catch (error) {
      this.#options.logger.log("warn", "merged local file is damaged, its parts are used", {
        path: this.pathOf(file),
        error: toMillraceError(error).message,
      });
      return false;
    }
  }
}
