/**
 * Hints that a database is being written, from the file system's notifications: one watch a directory, only while
 * some database in it wants them.
 *
 * Each write to a WAL is a notification and wakes this thread, often on the writer's own processor and in the
 * middle of its commit; a commit then waits for what a capture takes. So a database that is looked at
 * by the clock anyway, because commits keep coming, asks for no hints.
 */
import { watch, type FSWatcher } from "node:fs";
import { basename, dirname } from "node:path";

/** Files beside a database whose change may be a commit. */
const SUFFIXES = ["", "-wal", "-journal"];

interface Directory {
  /** Absent where no watch is to be had for now. */
  watcher: FSWatcher | undefined;
  /** By file name; several when a database is captured under several keys. */
  readonly hints: Map<string, Set<() => void>>;
}

export class WriteHints implements Disposable {
  readonly #directories = new Map<string, Directory>();

  /** Calls `hint` whenever the database at `path` may have been written, until the result is disposed. */
  listen(path: string, hint: () => void): Disposable {
    const parent = dirname(path);
    const names = SUFFIXES.map((suffix) => basename(path) + suffix);
    const directory = this.#directory(parent);
    for (const name of names) {
      const known = directory.hints.get(name);
      if (known === undefined) directory.hints.set(name, new Set([hint]));
      else known.add(hint);
    }
    this.#open(parent, directory);
    return {
      [Symbol.dispose]: () => {
        for (const name of names) {
          const known = directory.hints.get(name);
          known?.delete(hint);
          if (known?.size === 0) directory.hints.delete(name);
        }
        if (directory.hints.size > 0) return;
        directory.watcher?.close();
        if (this.#directories.get(parent) === directory) this.#directories.delete(parent);
      },
    };
  }

  #directory(path: string): Directory {
    const known = this.#directories.get(path);
    if (known !== undefined) return known;
    const directory: Directory = { watcher: undefined, hints: new Map() };
    this.#directories.set(path, directory);
    return directory;
  }

  /** Tries again where no watch was to be had. */
  retry(): void {
    for (const [path, directory] of this.#directories) this.#open(path, directory);
  }

  #open(path: string, directory: Directory): void {
    if (directory.watcher !== undefined) return;
    try {
      const watcher = watch(path, { persistent: false }, (_event, name) => notice(directory, name));
      watcher.on("error", () => {
        watcher.close();
        directory.watcher = undefined;
      });
      directory.watcher = watcher;
    } catch {
      // Too many watches, or the directory is gone: the clock alone finds the commits, until a retry succeeds.
    }
  }

  [Symbol.dispose](): void {
    for (const { watcher } of this.#directories.values()) watcher?.close();
    this.#directories.clear();
  }
}

function notice({ hints }: Directory, name: string | null): void {
  const heard = name === null ? [...hints.values()] : [hints.get(name) ?? []];
  // A hint may end its own listening.
  for (const hint of heard.flatMap((set) => [...set])) hint();
}
