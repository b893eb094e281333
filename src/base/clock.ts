/** Time and randomness as contracts, so that tests decide what they are. `platform` holds the real ones. */

export interface Clock {
  /** Wall clock, Unix milliseconds. */
  now(): number;
  /** Monotonic milliseconds since an arbitrary start. */
  monotonic(): number;
  /** Calls `run` once after `delayMs`; disposing the handle cancels it. Pending timers do not keep the process alive when `unref` is set. */
  schedule(
    delayMs: number,
    run: () => void,
    options?: { readonly unref?: boolean | undefined },
  ): Disposable;
}

/** Uniform in [0, 1). */
export type Random = () => number;
