/**
 * A lease that is decided beforehand: for people who know that one process writes, or which one must not, and for tests.
 *
 * `held` gives the lease to whoever asks; the epoch begins above the caller's floor in every process. `never` shows a
 * holder that is always alive.
 */
import {
  type LeaseCell,
  type LeaseReading,
  type LeaseRecord,
  type LeaseVersion,
  type LeaseWrite,
  toVersion,
} from "../../contract.ts";
import { conflict } from "../../errors.ts";
import { FOREIGN_TTL_MS } from "../../record.ts";

/** Name of the holder that `never` shows. */
export const NOBODY = "static: never";

export function openStaticCell(answer: "held" | "never"): LeaseCell {
  return answer === "held" ? new Held() : new Never();
}

class Held implements LeaseCell {
  readonly type = "static";
  #reading: LeaseReading | undefined;
  #countWrites = 0;

  async read(): Promise<LeaseReading | undefined> {
    return this.#reading;
  }

  async write(record: LeaseRecord, { expected }: LeaseWrite): Promise<LeaseVersion> {
    if ((this.#reading?.version ?? "absent") !== expected)
      throw conflict("static", "the record changed meanwhile");
    this.#countWrites += 1;
    const version = toVersion(String(this.#countWrites));
    this.#reading = { record, version };
    return version;
  }

  async [Symbol.asyncDispose](): Promise<void> {}
}

class Never implements LeaseCell {
  readonly type = "static";
  #countReads = 0;

  /** Every reading is another version: this holder never falls silent. */
  async read(): Promise<LeaseReading> {
    this.#countReads += 1;
    const record = { epoch: 1, owner: NOBODY, expiresAtMs: 1, ttlMs: FOREIGN_TTL_MS, renewals: 0 };
    return { record, version: toVersion(String(this.#countReads)) };
  }

  async write(): Promise<LeaseVersion> {
    throw conflict("static", "this lease is never given");
  }

  async [Symbol.asyncDispose](): Promise<void> {}
}
