/**
 * When to capture [architecture 4, leading edge]: at once after a pause, and not more often than the interval while
 * commits keep coming. After a failure it waits longer and longer, up to a limit.
 */
import { Backoff } from "../base/backoff.ts";
import type { Clock, Random } from "../base/clock.ts";

const MAX_BACKOFF_MS = 60_000;
const MIN_BACKOFF_MS = 100;

export class Pacer implements Disposable {
  readonly #clock: Clock;
  readonly #intervalMs: number;
  readonly #run: () => void;
  readonly #backoff: Backoff;
  #notBefore = 0;
  #timer: Disposable | undefined;

  /** `run` captures; it reports failure by throwing, after having told whoever must know. */
  constructor(options: {
    readonly clock: Clock;
    readonly random: Random;
    readonly intervalMs: number;
    readonly run: () => void;
  }) {
    this.#clock = options.clock;
    this.#intervalMs = options.intervalMs;
    this.#run = options.run;
    const initialMs = Math.max(MIN_BACKOFF_MS, options.intervalMs);
    this.#backoff = new Backoff({ initialMs, maxMs: MAX_BACKOFF_MS, random: options.random });
  }

  /** Something may have been committed. */
  hint(): void {
    if (this.#timer !== undefined) return;
    const delayMs = this.#notBefore - this.#clock.monotonic();
    if (delayMs <= 0) this.#fire();
    else this.#timer = this.#clock.schedule(delayMs, () => this.#fire());
  }

  #fire(): void {
    this.#cancel();
    const started = this.#clock.monotonic();
    try {
      this.#run();
      this.#backoff.reset();
      this.#notBefore = started + this.#intervalMs;
    } catch {
      // Reported by `run`; here it only means to wait before the next attempt.
      this.#notBefore = this.#clock.monotonic() + this.#backoff.next();
      this.hint();
    }
  }

  #cancel(): void {
    this.#timer?.[Symbol.dispose]();
    this.#timer = undefined;
  }

  [Symbol.dispose](): void {
    this.#cancel();
  }
}
