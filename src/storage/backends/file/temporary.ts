/**
 * Temporary files of unfinished puts: what happens to those that a crash left behind.
 *
 * Whether the writer of a temporary file still lives cannot be told from its pid: another container or host
 * may write to the same directory. Its age can: every write changes the inode's ctime, which nobody can set.
 * One whose ctime is older than `STALE_AFTER_MS` is abandoned. Should its writer be alive after all (its
 * source stalled that long), its put fails with an error and is tried again; nothing half-written is shown.
 * Only names of our own form are touched, and only by stores that were opened for writing.
 */
import type { Clock } from "../../../base/clock.ts";
import { isOwnTemporary } from "../../tree/temporary.ts";
import type { FileOperations } from "./operations.ts";

export const STALE_AFTER_MS: number = 60 * 60 * 1000;

export class TemporaryRemover {
  readonly #operations: FileOperations;
  readonly #clock: Clock;

  constructor(operations: FileOperations, clock: Clock) {
    this.#operations = operations;
    this.#clock = clock;
  }

  /** Removes the temporary file at `path` when it is abandoned. Failing to is no error: it is invisible. */
  async visit(path: string): Promise<void> {
    if (!isOwnTemporary(path)) return;
    try {
      const { ctimeMs } = await this.#operations.lstat(path);
      if (ctimeMs < this.#clock.now() - STALE_AFTER_MS) await this.#operations.unlink(path);
    } catch {
      // Gone already, or not ours to remove.
    }
  }
}
