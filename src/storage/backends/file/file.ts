/**
 * Objects as files below a directory, for local disks and mounted network shares.
 *
 * Frozen on disk: an object's key is its path below the root; its `createdAtMs` is the file's mtime.
 * A put writes `<name>.<pid>.<n>.tmp` beside its target, sets the mtime, flushes, and only then gives the
 * file its name (link for a conditional create, rename otherwise), so that whatever a crash leaves behind is
 * an invisible temporary file and never an object with missing bytes or a wrong time.
 *
 * Source: benbjohnson/litestream@63225f1 `file.ReplicaClient`, which sets the mtime after the rename.
 */
import type { FileHandle } from "node:fs/promises";
import { resolve } from "node:path";
import type { Clock } from "../../../base/clock.ts";
import { foreignCode, MillraceError } from "../../../errors.ts";
import { systemClock } from "../../../platform/clock.ts";
import { translateFsError } from "../../../platform/fs-error.ts";
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
import { invalidKey } from "../../keys.ts";
import { openStore } from "../../open-store.ts";
import { temporaryPath } from "../../tree/temporary.ts";
import { Directories } from "./directories.ts";
import { FileBody } from "./file-body.ts";
import { isAbsent, isSystemError, putError, readError, storageError } from "./file-errors.ts";
import { listTree } from "./listing.ts";
import { toMs, toSeconds } from "./mtime.ts";
import { type FileOperations, nodeOperations, OPEN_OBJECT } from "./operations.ts";
import { TemporaryRemover } from "./temporary.ts";

export const DEFAULT_DIRECTORY_MODE = 0o700;
export const DEFAULT_FILE_MODE = 0o600;

/** Longest file name: what common file systems take (255 bytes) less the ending of a temporary name. */
export const MAX_NAME_BYTES = 220;

/** At most this many deletions run at once. */
const DELETE_BATCH = 64;

/** Temporary names tried before a put gives up. */
const MAX_NAME_ATTEMPTS = 1_000;

export interface FileStoreOptions {
  /** Where the objects are; created by the first put. May be a symbolic link. */
  readonly rootDirectory: string;
  /** Mode of created directories; default 0700. A given mode is set exactly, whatever the umask. */
  readonly directoryMode?: number | undefined;
  /** Mode of created files; default 0600. A given mode is set exactly, whatever the umask. */
  readonly fileMode?: number | undefined;
  /** Owner of created files and directories; default the process's. */
  readonly owner?: { readonly uid: number; readonly gid: number } | undefined;
  /** False for file systems without hard links: puts still work, conditional ones do not. Default true. */
  readonly hardLinks?: boolean | undefined;
  /** Listings remove abandoned temporary files of this backend that they pass. For writers; default false. */
  readonly removeStaleTemporaries?: boolean | undefined;
  readonly clock?: Clock | undefined;
  /** For tests that fail single calls. */
  readonly operations?: FileOperations | undefined;
}

export function openFileStore(options: FileStoreOptions): ObjectStore {
  return openStore(new FileBackend(options));
}

class FileBackend implements StoreBackend {
  readonly type = "file";
  readonly capabilities: StoreCapabilities;
  readonly #root: string;
  readonly #options: FileStoreOptions;
  readonly #operations: FileOperations;
  readonly #directories: Directories;
  readonly #remover: TemporaryRemover | undefined;

