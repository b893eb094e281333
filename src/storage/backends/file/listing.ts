/**
 * Listing what is below a directory of this machine.
 *
 * Objects are regular files. Symbolic links to files are skipped; links to directories are followed, unless
 * they lead back to a directory above them.
 */
import type { Dirent } from "node:fs";
import type { ObjectInfo } from "../../contract.ts";
import { type Tree, type TreeEntry, walkTree, type WalkOptions } from "../../tree/walk.ts";
import { isAbsent } from "./file-errors.ts";
import { toMs } from "./mtime.ts";
import type { FileOperations } from "./operations.ts";

/** Entries fetched from the system per call. */
const READ_ENTRIES = 1_024;

export interface ListTreeOptions extends WalkOptions {
  readonly operations: FileOperations;
  readonly rootDirectory: string;
  /** Told about every temporary file that the walk passes. */
  readonly temporaries?: { visit(path: string): Promise<void> } | undefined;
}

export function listTree(
  prefix: string,
  options: ListTreeOptions,
): AsyncGenerator<ObjectInfo, void, void> {
  return walkTree(new FileTree(options), prefix, options);
}

class FileTree implements Tree {
  readonly #options: ListTreeOptions;

  constructor(options: ListTreeOptions) {
    this.#options = options;
  }

  async *entries(
    base: string,
    isWanted: (name: string) => boolean,
  ): AsyncGenerator<TreeEntry, void, void> {
    const { operations } = this.#options;
    try {
      const options = { bufferSize: READ_ENTRIES };
      for await (const dirent of await operations.opendir(this.#path(base), options)) {
        if (!isWanted(dirent.name)) continue;
        const entry = await this.#classify(base, dirent);
        if (entry !== undefined) yield entry;
      }
    } catch (error) {
      if (!isAbsent(error)) throw error;
    }
  }

  /** `undefined` when the object was deleted since its directory was read. */
  async stat(key: string): Promise<ObjectInfo | undefined> {
    try {
      const stat = await this.#options.operations.lstat(this.#path(key));
      return stat.isFile()
        ? { key, sizeBytes: stat.size, createdAtMs: toMs(stat.mtimeMs) }
        : undefined;
    } catch (error) {
      if (isAbsent(error)) return undefined;
      throw error;
    }
  }

  async visitTemporary(key: string): Promise<void> {
    await this.#options.temporaries?.visit(this.#path(key));
  }

  /** What a directory entry is to a listing; `undefined` when it is nothing. */
  async #classify(base: string, dirent: Dirent): Promise<TreeEntry | undefined> {
    const { name } = dirent;
    if (dirent.isFile()) return { name, isDirectory: false };
    const isDirectory =
      dirent.isDirectory() || (dirent.isSymbolicLink() && (await this.#leadsDown(base, name)));
    return isDirectory ? { name, isDirectory } : undefined;
  }

  /** Whether a symbolic link is a directory that does not contain the link itself. */
  async #leadsDown(base: string, name: string): Promise<boolean> {
    const { operations } = this.#options;
    try {
      const target = await operations.realpath(this.#path(base + name));
      if (!(await operations.stat(target)).isDirectory()) return false;
      const here = await operations.realpath(this.#path(base));
      return !`${here}/`.startsWith(target === "/" ? "/" : `${target}/`);
    } catch (error) {
      if (isAbsent(error)) return false;
      throw error;
    }
  }

  #path(key: string): string {
    return `${this.#options.rootDirectory}/${key}`;
  }
}
