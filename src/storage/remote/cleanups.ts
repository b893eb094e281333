/**
 * What is still to be removed when a call failed or was given up: done at once, and waited for before the store closes, but not
 * for long.
 */
import { handledElsewhere, sleep } from "../../base/async.ts";
import type { Clock } from "../../base/clock.ts";

export const CLEANUP_MS = 5_000;

export class Cleanups {
  readonly #clock: Clock;
  readonly #running = new Set<Promise<void>>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Runs `action`, whose signal is aborted when the time is over. Never throws: what could not be removed stays. */
  async run(action: (signal: AbortSignal) => Promise<void>): Promise<void> {
    const timer = new AbortController();
    const controller = new AbortController();
    const late = sleep(this.#clock, CLEANUP_MS, { signal: timer.signal });
    const cleanup = Promise.race([action(controller.signal), late])
      // What could not be removed stays, invisible; the failure that made it superfluous is the one to report.
      .catch(() => {})
      .finally(() => {
        timer.abort();
        controller.abort();
        handledElsewhere(late);
        this.#running.delete(cleanup);
      });
    this.#running.add(cleanup);
    await cleanup;
  }

  /** Resolves when nothing runs anymore. */
  async settled(): Promise<void> {
    await Promise.all(this.#running);
  }
}