  constructor(options: FileStoreOptions) {
    this.#root = resolve(options.rootDirectory).replace(/\/$/, "");
    this.#options = options;
    this.#operations = options.operations ?? nodeOperations;
    this.#directories = new Directories({
      operations: this.#operations,
      rootDirectory: this.#root,
      mode: options.directoryMode ?? DEFAULT_DIRECTORY_MODE,
      exactMode: options.directoryMode !== undefined,
      owner: options.owner,
    });
    this.#remover =
      options.removeStaleTemporaries === true
        ? new TemporaryRemover(this.#operations, options.clock ?? systemClock)
        : undefined;
    this.capabilities = {
      conditionalCreate: options.hardLinks !== false,
      conditionalReplace: false,
      rangeReads: true,
      consistentList: true,
      exactTimesInList: true,
      maxObjectBytes: Number.MAX_SAFE_INTEGER,
    };
  }

  async get(key: string, call: BackendGet): Promise<BackendBody> {
    const op = "get object";
    const path = this.#path(op, key);
    let handle: FileHandle | undefined;
    try {
      handle = await this.#operations.open(path, OPEN_OBJECT);
      const stat = await handle.stat();
      if (!stat.isFile())
        throw storageError("storage/not-found", op, key, path, "not a regular file");
      const info = { key, sizeBytes: stat.size, createdAtMs: toMs(stat.mtimeMs) };
      return new FileBody(handle, path, info, call);
    } catch (error) {
      // The failure that led here is the one to report.
      await handle?.close().catch(() => {});
      throw readError(error, op, key, path);
    }
  }

  async head(key: string, _call: BackendCall): Promise<ObjectInfo> {
    const op = "head object";
    const path = this.#path(op, key);
    try {
      const stat = await this.#operations.lstat(path);
      if (!stat.isFile())
        throw storageError("storage/not-found", op, key, path, "not a regular file");
      return { key, sizeBytes: stat.size, createdAtMs: toMs(stat.mtimeMs) };
    } catch (error) {
      throw readError(error, op, key, path);
    }
  }

  async put(key: string, source: BackendSource, call: BackendPut): Promise<ObjectInfo> {
    const op = "put object";
    const path = this.#path(op, key);
    const directory = path.slice(0, path.lastIndexOf("/"));
    try {
      await this.#directories.ensure(directory);
      const { handle, temporary } = await this.#createTemporary(path, directory);
      let createdAtMs: number;
      try {
        createdAtMs = await this.#fill(handle, source, call);
        call.signal.throwIfAborted();
        await this.#publish(temporary, path, key, call.ifAbsent);
      } catch (error) {
        // The failure that led here is the one to report; what stays is invisible, and a later listing may remove it.
        await this.#operations.unlink(temporary).catch(() => {});
        throw error;
      }
      await this.#directories.flush(directory);
      return { key, sizeBytes: source.sizeBytes, createdAtMs };
    } catch (error) {
      throw putError(error, op, key, path);
    }
  }

  async *list(prefix: string, call: BackendList): AsyncGenerator<ObjectInfo, void, void> {
    try {
      yield* listTree(prefix, {
        operations: this.#operations,
        rootDirectory: this.#root,
        startAfter: call.startAfter,
        signal: call.signal,
        temporaries: this.#remover,
      });
    } catch (error) {
      throw isSystemError(error)
        ? translateFsError(error, "list objects", `${this.#root}/${prefix}`)
        : error;
    }
  }

  async delete(keys: readonly string[], call: BackendCall): Promise<void> {
    const op = "delete objects";
    const paths = keys.map((key) => this.#path(op, key));
    const touched = new Set<string>();
    for (let start = 0; start < paths.length; start += DELETE_BATCH) {
      call.signal.throwIfAborted();
      const batch = paths.slice(start, start + DELETE_BATCH);
      const results = await Promise.allSettled(batch.map((path) => this.#remove(path, touched)));
      for (const result of results) if (result.status === "rejected") throw result.reason;
    }
    for (const directory of touched) {
      await this.#directories.flush(directory).catch((error: unknown) => {
        if (!isAbsent(error)) throw translateFsError(error, op, directory);
      });
    }
  }

  localPath(key: string): string {
    return this.#path("locate object", key);
  }

  async close(): Promise<void> {}

  #path(op: string, key: string): string {
    for (const segment of key.split("/")) {
      if (Buffer.byteLength(segment) > MAX_NAME_BYTES) {
        throw invalidKey(op, key, `a file name takes at most ${MAX_NAME_BYTES} bytes`);
      }
    }
    return `${this.#root}/${key}`;
  }

  /** The directory may have been removed since it was last used: then it is made again, once. */
  async #createTemporary(
    path: string,
    directory: string,
  ): Promise<{ handle: FileHandle; temporary: string }> {
    const mode = this.#options.fileMode ?? DEFAULT_FILE_MODE;
    let isMadeAgain = false;
    for (let attempt = 1; ; attempt += 1) {
      const temporary = temporaryPath(path);
      try {
        return { handle: await this.#operations.open(temporary, "wx", mode), temporary };
      } catch (error) {
        const code = foreignCode(error);
        // A temporary name that exists was left by an earlier process with our pid: take the next number.
        if (code === "EEXIST" && attempt < MAX_NAME_ATTEMPTS) continue;
        if (code !== "ENOENT" || isMadeAgain) throw error;
        isMadeAgain = true;
        this.#directories.forget();
        await this.#directories.ensure(directory);
      }
    }
  }

  /** Writes, times and flushes a temporary file, and closes it. Returns its creation time. */
  async #fill(handle: FileHandle, source: BackendSource, call: BackendPut): Promise<number> {
    const { owner, fileMode } = this.#options;
    try {
      let offset = 0;
      if (source.bytes !== undefined) {
        await writeAll(handle, source.bytes, 0);
      } else {
        for await (const chunk of source.open()) {
          await writeAll(handle, chunk, offset);
          offset += chunk.length;
        }
      }
      if (owner !== undefined) await handle.chown(owner.uid, owner.gid);
      if (fileMode !== undefined) await handle.chmod(fileMode);
      const { createdAtMs } = call;
      if (createdAtMs !== undefined)
        await handle.utimes(toSeconds(createdAtMs), toSeconds(createdAtMs));
      await handle.sync();
      return createdAtMs ?? toMs((await handle.stat()).mtimeMs);
    } finally {
      await handle.close();
    }
  }

  /** Gives the finished file its name; from here on the object is visible, whole. */
  async #publish(temporary: string, path: string, key: string, ifAbsent: boolean): Promise<void> {
    if (!ifAbsent) {
      await this.#operations.rename(temporary, path);
      return;
    }
    try {
      await this.#operations.link(temporary, path);
    } catch (error) {
      const code = foreignCode(error);
      if (code === "EEXIST") {
        throw storageError("storage/exists", "put object", key, path, "the object exists already");
      }
      if (code !== "EPERM" && code !== "ENOTSUP" && code !== "ENOSYS") throw error;
      throw new MillraceError(
        "storage/unsupported",
        `put object "${key}": no hard links at "${path}"`,
        {
          op: "put object",
          details: { key, path, capability: "conditionalCreate" },
          hint: "the file system has no hard links, which conditional creates need; open the store without them",
          cause: error,
        },
      );
    }
    // The object is there; its second name is only litter, which a later listing may remove.
    await this.#operations.unlink(temporary).catch(() => {});
  }

  async #remove(path: string, touched: Set<string>): Promise<void> {
    try {
      await this.#operations.unlink(path);
      touched.add(path.slice(0, path.lastIndexOf("/")));
    } catch (error) {
      const code = foreignCode(error);
      // EISDIR (Linux) and EPERM (macOS) for a directory: no object has that key.
      if (isAbsent(error) || code === "EISDIR") return;
      throw translateFsError(error, "delete objects", path);
    }
  }
}

async function writeAll(handle: FileHandle, bytes: Uint8Array, position: number): Promise<void> {
  let count = 0;
  while (count < bytes.length) {
    const { bytesWritten } = await handle.write(
      bytes,
      count,
      bytes.length - count,
      position + count,
    );
    count += bytesWritten;
  }
}
