/** Waiting that the end of a fault cuts short. */
import { sleep } from "../../base/async.ts";
import type { Clock } from "../../base/clock.ts";

/** Resolves after `delayMs`, which may be endless, or when `signal` is aborted. */
export async function pause(clock: Clock, delayMs: number, signal: AbortSignal): Promise<void> {
  if (delayMs === Infinity) {
    await new Promise<void>((resolve) => {
      if (signal.aborted) resolve();
      else signal.addEventListener("abort", () => resolve(), { once: true });
    });
    return;
  }
  try {
    await sleep(clock, delayMs, { signal });
  } catch (error) {
    if (!signal.aborted) throw error; // An abort is one of the two ends of the pause.
  }
}
