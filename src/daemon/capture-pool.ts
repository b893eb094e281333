/** The few threads that capture all databases of a process. */
import { defined } from "../base/assert.ts";
import { CaptureThread } from "../capture/client.ts";
import type { WorkerSetup } from "../capture/protocol.ts";
import type { MillraceError } from "../errors.ts";

/** More threads would only share the same disk. */
const MAX_THREADS = 4;

export interface CapturePoolOptions {
  /** Processors to use. */
  readonly parallelism: number;
  readonly setup?: WorkerSetup | undefined;
}

export class CapturePool implements AsyncDisposable {
  readonly #options: CapturePoolOptions;
  readonly #threads: CaptureThread[] = [];
  readonly #mourners = new Map<CaptureThread, Set<(error: MillraceError) => void>>();
  #next = 0;

  constructor(options: CapturePoolOptions) {
    this.#options = options;
  }

  /** A thread for one more database; `onDeath` is called when that thread ends although nobody closed it. */
  take(onDeath: (error: MillraceError) => void): CaptureThread {
    const limit = Math.max(1, Math.min(MAX_THREADS, this.#options.parallelism));
    if (this.#threads.length < limit) this.#threads.push(this.#start());
    const thread = defined(this.#threads[this.#next % this.#threads.length], "capture thread");
    this.#next += 1;
    this.#mourners.get(thread)?.add(onDeath);
    return thread;
  }

  #start(): CaptureThread {
    const mourners = new Set<(error: MillraceError) => void>();
    const thread = new CaptureThread({
      setup: this.#options.setup,
      onDeath: (error) => {
        for (const mourn of mourners) mourn(error);
      },
    });
    this.#mourners.set(thread, mourners);
    return thread;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.#threads.map((thread) => thread[Symbol.asyncDispose]()));
  }
}
