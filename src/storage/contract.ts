/**
 * The storage contract: what a backend is. Backends know bytes and keys, never LTX.
 *
 * Atomicity: an object becomes visible whole or not at all; a reader never sees part of one.
 * Consistency: a finished `put` is seen by every later `get`; whether it is seen by every later `list`
 * is a declared capability. Ordering: `list` yields keys in byte order.
 * Outcome: a put that fails with a retryable error may nevertheless have happened. A put that was aborted,
 * or whose source failed, has not, unless the abort came after the last byte was handed over.
 * Stores are open when handed out and closed by `Symbol.asyncDispose`, which is idempotent, refuses new
 * calls with `storage/closed` and ends running ones with the same error before it resolves.
 */

import type { StoreUsage } from "./meter.ts";

/**
 * A relative key: segments of printable characters joined by `/`, no empty, `.` or `..` segment, no
 * backslash, at most 1,024 bytes of UTF-8. The last segment does not end in `.tmp`: such names belong
 * to unfinished writes. Anything else is `storage/invalid-key`.
 */
export type ObjectKey = string;

export interface StoreCapabilities {
  /** `put` with `ifAbsent` fails with `storage/exists` when the object is there, atomically against other writers. */
  readonly conditionalCreate: boolean;
  /** `put` with `ifMatch` fails with `storage/precondition-failed` unless the object's etag is the given one. */
  readonly conditionalReplace: boolean;
  /** `get` with a range transfers only that range. */
  readonly rangeReads: boolean;
  /** A finished put is seen by every later list. */
  readonly consistentList: boolean;
  /** `list` returns the `createdAtMs` that `put` recorded; otherwise only `head` does. */
  readonly exactTimesInList: boolean;
  /**
   * Which `createdAtMs` of a put the store keeps: rounded down to multiples of this. 0 where it keeps none, and
   * the time at which the object arrived stands in for it. Default 1.
   */
  readonly timeUnitMs?: number | undefined;
  /** While an object is replaced, the old one or the new one is there; where not, there may be none for a moment. Default true. */
  readonly gaplessReplace?: boolean | undefined;
  /** Largest object in bytes. */
  readonly maxObjectBytes: number;
}

export interface ObjectInfo {
  readonly key: ObjectKey;
  readonly sizeBytes: number;
  /** When the content was made: the `createdAtMs` of the put where the store can tell, else the store's own time. Unix ms. */
  readonly createdAtMs: number;
  readonly etag?: string | undefined;
}

export interface CallOptions {
  readonly signal?: AbortSignal | undefined;
}

export interface GetOptions extends CallOptions {
  /** First byte wanted; default 0. */
  readonly offset?: number | undefined;
  /** Bytes wanted; default to the end. A range past the end is shortened, as in HTTP. */
  readonly sizeBytes?: number | undefined;
}

export interface PutOptions extends CallOptions {
  readonly ifAbsent?: boolean | undefined;
  readonly ifMatch?: string | undefined;
  /** Recorded with the object (file: mtime; object stores: metadata). Unix ms. */
  readonly createdAtMs?: number | undefined;
}

export interface ListOptions extends CallOptions {
  /** Only keys after this one, in byte order. */
  readonly startAfter?: string | undefined;
}

/**
 * What `get` delivers, once: either chunks in order, each owned by the receiver, or all `bytes`.
 * Leaving the iteration early releases the connection; a body that is not read at all is released by
 * disposing it (or with its store). More or fewer bytes than promised are `storage/truncated`.
 */
export interface ObjectBody extends AsyncIterable<Uint8Array>, AsyncDisposable {
  /** Facts about the whole object, not the range. */
  readonly info: ObjectInfo;
  /** The whole (ranged) body in one buffer owned by the caller. */
  bytes(): Promise<Uint8Array>;
}

/** Bytes to put. `open` may be called again for a retry and must then yield the same bytes. */
export type ByteSource =
  | Uint8Array
  | { readonly sizeBytes: number; open(): AsyncIterable<Uint8Array> };

export interface ObjectStore extends AsyncDisposable {
  /** Scheme-like name for messages: `file`, `memory`, `s3`. */
  readonly type: string;
  readonly capabilities: StoreCapabilities;
  get(key: ObjectKey, options?: GetOptions): Promise<ObjectBody>;
  /** Metadata only; `storage/not-found` when absent. */
  head(key: ObjectKey, options?: CallOptions): Promise<ObjectInfo>;
  put(key: ObjectKey, body: ByteSource, options?: PutOptions): Promise<ObjectInfo>;
  /** Every object whose key starts with `prefix`, in byte order. A missing prefix lists nothing. */
  list(prefix: string, options?: ListOptions): AsyncIterable<ObjectInfo>;
  /** Absent keys are fine. */
  delete(keys: readonly ObjectKey[], options?: CallOptions): Promise<void>;
  /**
   * Where an object is when it is a plain file of this machine, so that a thread may read it without this
   * store; `undefined`, or no such method, when it is none. The file need not exist. Objects are replaced
   * whole, so an open file stays what it was.
   */
  localPath?(key: ObjectKey): string | undefined;
  /** What the store's server was asked since it was opened; `undefined`, or no such method, when there is none. */
  usage?(): StoreUsage | undefined;
}
