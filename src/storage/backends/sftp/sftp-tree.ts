/**
 * Directories of the server as a tree to list. Objects are regular files; symbolic links are passed over, wherever they lead,
 * except on the way to the replica's own directory.
 */
import type { Clock } from "../../../base/clock.ts";
import type { RequestMeter } from "../../meter.ts";
import { isOwnTemporary } from "../../tree/temporary.ts";
import type { Tree, TreeEntry } from "../../tree/walk.ts";
import { toFacts, type Handle, type SftpSession } from "./session.ts";
import { isRefused, STATUS } from "./sftp-errors.ts";

/**
 * Age at which the temporary file of an unfinished put counts as abandoned. The server's clock and those of its writers may
 * differ, and the protocol does not tell when a file was last changed: only times that its writer set.
 */
export const STALE_AFTER_MS: number = 24 * 60 * 60 * 1000;

export interface SftpTreeOptions {
  readonly session: SftpSession;
  readonly root: string;
  readonly signal: AbortSignal;
  readonly meter: RequestMeter;
  /** Given when abandoned temporary files are to be removed. */
  readonly clock: Clock | undefined;
}

export class SftpTree implements Tree {
  readonly #options: SftpTreeOptions;

  constructor(options: SftpTreeOptions) {
    this.#options = options;
  }

  async *entries(base: string): AsyncGenerator<TreeEntry, void, void> {
    const { session, root, signal, meter } = this.#options;
    meter.request("list");
    const handle = await this.#open(`${root}/${base}`);
    if (handle === undefined) return;
    try {
      for (;;) {
        const entries = await session.readDirectory(handle, signal);
        if (entries.length === 0) return;
        for (const { filename: name, attrs } of entries) {
          const { isFile, isDirectory, sizeBytes, modifiedMs, accessedMs } = toFacts(attrs);
          if (isDirectory) yield { name, isDirectory };
          if (!isFile) continue;
          await this.#removeStale(base + name, Math.max(accessedMs, modifiedMs));
          const info = { key: base + name, sizeBytes, createdAtMs: modifiedMs };
          yield { name, isDirectory, info };
        }
      }
    } finally {
      session.release(handle);
    }
  }

  /** `undefined` when there is no such directory. */
  async #open(path: string): Promise<Handle | undefined> {
    const { session, signal } = this.#options;
    try {
      return await session.openDirectory(path.replace(/(.)\/+$/, "$1"), signal);
    } catch (error) {
      if (isRefused(error, STATUS.noSuchFile)) return undefined;
      if (!isRefused(error, STATUS.failure)) throw error;
      // Some servers have no status of their own for what is not a directory.
      const found = await session.findPath(path.replace(/(.)\/+$/, "$1"), signal);
      if (found?.isDirectory !== false) throw error;
      return undefined;
    }
  }

  async #removeStale(key: string, touchedMs: number): Promise<void> {
    const { session, root, signal, clock } = this.#options;
    if (clock === undefined || !isOwnTemporary(key)) return;
    if (touchedMs >= clock.now() - STALE_AFTER_MS) return;
    // Gone already, or not ours to remove: it is invisible anyway.
    await session.remove(`${root}/${key}`, signal).catch(() => {});
  }
}
