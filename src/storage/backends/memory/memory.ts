/**
 * Objects in this process's memory: for tests, and as the plainest possible reading of the contract.
 *
 * Capabilities can be taken away one by one, so that code above the contract can be tested against poorer
 * stores without owning one.
 */
import type { Clock } from "../../../base/clock.ts";
import { MillraceError } from "../../../errors.ts";
import type {
  BackendBody,
  BackendCall,
  BackendGet,
  BackendList,
  BackendPut,
  BackendSource,
  StoreBackend,
} from "../../backend.ts";
import type { ObjectInfo, ObjectStore, StoreCapabilities } from "../../contract.ts";
import { compareKeys } from "../../keys.ts";
import { openStore } from "../../open-store.ts";

/** Bodies are delivered in pieces of this size, so that streaming is real here too. */
const CHUNK_BYTES = 256 * 1024;

const CAPABILITIES: StoreCapabilities = {
  conditionalCreate: true,
  conditionalReplace: true,
  rangeReads: true,
  consistentList: true,
  exactTimesInList: true,
  maxObjectBytes: 1024 * 1024 * 1024,
};

interface StoredObject {
  readonly bytes: Uint8Array;
  readonly createdAtMs: number;
  readonly storedAtMs: number;
  readonly etag: string;
}

/** The objects themselves; several stores may look at the same ones, as several processes at one bucket. */
export class MemoryObjects {
  readonly objects: Map<string, StoredObject> = new Map();
  /** The keys of `objects` in byte order. */
  readonly keys: string[] = [];
  version = 0;

  set(key: string, object: StoredObject): void {
    if (!this.objects.has(key)) this.keys.splice(this.firstAfter(key), 0, key);
    this.objects.set(key, object);
  }

  delete(key: string): void {
    if (!this.objects.delete(key)) return;
    this.keys.splice(this.firstAfter(key) - 1, 1);
  }

  /** Index of the first key that sorts after `key`. */
  firstAfter(key: string): number {
    let low = 0;
    let high = this.keys.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (compareKeys(this.keys[middle] ?? "", key) <= 0) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}

export interface MemoryStoreOptions {
  readonly clock: Clock;
  /** Shared with other stores; default: objects of its own. */
  readonly objects?: MemoryObjects | undefined;
  readonly capabilities?: Partial<StoreCapabilities> | undefined;
}

export function openMemoryStore(options: MemoryStoreOptions): ObjectStore {
  return openStore(new MemoryBackend(options));
}

class MemoryBackend implements StoreBackend {
  readonly type = "memory";
  readonly capabilities: StoreCapabilities;
  readonly #clock: Clock;
  readonly #objects: MemoryObjects;

  constructor(options: MemoryStoreOptions) {
    this.#clock = options.clock;
    this.#objects = options.objects ?? new MemoryObjects();
    this.capabilities = { ...CAPABILITIES, ...options.capabilities };
  }

  async get(key: string, call: BackendGet): Promise<BackendBody> {
    const object = this.#find("get object", key);
    const end = call.sizeBytes === undefined ? object.bytes.length : call.offset + call.sizeBytes;
    const wanted = object.bytes.slice(call.offset, end);
    return {
      info: toInfo(key, object, object.createdAtMs),
      chunks: async function* () {
        for (let offset = 0; offset < wanted.length; offset += CHUNK_BYTES) {
          yield wanted.slice(offset, offset + CHUNK_BYTES);
        }
      },
      bytes: () => Promise.resolve(wanted),
      close: () => Promise.resolve(),
    };
  }

  async head(key: string): Promise<ObjectInfo> {
    const object = this.#find("head object", key);
    return toInfo(key, object, object.createdAtMs);
  }

  async put(key: string, source: BackendSource, call: BackendPut): Promise<ObjectInfo> {
    const bytes = new Uint8Array(source.sizeBytes);
    let count = 0;
    for await (const chunk of source.open()) {
      bytes.set(chunk, count);
      count += chunk.length;
    }
    call.signal.throwIfAborted();
    const present = this.#objects.objects.get(key);
    if (call.ifAbsent && present !== undefined) {
      throw storageError("storage/exists", "put object", key, "the object exists already");
    }
    if (call.ifMatch !== undefined && present?.etag !== call.ifMatch) {
      const found = present === undefined ? "no object" : `etag ${present.etag}`;
      throw storageError(
        "storage/precondition-failed",
        "put object",
        key,
        `${found}, wanted ${call.ifMatch}`,
      );
    }
    const storedAtMs = this.#clock.now();
    this.#objects.version += 1;
    const object = {
      bytes,
      createdAtMs: call.createdAtMs ?? storedAtMs,
      storedAtMs,
      etag: `"${this.#objects.version}"`,
    };
    this.#objects.set(key, object);
    return toInfo(key, object, object.createdAtMs);
  }

  async *list(prefix: string, call: BackendList): AsyncGenerator<ObjectInfo, void, void> {
    const { keys, objects } = this.#objects;
    const exact = this.capabilities.exactTimesInList;
    let index =
      compareKeys(prefix, call.startAfter) > 0
        ? this.#from(prefix)
        : this.#objects.firstAfter(call.startAfter);
    for (;;) {
      const key = keys[index];
      if (key === undefined || !key.startsWith(prefix)) return;
      const object = objects.get(key);
      if (object !== undefined)
        yield toInfo(key, object, exact ? object.createdAtMs : object.storedAtMs);
      // The caller may have put or deleted meanwhile: find the place again.
      index = this.#objects.firstAfter(key);
    }
  }

  async delete(keys: readonly string[], _call: BackendCall): Promise<void> {
    for (const key of keys) this.#objects.delete(key);
  }

  async close(): Promise<void> {}

  /** Index of the first key that is `key` or sorts after it. */
  #from(key: string): number {
    const index = this.#objects.firstAfter(key);
    return this.#objects.keys[index - 1] === key ? index - 1 : index;
  }

  #find(op: string, key: string): StoredObject {
    const object = this.#objects.objects.get(key);
    if (object === undefined) throw storageError("storage/not-found", op, key, "no such object");
    return object;
  }
}

function toInfo(key: string, object: StoredObject, createdAtMs: number): ObjectInfo {
  return { key, sizeBytes: object.bytes.length, createdAtMs, etag: object.etag };
}

function storageError(
  code: "storage/not-found" | "storage/exists" | "storage/precondition-failed",
  op: string,
  key: string,
  found: string,
): MillraceError {
  return new MillraceError(code, `${op} "${key}": ${found}`, { op, details: { key } });
}
