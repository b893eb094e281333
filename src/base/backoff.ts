/** Exponential backoff with full jitter, the only one in the project. */
import type { Random } from "./clock.ts";

export interface BackoffOptions {
  readonly initialMs: number;
  readonly maxMs: number;
  readonly random: Random;
}

export class Backoff {
  readonly #options: BackoffOptions;
  #failures = 0;

  constructor(options: BackoffOptions) {
    this.#options = options;
  }

  /** Consecutive failures since the last `reset`. */
  get failures(): number {
    return this.#failures;
  }

  /** Counts a failure and returns how long to wait: half of the doubled delay is fixed, half is random. */
  next(): number {
    const { initialMs, maxMs, random } = this.#options;
    const ceiling = Math.min(maxMs, initialMs * 2 ** Math.min(this.#failures, 30));
    this.#failures += 1;
    return ceiling / 2 + (ceiling / 2) * random();
  }

  reset(): void {
    this.#failures = 0;
  }
}
