/**
 * Jobs that run side by side within a budget of bytes and a count. The first failure stops the intake and
 * is what everybody waiting gets.
 */
import { Signal } from "../base/async.ts";

export interface JobLimits {
  readonly maxBytes: number;
  readonly maxJobs: number;
}

export class BoundedJobs {
  readonly #limits: JobLimits;
  readonly #onFailure: (error: unknown) => void;
  readonly #ended = new Signal();
  #bytes = 0;
  #jobs = 0;
  #failure: { readonly error: unknown } | undefined;

  /** `onFailure` hears of the first failure at once, to abort what still runs. */
  constructor(limits: JobLimits, onFailure: (error: unknown) => void) {
    this.#limits = limits;
    this.#onFailure = onFailure;
  }

  /**
   * Waits until the job fits, then starts it and returns. A job larger than the budget runs alone.
   * Throws the failure of an earlier job.
   */
  async start(sizeBytes: number, run: () => Promise<void>): Promise<void> {
    while (
      this.#jobs > 0 &&
      (this.#jobs >= this.#limits.maxJobs || this.#bytes + sizeBytes > this.#limits.maxBytes)
    ) {
      this.throwIfFailed();
      await this.#ended.wait();
    }
    this.throwIfFailed();
    this.#bytes += sizeBytes;
    this.#jobs += 1;
    void this.#run(sizeBytes, run);
  }

  /** Waits for all jobs, also after a failure; then throws it, if there was one. */
  async finish(): Promise<void> {
    await this.settle();
    this.throwIfFailed();
  }

  /** Waits for all jobs, however they end. */
  async settle(): Promise<void> {
    while (this.#jobs > 0) await this.#ended.wait();
  }

  throwIfFailed(): void {
    if (this.#failure !== undefined) throw this.#failure.error;
  }

  async #run(sizeBytes: number, run: () => Promise<void>): Promise<void> {
    try {
      await run();
    } catch (error) {
      if (this.#failure === undefined) {
        this.#failure = { error };
        this.#onFailure(error);
      }
    } finally {
      this.#bytes -= sizeBytes;
      this.#jobs -= 1;
      this.#ended.notify();
    }
  }
}
