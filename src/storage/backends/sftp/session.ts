/**
 * One SFTP session: the requests that the backend makes, as promises that end when the answer comes, the connection is
 * lost, or the caller gives up.
 *
 * SFTP has no way to take a request back: one that was given up is answered all the same, and what its answer opens is
 * closed again. The library calls nobody back for what is asked after a connection was lost, so that is watched here.
 */
import type { Callback, Client, FileEntry, SFTPWrapper, Stats } from "ssh2";
import { isMillraceError } from "../../../errors.ts";
import { isRefused, LostError, RefusedError, STATUS } from "./sftp-errors.ts";

export type Handle = Buffer;

type Done<T> = (error: Error | null | undefined, value?: T) => void;

/** Facts of a file that every server gives. */
export interface FileFacts {
  readonly sizeBytes: number;
  readonly isFile: boolean;
  readonly isDirectory: boolean;
  readonly modifiedMs: number;
  readonly accessedMs: number;
}

/** The kind of a file in its mode, as in POSIX. */
const KIND_MASK = 0o170000;
const KIND_FILE = 0o100000;
const KIND_DIRECTORY = 0o040000;

export const OPEN_READ = "r";
/** Fails when the file exists. */
export const OPEN_NEW = "wx";

export class SftpSession {
  readonly #client: Client;
  readonly #sftp: SFTPWrapper;
  readonly #pending = new Set<(error: LostError) => void>();
  #isLost = false;

  /** Takes over `client`. */
  constructor(client: Client, sftp: SFTPWrapper) {
    this.#client = client;
    this.#sftp = sftp;
    const onLost = (cause?: unknown): void => this.#lose(cause);
    client.on("error", onLost).on("close", () => onLost());
    sftp.on("error", onLost);
    sftp.on("end", () => onLost()).on("close", () => onLost());
  }

  get isLost(): boolean {
    return this.#isLost;
  }

  /** Ends the connection at once; what is running fails. */
  drop(): void {
    this.#lose();
  }

