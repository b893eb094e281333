/** Sees, from outside and by the file system's own notifications, when files appear in a replica's folder. */
import { mkdirSync, readdirSync, watch, type FSWatcher } from "node:fs";
import { join } from "node:path";
import { parseLtxFileName } from "../../src/ltx/names.ts";
import { nowMs } from "../lib/time.ts";

export class ReplicaWatch implements Disposable {
  readonly directory: string;
  readonly #watcher: FSWatcher;
  readonly #seen = new Map<string, number>();

  /** Watches level 0 of the replica at `root`, and makes the folder. */
  constructor(root: string) {
    this.directory = join(root, "ltx", "0");
    mkdirSync(this.directory, { recursive: true });
    this.#watcher = watch(this.directory, (_event, name) => {
      const timeMs = nowMs();
      if (name === null || parseLtxFileName(name) === undefined || this.#seen.has(name)) return;
      this.#seen.set(name, timeMs);
    });
  }

  /** Names of the files that are there, in order. */
  names(): string[] {
    return readdirSync(this.directory)
      .filter((name) => parseLtxFileName(name) !== undefined)
      .sort();
  }

  /** When a file appeared; undefined when nobody was told of it. */
  seenAt(name: string): number | undefined {
    return this.#seen.get(name);
  }

  [Symbol.dispose](): void {
    this.#watcher.close();
  }
}
