/** How the shipping loop rests: until a file is announced, until a backoff is over, or until it is urged on. */
import type { Clock } from "../base/clock.ts";

/** Between two attempts while somebody waits in a drain. */
const URGED_RETRY_MS = 500;

export class Rest {
  readonly #clock: Clock;
  #isAnnounced = false;
  #isUrged = false;
  #countUrging = 0;
  #current: { readonly end: () => void; readonly isBackoff: boolean } | undefined;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Before a step: what is announced from here on must be seen by the next one. */
  begin(): void {
    this.#isAnnounced = false;
    this.#isUrged = false;
  }

  /** There is something to do. A backoff is not cut short. */
  announce(): void {
    this.#isAnnounced = true;
    if (this.#current?.isBackoff === false) this.#current.end();
  }

  /** Somebody waits: tries at once, and every 500 ms until the result is disposed. */
  urge(): Disposable {
    this.#countUrging += 1;
    this.#isUrged = true;
    this.#current?.end();
    return {
      [Symbol.dispose]: () => {
        this.#countUrging -= 1;
      },
    };
  }

  /** Rests until there is a reason not to. `backoffMs` is how long a failure is waited out. */
  pause(options: {
    readonly backoffMs: number | undefined;
    readonly signal: AbortSignal;
  }): Promise<void> {
    const { signal } = options;
    const isBackoff = options.backoffMs !== undefined;
    if (signal.aborted || this.#isUrged || (this.#isAnnounced && !isBackoff)) {
      return Promise.resolve();
    }
    return new Promise((resolve) => {
      const end = (): void => {
        this.#current = undefined;
        timer?.[Symbol.dispose]();
        signal.removeEventListener("abort", end);
        resolve();
      };
      const timer =
        options.backoffMs === undefined
          ? undefined
          : this.#clock.schedule(this.#shortened(options.backoffMs), end);
      this.#current = { end, isBackoff };
      signal.addEventListener("abort", end, { once: true });
    });
  }

  #shortened(backoffMs: number): number {
    return this.#countUrging > 0 ? Math.min(URGED_RETRY_MS, backoffMs) : backoffMs;
  }
}
