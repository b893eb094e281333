/**
 * One object for each epoch, for stores that create conditionally but do not compare: the highest epoch is the lease.
 *
 * An acquisition creates the next epoch's object; of two that try, the store lets one. Between an old holder that renews
 * and a new one that takes over there is no compare to decide, so both look after they wrote: the holder for a higher epoch,
 * the taker for a change of what it takes from. Whatever the order of the four steps, at least one sees the other
 * and yields. An acquisition that failed half-way is finished or taken back by the next reading. Needs a store whose finished puts are seen by every later list.
 * Frozen: the keys, docs/formats/lease.md.
 */
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

/** Folder of the objects, below the replica's path. */
export const EPOCH_FOLDER = "lease/";

/** A listing may name an object that is removed before it is read; then there is a higher one. */
const MAX_READS = 5;

const NAME = /^([0-9a-f]{16})\.json$/;
const decoder = new TextDecoder();

/** An acquisition whose object may be there, without the look that makes it count. */
interface Unconfirmed {
  readonly record: LeaseRecord;
  readonly version: LeaseVersion;
  readonly from: Found | undefined;
}

interface Found extends LeaseReading {
  readonly epoch: number;
  /** All epochs that have an object, ascending. */
  readonly epochs: readonly number[];
}

/** Object name of an epoch: 16 lower-case hexadecimal digits. */
export function epochName(epoch: number): string {
  return `${epoch.toString(16).padStart(16, "0")}.json`;
}

export class EpochObjects implements LeaseCell {
  readonly type: string;
  readonly #store: ObjectStore;
  readonly #folder: string;
  #unconfirmed: Unconfirmed | undefined;

  /** `base` is empty or ends in a slash. */
  constructor(store: ObjectStore, base: string) {
    this.type = store.type;
    this.#store = store;
    this.#folder = `${base}${EPOCH_FOLDER}`;
  }

  async read(call: LeaseCall = {}): Promise<LeaseReading | undefined> {
    const found = await this.#settle(await this.#find(call), call);
    return found && { record: found.record, version: found.version };
  }

  async write(record: LeaseRecord, options: LeaseWrite): Promise<LeaseVersion> {
    const { expected, signal } = options;
    const bytes = encodeRecord(record);
    const found = await this.#find({ signal });
    const where = this.#key(record.epoch);
    if ((found?.version ?? "absent") !== expected)
      throw conflict(where, `the lease is at epoch ${found?.epoch ?? 0} and changed meanwhile`);
    const version = versionOf(record.epoch, bytes);
    const isRenewal = found?.epoch === record.epoch;
    if (isRenewal) await this.#store.put(where, bytes, { signal });
    else {
      this.#unconfirmed = { record, version, from: found };
      await this.#create(where, bytes, signal);
    }
    const epochs = await this.#epochs({ signal });
    const above = epochs.filter((epoch) => epoch > record.epoch);
    if (above.length > 0) throw conflict(where, `epoch ${above[0]} is there already`);
    if (!isRenewal) await this.#confirm(record, found, epochs, signal);
    return version;
  }

  async [Symbol.asyncDispose](): Promise<void> {}

  async #create(where: string, bytes: Uint8Array, signal: AbortSignal | undefined): Promise<void> {
    try {
      await this.#store.put(where, bytes, { ifAbsent: true, signal });
    } catch (error) {
      if (!isMillraceError(error, "storage/exists")) throw error;
      this.#unconfirmed = undefined;
      throw conflict(where, "the object exists already", error);
    }
  }

  /** After the creation: nobody else may have appeared below, and the record taken from must be as it was read. */
  async #confirm(
    record: LeaseRecord,
    from: Found | undefined,
    epochs: readonly number[],
    signal: AbortSignal | undefined,
  ): Promise<void> {
    const where = this.#key(record.epoch);
    const known = new Set([record.epoch, ...(from?.epochs ?? [])]);
    const isAlone = epochs.every((epoch) => known.has(epoch));
    const before = from && (await readRecord(this.#store, this.#key(from.epoch), { signal }));
    const isAsRead =
      from === undefined ||
      (before !== undefined && versionOf(from.epoch, before.bytes) === from.version);
    if (isAlone && isAsRead) {
      this.#unconfirmed = undefined;
      const old = epochs.filter((epoch) => epoch < record.epoch).map((epoch) => this.#key(epoch));
      // Lower epochs decide nothing: what cannot be deleted now is litter that the next acquisition tries to remove.
      await this.#store.delete(old, { signal }).catch(() => {});
      return;
    }
    await this.#store.delete([where], { signal });
    this.#unconfirmed = undefined;
    throw conflict(where, "the holder is alive; this epoch was taken back");
  }

  /** Makes up for the look that an acquisition of this cell is owed before anybody goes by its record. */
  async #settle(found: Found | undefined, call: LeaseCall): Promise<Found | undefined> {
    const owed = this.#unconfirmed;
    if (owed === undefined || found?.version !== owed.version) return found;
    try {
      await this.#confirm(owed.record, owed.from, found.epochs, call.signal);
      return found;
    } catch (error) {
      if (!isMillraceError(error, "lease/conflict")) throw error;
      return this.#find(call);
    }
  }

  async #find(call: LeaseCall): Promise<Found | undefined> {
    for (let attempt = 1; ; attempt += 1) {
      const epochs = await this.#epochs(call);
      const epoch = epochs.at(-1);
      if (epoch === undefined) return undefined;
      const key = this.#key(epoch);
      const object = await readRecord(this.#store, key, call);
      if (object !== undefined) {
        const record = { ...object.record, epoch };
        return { record, version: versionOf(epoch, object.bytes), epoch, epochs };
      }
      if (attempt >= MAX_READS) throw conflict(key, "epochs come and go while they are read");
    }
  }

  /** Other objects in the folder are not ours and are ignored. */
  async #epochs(call: LeaseCall): Promise<number[]> {
    const epochs: number[] = [];
    for await (const { key } of this.#store.list(this.#folder, { signal: call.signal })) {
      const digits = NAME.exec(key.slice(this.#folder.length))?.[1];
      const epoch = digits === undefined ? 0 : Number.parseInt(digits, 16);
      if (epoch > 0 && Number.isSafeInteger(epoch)) epochs.push(epoch);
    }
    return epochs;
  }

  #key(epoch: number): string {
    return `${this.#folder}${epochName(epoch)}`;
  }
}

function versionOf(epoch: number, bytes: Uint8Array): LeaseVersion {
  return toVersion(`${epoch}:${decoder.decode(bytes)}`);
}
