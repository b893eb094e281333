/** The real clock and the real random numbers. */
import type { Clock, Random } from "../base/clock.ts";

export const systemClock: Clock = {
  now: () => Date.now(),
  monotonic: () => performance.now(),
  schedule(delayMs, run, options = {}) {
    const timer = setTimeout(run, delayMs);
    if (options.unref === true) timer.unref();
    return { [Symbol.dispose]: () => clearTimeout(timer) };
  },
};

export const systemRandom: Random = () => Math.random();
