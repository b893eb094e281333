/**
 * Flushing a file while it is still being written, so that little is left for the flush at the end: a disk can work while
 * processors decode.
 */
import { open } from "node:fs/promises";
import type { MillraceError } from "../errors.ts";
import { translateFsError } from "./fs-error.ts";

export class BackgroundFlush implements AsyncDisposable {
  readonly #op: string;
  readonly #path: string;
  readonly #everyBytes: number;
  #unflushedBytes = 0;
  #running: Promise<void> | undefined;
  #failure: MillraceError | undefined;

  constructor(op: string, path: string, everyBytes: number) {
    this.#op = op;
    this.#path = path;
    this.#everyBytes = everyBytes;
  }

  /** So many more bytes were written, by whomever: begins a flush when there are enough and none is under way. */
  wrote(sizeBytes: number): void {
    this.#unflushedBytes += sizeBytes;
    if (this.#unflushedBytes < this.#everyBytes || this.#running !== undefined) return;
    this.#unflushedBytes = 0;
    this.#running = this.#flush();
  }

  /** Waits for a flush that is under way; throws what any of them failed with. Promises nothing about later writes. */
  async finish(): Promise<void> {
    await this.#running;
    if (this.#failure !== undefined) throw this.#failure;
  }

  /** Waits for a flush that is under way, however it ends. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#running;
  }

  async #flush(): Promise<void> {
    try {
      await using file = await open(this.#path, "r+");
      await file.datasync();
    } catch (error) {
      this.#failure ??= translateFsError(error, this.#op, this.#path);
    } finally {
      this.#running = undefined;
    }
  }
}
