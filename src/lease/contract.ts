/**
 * The lease contract: a cell that holds one record and can be compared and swapped.
 *
 * Who may ship to a destination is written in one small record; whoever changes it by comparing with what he read
 * owns it for the record's TTL. Every lease provider is such a cell and nothing more: time, renewal and takeover are
 * the business of `lease-state.ts`, the same for all of them.
 * Frozen: the meaning of the fields, docs/formats/lease.md.
 */

declare const brand: unique symbol;

export interface LeaseRecord {
  /** The fencing token: from 1, one more with every acquisition, never starting again. */
  readonly epoch: number;
  /** A stable name of the holder: the same after its restart, and never that of two running processes. */
  readonly owner: string;
  /**
   * Unix ms. For people and for other implementations: Millrace decides nothing by it, except that 0 or less says that
   * the lease was given back.
   */
  readonly expiresAtMs: number;
  /** How long the record, unchanged, keeps others out. Milliseconds. */
  readonly ttlMs: number;
  /** Renewals since the acquisition, so that no two records of one holder are alike, whatever its clock says. */
  readonly renewals: number;
}

/** What a cell compares: an etag, a revision. Opaque, equal for the same content and different for any other. */
export type LeaseVersion = string & { readonly [brand]: "LeaseVersion" };

/** The state a write expects: the version that was read, or that there was nothing. */
export type Expected = LeaseVersion | "absent";

export interface LeaseReading {
  readonly record: LeaseRecord;
  readonly version: LeaseVersion;
}

export interface LeaseCall {
  readonly signal?: AbortSignal | undefined;
}

export interface LeaseWrite extends LeaseCall {
  readonly expected: Expected;
}

/**
 * One record in a store. Consistency: a finished `write` is seen by every later `read`. Atomicity: of writes that expect
 * the same state at most one succeeds, all others fail with `lease/conflict`.
 * Outcome: a write that fails with any other error, an abort included, may nevertheless have happened, or happen yet.
 */
export interface LeaseCell extends AsyncDisposable {
  /** Name of the provider, for messages. */
  readonly type: string;
  /** What the cell holds; `undefined` when nothing. `lease/invalid` when it cannot be read as a record. */
  read(call?: LeaseCall): Promise<LeaseReading | undefined>;
  /** Replaces the record; returns its new version. `lease/conflict` when the cell holds something else by now. */
  write(record: LeaseRecord, options: LeaseWrite): Promise<LeaseVersion>;
}

/** Whether the holder gave the lease back. */
export function isReleased(record: LeaseRecord): boolean {
  return record.expiresAtMs <= 0;
}

export function toVersion(text: string): LeaseVersion {
  return text as LeaseVersion;
}
