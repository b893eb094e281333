/** Asking the store again when it failed in passing: one policy for listings and reads. */
import { sleep } from "../base/async.ts";
import { Backoff } from "../base/backoff.ts";
import type { Clock, Random } from "../base/clock.ts";
import { isMillraceError, type MillraceError } from "../errors.ts";

/** How often one thing is asked for before the restore fails. */
export const RETRY_ATTEMPTS = 6;
export const RETRY_INITIAL_MS = 250;
export const RETRY_MAX_MS = 8_000;

export interface RetryOptions {
  readonly clock: Clock;
  readonly random: Random;
  readonly signal?: AbortSignal | undefined;
  /** What is worth another attempt; default everything that `isPassing`. */
  readonly isWorthIt?: ((error: MillraceError) => boolean) | undefined;
  /** Called before it is asked for again. */
  readonly onRetry?: ((error: MillraceError, delayMs: number) => void) | undefined;
}

/** Runs `ask` until it succeeds, fails for good, or has failed too often; then throws its last error. */
export async function retryPassing<T>(
  options: RetryOptions,
  ask: (attempt: number) => Promise<T>,
): Promise<T> {
  const { clock, random, signal, isWorthIt = () => true, onRetry } = options;
  const backoff = new Backoff({ initialMs: RETRY_INITIAL_MS, maxMs: RETRY_MAX_MS, random });
  for (;;) {
    try {
      return await ask(backoff.failures + 1);
    } catch (error) {
      signal?.throwIfAborted();
      if (!isPassing(error) || !isWorthIt(error)) throw error;
      if (backoff.failures + 1 >= RETRY_ATTEMPTS) throw error;
      const delayMs = backoff.next();
      onRetry?.(error, delayMs);
      await sleep(clock, delayMs, { signal });
    }
  }
}

/** Whoever restores is waiting: what only a person can mend is told at once. */
export function isPassing(error: unknown): error is MillraceError {
  return isMillraceError(error) && error.retry === "backoff" && error.code !== "fs/permission";
}
