/**
 * Directories that a put needs: created when missing, and durable before an object in them counts as stored.
 *
 * A new directory survives a crash only after its parent was flushed. Two puts may need the same new
 * directory at once, and another process may have made it a moment ago, so the first put into a directory
 * flushes the whole way from the root's parent, whoever created what; later puts know it and do nothing.
 */
import { dirname } from "node:path";
import { foreignCode } from "../../../errors.ts";
import { type FileOperations, OPEN_DIRECTORY } from "./operations.ts";

/** Known directories are forgotten all at once beyond this many; they are merely flushed again. */
const MAX_KNOWN = 10_000;

export interface DirectoriesOptions {
  readonly operations: FileOperations;
  readonly rootDirectory: string;
  readonly mode: number;
  readonly exactMode: boolean;
  readonly owner: { readonly uid: number; readonly gid: number } | undefined;
}

export class Directories {
  readonly #options: DirectoriesOptions;
  readonly #known = new Map<string, Promise<void>>();

  constructor(options: DirectoriesOptions) {
    this.#options = options;
  }

  /** Makes sure that `path`, the root or below it, exists durably. Costs nothing once it has succeeded. */
  ensure(path: string): Promise<void> {
    const known = this.#known.get(path);
    if (known !== undefined) return known;
    if (this.#known.size >= MAX_KNOWN) this.#known.clear();
    const ensured = this.#ensure(path);
    this.#known.set(path, ensured);
    ensured.catch(() => this.#known.delete(path));
    return ensured;
  }

  /** For a directory that turned out to be gone. */
  forget(): void {
    this.#known.clear();
  }

  async flush(path: string): Promise<void> {
    await flushDirectory(this.#options.operations, path);
  }

  async #ensure(path: string): Promise<void> {
    const { operations, rootDirectory } = this.#options;
    const created = await this.#create(path);
    for (let child = path; ; child = dirname(child)) {
      const isBelowRoot = child.length > rootDirectory.length;
      if (child.length < rootDirectory.length && !created.includes(child)) return;
      const parent = dirname(child);
      if (parent === child) return;
      await (isBelowRoot ? flushDirectory(operations, parent) : tryFlush(operations, parent));
    }
  }

  /** Creates `path` and its missing parents; returns what was created. */
  async #create(path: string): Promise<string[]> {
    const { operations, mode } = this.#options;
    try {
      await operations.mkdir(path, { mode });
    } catch (error) {
      const code = foreignCode(error);
      if (code === "EEXIST") return [];
      const parent = dirname(path);
      if (code !== "ENOENT" || parent === path) throw error;
      const parents = await this.#create(parent);
      return [...parents, ...(await this.#create(path))];
    }
    await this.#adjust(path);
    return [path];
  }

  async #adjust(path: string): Promise<void> {
    const { operations, exactMode, mode, owner } = this.#options;
    if (!exactMode && owner === undefined) return;
    const handle = await operations.open(path, OPEN_DIRECTORY);
    try {
      if (owner !== undefined) await handle.chown(owner.uid, owner.gid);
      if (exactMode) await handle.chmod(mode);
    } finally {
      await handle.close();
    }
  }
}

async function flushDirectory(operations: FileOperations, path: string): Promise<void> {
  const handle = await operations.open(path, OPEN_DIRECTORY);
  try {
    await handle.sync();
  } catch (error) {
    // Some file systems cannot flush a directory; they keep names durable by themselves or not at all.
    const code = foreignCode(error);
    if (code !== "EINVAL" && code !== "ENOTSUP" && code !== "ENOSYS") throw error;
  } finally {
    await handle.close();
  }
}

/** For directories above the root: they may not even be readable for us. */
async function tryFlush(operations: FileOperations, path: string): Promise<void> {
  try {
    await flushDirectory(operations, path);
  } catch (error) {
    const code = foreignCode(error);
    if (code !== "EACCES" && code !== "EPERM" && code !== "EROFS") throw error;
  }
}
