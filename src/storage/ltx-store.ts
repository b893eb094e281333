/**
 * The one place that maps LTX files to object keys, for every backend.
 *
 * Frozen: the two layouts, which are Litestream's. Names are fixed-width hexadecimal, so byte order of keys
 * is the order of (min, max) TXIDs, and seeking is listing after a key.
 *
 * Source: benbjohnson/litestream@63225f1 `LTXFilePath` and, for the other layout, `s3.ReplicaClient`.
 */
import { assert } from "../base/assert.ts";
import { formatTxid, type Txid } from "../base/ids.ts";
import { isMillraceError, MillraceError } from "../errors.ts";
import { ltxFileName, parseLtxFileName } from "../ltx/names.ts";
import type {
  ByteSource,
  CallOptions,
  GetOptions,
  ObjectBody,
  ObjectInfo,
  ObjectKey,
  ObjectStore,
  StoreCapabilities,
} from "./contract.ts";

/** `ltx`: `ltx/<level>/<name>`, decimal. `s3`: `<level as 4 hex digits>/<name>`, no `ltx` segment. */
export type LtxLayout = "ltx" | "s3";

/** Highest level: snapshots. */
export const MAX_LEVEL = 9;

/** Heads in flight when a listing needs exact times that the store's listing does not have. */
const HEAD_BATCH = 32;

export interface LtxFileId {
  readonly level: number;
  readonly minTxid: Txid;
  readonly maxTxid: Txid;
}

export interface LtxFileInfo extends LtxFileId {
  readonly sizeBytes: number;
  /** The header's timestamp where the store keeps it, else the store's own time. Unix ms. */
  readonly createdAtMs: number;
}

export interface LtxStoreOptions {
  /** Default `ltx`. */
  readonly layout?: LtxLayout | undefined;
}

export interface LtxListOptions extends CallOptions {
  /** Only files whose `minTxid` is at least this. */
  readonly seek?: Txid | undefined;
  /** Ask for each object's own record of its time where the listing does not have it: a request per file. */
  readonly exactTimes?: boolean | undefined;
}

export interface LtxWriteOptions extends CallOptions {
  /** The timestamp in the file's header. Unix ms. */
  readonly createdAtMs: number;
  /** Fail with `storage/exists` when the file is there. */
  readonly ifAbsent?: boolean | undefined;
}

export class LtxStore implements AsyncDisposable {
  /** The store underneath, which this one owns. */
  readonly store: ObjectStore;
  readonly layout: LtxLayout;

  constructor(store: ObjectStore, options: LtxStoreOptions = {}) {
    this.store = store;
    this.layout = options.layout ?? "ltx";
  }

  get capabilities(): StoreCapabilities {
    return this.store.capabilities;
  }

  /** Where a file is in the store. */
  keyOf(file: LtxFileId): ObjectKey {
    return `${this.levelPrefix(file.level)}${ltxFileName(file.minTxid, file.maxTxid)}`;
  }

  /** The common beginning of the keys of one level, ending in `/`. */
  levelPrefix(level: number): string {
    assert(
      Number.isInteger(level) && level >= 0 && level <= MAX_LEVEL,
      `LTX level ${level} is out of range`,
    );
    const name = this.layout === "ltx" ? `ltx/${level}` : level.toString(16).padStart(4, "0");
    return `${name}/`;
  }

  /** The files of a level in order of (min, max) TXID; objects with other names are skipped. */
  async *list(
    level: number,
    options: LtxListOptions = {},
  ): AsyncGenerator<LtxFileInfo, void, void> {
    const { seek, signal } = options;
    const prefix = this.levelPrefix(level);
    // Every name of a file with a lower minTxid sorts before the bare seek TXID, every other one after it.
    const startAfter = seek === undefined ? undefined : `${prefix}${formatTxid(seek)}`;
    const objects = this.store.list(prefix, { startAfter, signal });
    const needsHeads = options.exactTimes === true && !this.capabilities.exactTimesInList;
    for await (const info of needsHeads ? this.#withExactTimes(objects, signal) : objects) {
      const file = toLtxFile(level, prefix, info);
      if (file !== undefined) yield file;
    }
  }

  /** The content of a file, or a range of it; `storage/not-found` when absent. */
  open(file: LtxFileId, options: GetOptions = {}): Promise<ObjectBody> {
    return this.store.get(this.keyOf(file), options);
  }

  /** Where a file is when the store keeps it as a plain file of this machine; see `ObjectStore.localPath`. */
  localPath(file: LtxFileId): string | undefined {
    return this.store.localPath?.(this.keyOf(file));
  }

  /** Facts about one file; `storage/not-found` when absent. */
  async head(file: LtxFileId, options: CallOptions = {}): Promise<LtxFileInfo> {
    return withFacts(file, await this.store.head(this.keyOf(file), options));
  }

  /** Stores a file whole or not at all. */
  async write(file: LtxFileId, body: ByteSource, options: LtxWriteOptions): Promise<LtxFileInfo> {
    if (file.minTxid > file.maxTxid) {
      const range = `${formatTxid(file.minTxid)}-${formatTxid(file.maxTxid)}`;
      throw new MillraceError(
        "storage/misuse",
        `write LTX file "${range}": the TXIDs are in the wrong order`,
      );
    }
    return withFacts(file, await this.store.put(this.keyOf(file), body, options));
  }

  /** Absent files are fine. */
  async delete(files: readonly LtxFileId[], options: CallOptions = {}): Promise<void> {
    await this.store.delete(
      files.map((file) => this.keyOf(file)),
      options,
    );
  }

  [Symbol.asyncDispose](): PromiseLike<void> {
    return this.store[Symbol.asyncDispose]();
  }

  async *#withExactTimes(
    objects: AsyncIterable<ObjectInfo>,
    signal: AbortSignal | undefined,
  ): AsyncGenerator<ObjectInfo, void, void> {
    let batch: string[] = [];
    for await (const { key } of objects) {
      batch.push(key);
      if (batch.length < HEAD_BATCH) continue;
      yield* await this.#heads(batch, signal);
      batch = [];
    }
    yield* await this.#heads(batch, signal);
  }

  /** Facts about each key, in order, without those that were deleted meanwhile. */
  async #heads(keys: readonly string[], signal: AbortSignal | undefined): Promise<ObjectInfo[]> {
    const found = await Promise.all(
      keys.map((key) =>
        this.store.head(key, { signal }).catch((error: unknown) => {
          if (isMillraceError(error, "storage/not-found")) return undefined;
          throw error;
        }),
      ),
    );
    return found.filter((info) => info !== undefined);
  }
}

function toLtxFile(level: number, prefix: string, info: ObjectInfo): LtxFileInfo | undefined {
  const range = parseLtxFileName(info.key.slice(prefix.length));
  if (range === undefined) return undefined;
  return withFacts({ level, minTxid: range.minTxid, maxTxid: range.maxTxid }, info);
}

function withFacts(file: LtxFileId, info: ObjectInfo): LtxFileInfo {
  const { level, minTxid, maxTxid } = file;
  return { level, minTxid, maxTxid, sizeBytes: info.sizeBytes, createdAtMs: info.createdAtMs };
}
