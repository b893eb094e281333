/**
 * Reading files that the store keeps on this machine, directly and in large pieces.
 *
 * An asynchronous read through the store costs tens of microseconds and a fresh buffer, a direct one next to
 * nothing; with thousands of small files, or a large one, that is most of a restore's time. Threads that may
 * block do it. Whatever goes wrong here is no verdict: the caller asks the store, which knows how to report.
 */
import { MillraceError } from "../errors.ts";
import type { Files } from "../platform/files.ts";

const OP = "read local file";

/** A range of a file by its path; `fileSizeBytes` is what the whole file must have. */
export interface LocalRange {
  readonly path: string;
  readonly fileSizeBytes: number;
  readonly offset: number;
  readonly sizeBytes: number;
}

/** Keeps the file that was read last open, because reads come in runs. */
export class LocalFile implements Disposable {
  readonly #files: Files;
  #open: { readonly path: string; readonly fd: number } | undefined;

  constructor(files: Files) {
    this.#files = files;
  }

  /** Fills `target` from `offset` on. Throws `storage/unavailable` when that is not possible, for any reason. */
  read(path: string, offset: number, target: Uint8Array): void {
    try {
      const count = this.#files.read(OP, this.#descriptor(path), target, offset);
      if (count === target.length) return;
      throw new MillraceError(
        "storage/unavailable",
        `${OP} "${path}": it ends at ${offset + count}`,
      );
    } catch (error) {
      this[Symbol.dispose]();
      throw unavailable(path, error);
    }
  }

  /** A range in a buffer of its own; `undefined` when it cannot be had or the file has another size. */
  readRange(range: LocalRange): Uint8Array<ArrayBuffer> | undefined {
    const { path, fileSizeBytes, offset, sizeBytes } = range;
    try {
      const stat = this.#files.fstat(OP, this.#descriptor(path));
      if (!stat.isFile || stat.sizeBytes !== fileSizeBytes) return undefined;
      const target = new Uint8Array(sizeBytes);
      this.read(path, offset, target);
      return target;
    } catch {
      // The store is asked instead; what is wrong shows there.
      return undefined;
    } finally {
      this[Symbol.dispose]();
    }
  }

  [Symbol.dispose](): void {
    if (this.#open === undefined) return;
    const { fd } = this.#open;
    this.#open = undefined;
    this.#files.close(OP, fd);
  }

  #descriptor(path: string): number {
    if (this.#open?.path !== path) {
      this[Symbol.dispose]();
      this.#open = { path, fd: this.#files.open(OP, path, "r") };
    }
    return this.#open.fd;
  }
}

function unavailable(path: string, cause: unknown): MillraceError {
  return new MillraceError("storage/unavailable", `${OP} "${path}": it cannot be read`, {
    op: OP,
    cause,
  });
}
