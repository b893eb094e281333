/**
 * The lease of one machine: a lock that the kernel frees when its process dies, and a file that keeps the record.
 *
 * There is no silence to wait out: the lock is free when the holder is gone, at once, and as long as the holder lives nobody
 * else gets it, even if it stands still. So everything that is not locked counts as given back.
 * Not for network file systems, whose locks are another matter.
 * Frozen: the two file names; the record is that of docs/formats/lease.md.
 */
import { dirname } from "node:path";
import { type Files, replaceFile } from "../../../platform/files.ts";
import { takeProcessLock } from "../../../sqlite/process-lock.ts";
import {
  type LeaseCall,
  type LeaseCell,
  type LeaseReading,
  type LeaseRecord,
  type LeaseVersion,
  type LeaseWrite,
  toVersion,
} from "../../contract.ts";
import { conflict } from "../../errors.ts";
import { decodeRecord, encodeRecord } from "../../record.ts";

/** The record stands beside the lock, under its name and this ending. */
export const RECORD_SUFFIX = ".json";

export interface LockFileCellOptions {
  /** The lock, a file of its own in an existing directory of a local file system. */
  readonly path: string;
  readonly files: Files;
}

export function openLockFileCell(options: LockFileCellOptions): LeaseCell {
  return new LockFileCell(options);
}

class LockFileCell implements LeaseCell {
  readonly type = "lock-file";
  readonly #options: LockFileCellOptions;
  #lock: Disposable | undefined;
  /** The record on disk is from this cell's own tenure. */
  #isOwn = false;

  constructor(options: LockFileCellOptions) {
    this.#options = options;
  }

  async read(call: LeaseCall = {}): Promise<LeaseReading | undefined> {
    call.signal?.throwIfAborted();
    const isLocked = this.#tryLock();
    const reading = this.#load();
    const isFree = isLocked && !this.#isOwn;
    // Nobody is kept waiting by one who only looks.
    if (isFree) this.#unlock();
    if (reading === undefined || !isFree) return reading;
    return { ...reading, record: { ...reading.record, expiresAtMs: 0 } };
  }

  async write(record: LeaseRecord, options: LeaseWrite): Promise<LeaseVersion> {
    const { expected, signal } = options;
    signal?.throwIfAborted();
    if (!this.#tryLock()) throw conflict(this.#path, "another process holds the lock");
    try {
      if ((this.#load()?.version ?? "absent") !== expected)
        throw conflict(this.#path, "the record changed meanwhile");
      const bytes = encodeRecord(record);
      this.#store(bytes, record.renewals === 0);
      this.#isOwn = record.expiresAtMs > 0;
      return versionOf(bytes);
    } finally {
      if (!this.#isOwn) this.#unlock();
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#unlock();
  }

  get #path(): string {
    return `${this.#options.path}${RECORD_SUFFIX}`;
  }

  #load(): LeaseReading | undefined {
    const bytes = this.#options.files.readFile("read lease", this.#path);
    if (bytes === undefined) return undefined;
    return { record: decodeRecord(bytes, this.#path), version: versionOf(bytes) };
  }

  /** An epoch must not come again after a power failure; a renewal may be forgotten. */
  #store(bytes: Uint8Array, isAcquisition: boolean): void {
    const { files } = this.#options;
    const op = "write lease";
    replaceFile(files, op, this.#path, bytes);
    if (!isAcquisition) return;
    const fd = files.open(op, this.#path, "r");
    try {
      files.fsync(op, fd);
    } finally {
      files.close(op, fd);
    }
    files.fsyncDirectory(op, dirname(this.#path));
  }

  #tryLock(): boolean {
    this.#lock ??= takeProcessLock(this.#options.path);
    return this.#lock !== undefined;
  }

  #unlock(): void {
    this.#lock?.[Symbol.dispose]();
    this.#lock = undefined;
    this.#isOwn = false;
  }
}

function versionOf(bytes: Uint8Array): LeaseVersion {
  return toVersion(Buffer.from(bytes).toString("latin1"));
}