  open(
    path: string,
    flags: typeof OPEN_READ | typeof OPEN_NEW,
    options: { readonly signal: AbortSignal; readonly mode?: number },
  ): Promise<Handle> {
    const { signal, mode } = options;
    const release = (handle: Handle): void => this.release(handle);
    return this.#request<Handle>(signal, release, (done) => {
      if (mode === undefined) this.#sftp.open(path, flags, done);
      else this.#sftp.open(path, flags, { mode }, done);
    });
  }

  openDirectory(path: string, signal: AbortSignal): Promise<Handle> {
    const release = (handle: Handle): void => this.release(handle);
    return this.#request<Handle>(signal, release, (done) => this.#sftp.opendir(path, done));
  }

  /** The next entries; none at the end. */
  async readDirectory(handle: Handle, signal: AbortSignal): Promise<readonly FileEntry[]> {
    try {
      return await this.#request<FileEntry[]>(signal, undefined, (done) =>
        this.#sftp.readdir(handle, done),
      );
    } catch (error) {
      if (isRefused(error, STATUS.eof)) return [];
      throw error;
    }
  }

  /** Reads into `target`, from its start; the count is short where the server gave less, 0 at the end of the file. */
  read(handle: Handle, target: Buffer, position: number, signal: AbortSignal): Promise<number> {
    return this.#request<number>(signal, undefined, (done) =>
      this.#sftp.read(handle, target, 0, target.length, position, (error, count) =>
        done(error, count),
      ),
    );
  }

  /** Writes all of `bytes`, which may be used again when this returns. */
  write(handle: Handle, bytes: Uint8Array, position: number, signal: AbortSignal): Promise<void> {
    const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
    return this.#do(signal, (done) =>
      this.#sftp.write(handle, buffer, 0, buffer.length, position, done),
    );
  }

  async stat(handle: Handle, signal: AbortSignal): Promise<FileFacts> {
    return toFacts(
      await this.#request<Stats>(signal, undefined, (done) => this.#sftp.fstat(handle, done)),
    );
  }

  /** Does not follow a symbolic link. */
  async statPath(path: string, signal: AbortSignal): Promise<FileFacts> {
    return toFacts(
      await this.#request<Stats>(signal, undefined, (done) => this.#sftp.lstat(path, done)),
    );
  }

  /** Facts of what is at `path`; `undefined` for nothing. Follows symbolic links. */
  async findPath(path: string, signal: AbortSignal): Promise<FileFacts | undefined> {
    try {
      return toFacts(
        await this.#request<Stats>(signal, undefined, (done) => this.#sftp.stat(path, done)),
      );
    } catch (error) {
      if (isRefused(error, STATUS.noSuchFile)) return undefined;
      throw error;
    }
  }

  /** Whole seconds. */
  setTimes(
    handle: Handle,
    times: { readonly accessed: number; readonly modified: number },
    signal: AbortSignal,
  ): Promise<void> {
    return this.#do(signal, (done) =>
      this.#sftp.futimes(handle, times.accessed, times.modified, done),
    );
  }

  /** Flushes to the server's disk, where the server has a way to. */
  async flush(handle: Handle, signal: AbortSignal): Promise<void> {
    try {
      await this.#do(signal, (done) => this.#sftp.ext_openssh_fsync(handle, done));
    } catch (error) {
      if (!isRefused(error, STATUS.unsupported)) throw error;
    }
  }

  close(handle: Handle, signal: AbortSignal): Promise<void> {
    return this.#do(signal, (done) => this.#sftp.close(handle, done));
  }

  /** Closes without waiting; a handle of a lost session is closed by the server. */
  release(handle: Handle): void {
    if (!this.#isLost) this.#sftp.close(handle, () => {});
  }

  remove(path: string, signal: AbortSignal): Promise<void> {
    return this.#do(signal, (done) => this.#sftp.unlink(path, done));
  }

  makeDirectory(path: string, mode: number, signal: AbortSignal): Promise<void> {
    return this.#do(signal, (done) => this.#sftp.mkdir(path, { mode }, done));
  }

  /** Fails when `to` exists, on servers that keep to the protocol. */
  rename(from: string, to: string, signal: AbortSignal): Promise<void> {
    return this.#do(signal, (done) => this.#sftp.rename(from, to, done));
  }

  /** Replaces `to`. Refused as unsupported where the server has no such extension. */
  replace(from: string, to: string, signal: AbortSignal): Promise<void> {
    return this.#do(signal, (done) => this.#sftp.ext_openssh_rename(from, to, done));
  }

  /** Fails when `to` exists. Refused as unsupported where the server has no such extension. */
  link(from: string, to: string, signal: AbortSignal): Promise<void> {
    return this.#do(signal, (done) => this.#sftp.ext_openssh_hardlink(from, to, done));
  }

  async #do(signal: AbortSignal, start: (done: Callback) => void): Promise<void> {
    await this.#request<undefined>(signal, undefined, (done) =>
      start((error) => done(error, undefined)),
    );
  }

  /** `onLate` gets what arrives when nobody waits for it anymore. */
  #request<T>(
    signal: AbortSignal,
    onLate: ((value: T) => void) | undefined,
    start: (done: Done<T>) => void,
  ): Promise<T> {
    return new Promise<T>((resolve, reject) => {
      if (signal.aborted) return reject(signal.reason as Error);
      if (this.#isLost) return reject(new LostError({ isSent: false }));
      let isSettled = false;
      const settle = (act: () => void): void => {
        if (isSettled) return;
        isSettled = true;
        this.#pending.delete(onLost);
        signal.removeEventListener("abort", onAbort);
        act();
      };
      const onLost = (error: LostError): void => settle(() => reject(error));
      const onAbort = (): void => {
        settle(() => reject(signal.reason as Error));
        // A server that says nothing will not say anything to others either.
        if (isMillraceError(signal.reason, "storage/unavailable")) this.drop();
      };
      this.#pending.add(onLost);
      signal.addEventListener("abort", onAbort, { once: true });
      try {
        start((error, value) => {
          if (isSettled && (error === undefined || error === null)) onLate?.(value as T);
          settle(() => {
            if (error === undefined || error === null) resolve(value as T);
            else reject(toFailure(error));
          });
        });
      } catch (error) {
        // The library throws at once when the server did not announce an extension.
        settle(() => reject(new RefusedError(STATUS.unsupported, String(error))));
      }
    });
  }

  #lose(cause?: unknown): void {
    if (this.#isLost) return;
    this.#isLost = true;
    this.#client.destroy();
    const error = new LostError({ isSent: true, cause });
    for (const onLost of this.#pending) onLost(error);
  }
}

export function toFacts(attributes: Partial<Stats>): FileFacts {
  const { mode = 0, size = 0, mtime = 0, atime = 0 } = attributes;
  const kind = mode & KIND_MASK;
  return {
    sizeBytes: size,
    isFile: kind === KIND_FILE,
    isDirectory: kind === KIND_DIRECTORY,
    modifiedMs: mtime * 1000,
    accessedMs: atime * 1000,
  };
}

/** Statuses of the server are numbers; without one the connection was at fault. */
function toFailure(error: Error): Error {
  const status = "code" in error ? error.code : undefined;
  return typeof status === "number"
    ? new RefusedError(status, error.message)
    : new LostError({ isSent: true, cause: error });
}
