/** One put: a temporary file that is written, timed, flushed, and given its name when it is whole. */
import type { BackendPut, BackendSource } from "../../backend.ts";
import type { ObjectInfo } from "../../contract.ts";
import { invalidKey } from "../../keys.ts";
import { failureError, type Failure } from "../../remote/failures.ts";
import { temporaryPath } from "../../tree/temporary.ts";
import { OPEN_NEW, type Handle, type SftpSession } from "./session.ts";
import { isRefused, STATUS } from "./sftp-errors.ts";
import { writeAll } from "./transfer.ts";

/** What is made is for its owner alone, as the file backend has it. */
const DIRECTORY_MODE = 0o700;
const FILE_MODE = 0o600;
/** Temporary names tried before a put gives up. */
const MAX_NAME_ATTEMPTS = 100;
/** Times are 32 bits of seconds in the protocol. */
const MAX_SECONDS = 2 ** 32 - 1;

export interface UploadOptions {
  readonly session: SftpSession;
  readonly root: string;
  readonly path: string;
  readonly failure: Failure;
  /** Writes under way at once. */
  readonly limit: number;
  readonly nowMs: number;
  readonly call: BackendPut;
}

export class Upload {
  readonly #options: UploadOptions;
  #temporary: string | undefined;
  #handle: Handle | undefined;
  #isPublishing = false;

  constructor(options: UploadOptions) {
    this.#options = options;
  }

  /** Whether the object may have got its name. */
  get isPublishing(): boolean {
    return this.#isPublishing;
  }

  async run(source: BackendSource): Promise<ObjectInfo> {
    const { session, limit, failure, call } = this.#options;
    const { signal } = call;
    const handle = await this.#open();
    await writeAll(session, handle, source, { signal, limit });
    const createdAtMs = await this.#settle(handle);
    signal.throwIfAborted();
    this.#isPublishing = true;
    await this.#publish();
    return { key: failure.key ?? "", sizeBytes: source.sizeBytes, createdAtMs };
  }

  /** Removes what was written, if anything. */
  async discard(signal: AbortSignal): Promise<void> {
    const { session } = this.#options;
    if (this.#handle !== undefined) session.release(this.#handle);
    if (this.#temporary !== undefined) await session.remove(this.#temporary, signal);
  }

  /** Opens a new temporary file; makes the directories when they are missing. */
  async #open(): Promise<Handle> {
    const { session, path, call } = this.#options;
    const { signal } = call;
    let isMade = false;
    for (let attempt = 1; ; attempt += 1) {
      const temporary = temporaryPath(path);
      try {
        // Known before it is there: a put may be given up while it is being made.
        this.#temporary = temporary;
        this.#handle = await session.open(temporary, OPEN_NEW, { signal, mode: FILE_MODE });
        return this.#handle;
      } catch (error) {
        if (isRefused(error, STATUS.noSuchFile) && !isMade) {
          isMade = true;
          this.#temporary = undefined;
          await this.#makeDirectory(parentOf(path));
          continue;
        }
        // A name that exists was left by an earlier process with our number: not ours to remove.
        const isTaken =
          isRefused(error, STATUS.failure) &&
          (await session.findPath(temporary, signal)) !== undefined;
        if (isTaken) this.#temporary = undefined;
        if (!isTaken || attempt >= MAX_NAME_ATTEMPTS) throw error;
      }
    }
  }

  /** Creates a directory and its missing parents. */
  async #makeDirectory(path: string): Promise<void> {
    const { session, failure, call } = this.#options;
    const { signal } = call;
    try {
      await session.makeDirectory(path, DIRECTORY_MODE, signal);
    } catch (error) {
      // When it cannot be looked at either, the failure to make it is the one to report.
      const found = await session.findPath(path, signal).catch(() => undefined);
      if (found?.isDirectory === true) return;
      if (found !== undefined)
        throw invalidKey(failure.op, failure.key ?? "", `"${path}" on the server is a file`);
      const parent = parentOf(path);
      if (!isRefused(error, STATUS.noSuchFile) || parent === path) throw error;
      await this.#makeDirectory(parent);
      // Somebody else may make it at the same time.
      await session.makeDirectory(path, DIRECTORY_MODE, signal).catch(async (again: unknown) => {
        const there = await session.findPath(path, signal);
        if (there?.isDirectory !== true) throw again;
      });
    }
  }

  /** Times, flushes and closes the file; returns the time that it shows. */
  async #settle(handle: Handle): Promise<number> {
    const { session, nowMs, call } = this.#options;
    const { signal, createdAtMs } = call;
    let shownMs: number;
    if (createdAtMs === undefined) {
      shownMs = (await session.stat(handle, signal)).modifiedMs;
    } else {
      const modified = Math.min(Math.floor(createdAtMs / 1000), MAX_SECONDS);
      // The time of access is when it was written: it tells abandoned files from new ones.
      const accessed = Math.floor(nowMs / 1000);
      await session.setTimes(handle, { accessed, modified }, signal);
      shownMs = modified * 1000;
    }
    await session.flush(handle, signal);
    this.#handle = undefined;
    await session.close(handle, signal);
    return shownMs;
  }

  /** Gives the finished file its name; from here on the object is visible, whole. */
  async #publish(): Promise<void> {
    const { session, path, call } = this.#options;
    const temporary = this.#temporary ?? "";
    if (call.ifAbsent) {
      if (await this.#create(temporary)) {
        // The object is there; its second name is only litter, which a later listing may remove.
        await session.remove(temporary, call.signal).catch(() => {});
      }
    } else {
      await this.#replace(temporary, path);
    }
    this.#temporary = undefined;
  }

  /** Whether the temporary name is still there afterwards. */
  async #create(temporary: string): Promise<boolean> {
    const { session, path, call } = this.#options;
    const { signal } = call;
    try {
      await session.link(temporary, path, signal);
      return true;
    } catch (error) {
      await this.#refuseExisting(error);
      // No such extension, or a file system without links.
      const isOther = isRefused(error, STATUS.unsupported, STATUS.failure, STATUS.permissionDenied);
      if (!isOther) throw error;
    }
    try {
      await session.rename(temporary, path, signal);
      return false;
    } catch (error) {
      await this.#refuseExisting(error);
      throw error;
    }
  }

  /** A server says no more than "failure" about a name that is taken. */
  async #refuseExisting(error: unknown): Promise<void> {
    const { session, path, failure, call } = this.#options;
    if (!isRefused(error, STATUS.failure, STATUS.unsupported, STATUS.permissionDenied)) return;
    if ((await session.findPath(path, call.signal)) === undefined) return;
    throw failureError("storage/exists", failure, { found: "the object exists already" });
  }

  async #replace(temporary: string, path: string): Promise<void> {
    const { session, failure, call } = this.#options;
    const { signal } = call;
    try {
      await session.replace(temporary, path, signal);
    } catch (error) {
      const found = isRefused(error, STATUS.failure, STATUS.unsupported)
        ? await session.findPath(path, signal)
        : undefined;
      if (found?.isDirectory === true)
        throw invalidKey(failure.op, failure.key ?? "", `"${path}" on the server is a directory`);
      if (!isRefused(error, STATUS.unsupported)) throw error;
      if (found !== undefined) await session.remove(path, signal);
      await session.rename(temporary, path, signal);
    }
  }
}

function parentOf(path: string): string {
  const slash = path.lastIndexOf("/");
  if (slash < 0) return ".";
  return slash === 0 ? "/" : path.slice(0, slash);
}
