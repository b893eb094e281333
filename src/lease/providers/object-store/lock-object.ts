/**
 * One object, `lock.json`, replaced only if its etag is the one that was read.
 *
 * Frozen: the key and the content, which Litestream's leaser reads and writes as well. That one deletes the object to
 * release it and then starts again at 1, which is why the epoch's floor is kept by the machine and not here.
 * Source: benbjohnson/litestream@63225f1 `s3.Leaser`.
 */
import { defined } from "../../../base/assert.ts";
import { isMillraceError } from "../../../errors.ts";
import type { ObjectStore } from "../../../storage/contract.ts";
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
import { encodeRecord } from "../../record.ts";
import { readRecord } from "./read-record.ts";

export const LOCK_KEY = "lock.json";

export class LockObject implements LeaseCell {
  readonly type: string;
  readonly #store: ObjectStore;
  readonly #key: string;

  /** `base` is empty or ends in a slash. */
  constructor(store: ObjectStore, base: string) {
    this.type = store.type;
    this.#store = store;
    this.#key = `${base}${LOCK_KEY}`;
  }

  async read(call: LeaseCall = {}): Promise<LeaseReading | undefined> {
    const found = await readRecord(this.#store, this.#key, call);
    if (found === undefined) return undefined;
    const etag = defined(found.etag, "etag of a store that compares etags");
    return { record: found.record, version: toVersion(etag) };
  }

  async write(record: LeaseRecord, options: LeaseWrite): Promise<LeaseVersion> {
    const { expected, signal } = options;
    const condition = expected === "absent" ? { ifAbsent: true } : { ifMatch: expected };
    try {
      const info = await this.#store.put(this.#key, encodeRecord(record), { ...condition, signal });
      return toVersion(defined(info.etag, "etag of a store that compares etags"));
    } catch (error) {
      // Replacing what was deleted meanwhile is a conflict too, however the store calls it.
      const codes = ["storage/exists", "storage/precondition-failed", "storage/not-found"] as const;
      if (!isMillraceError(error, ...codes)) throw error;
      throw conflict(this.#key, "the object changed meanwhile", error);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {}
}
