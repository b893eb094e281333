/** Requests that are made again after failures that pass, and ended when nothing moves. */
import { sleep } from "../../base/async.ts";
import { Backoff } from "../../base/backoff.ts";
import type { Clock, Random } from "../../base/clock.ts";
import { isMillraceError, MillraceError } from "../../errors.ts";
import type { RequestMeter } from "../meter.ts";
import { Watchdog } from "./watchdog.ts";

/** How often a request is made before its failure is the caller's. */
export const REMOTE_ATTEMPTS = 5;
/** How long a store may say nothing. */
export const REMOTE_IDLE_MS = 30_000;
const RETRY_INITIAL_MS = 200;
const RETRY_MAX_MS = 5_000;
/** Longest wait that a store may ask for; what wants more is the caller's to wait out. */
const RETRY_AFTER_MAX_MS = 20_000;

export interface RemoteOptions {
  readonly clock: Clock;
  readonly random: Random;
  /** The backend counts requests in it. */
  readonly meter: RequestMeter;
  /** As it may be shown. */
  readonly where: string;
  /** Default `REMOTE_ATTEMPTS`. */
  readonly attempts?: number | undefined;
  /** Default `REMOTE_IDLE_MS`. */
  readonly idleMs?: number | undefined;
}

/** Runs requests under a watchdog, and again after failures that pass. */
export class Attempts {
  readonly #options: RemoteOptions;
  readonly idleMs: number;
  readonly #limit: number;

  constructor(options: RemoteOptions) {
    this.#options = options;
    this.idleMs = options.idleMs ?? REMOTE_IDLE_MS;
    this.#limit = options.attempts ?? REMOTE_ATTEMPTS;
  }

  watch(op: string, signal: AbortSignal): Watchdog {
    const { clock, where } = this.#options;
    const seconds = Math.round(this.idleMs / 1000);
    const failure = (): MillraceError =>
      new MillraceError("storage/unavailable", `${op} in ${where}: no answer for ${seconds} s`, {
        op,
        details: { where },
        hint: "check the connection to the store",
      });
    return new Watchdog({ clock, signal, idleMs: this.idleMs, failure });
  }

  /** `isRepeatable` narrows what is tried again: by default everything that `isPassing`. */
  async run<T>(
    op: string,
    signal: AbortSignal,
    request: (watchdog: Watchdog) => Promise<T>,
    isRepeatable: (error: unknown) => boolean = isPassing,
  ): Promise<T> {
    const rest = this.rest(signal);
    for (;;) {
      using watchdog = this.watch(op, signal);
      try {
        return await watchdog.guard(request(watchdog));
      } catch (error) {
        signal.throwIfAborted();
        if (!isRepeatable(error)) throw error;
        await rest.after(error);
      }
    }
  }

  /** Counts the failures of one call in a row. */
  rest(signal: AbortSignal): Rest {
    return new Rest({ ...this.#options, signal, limit: this.#limit });
  }
}

/** The pauses between the attempts of one call. */
export class Rest {
  readonly #options: RemoteOptions & { readonly signal: AbortSignal; readonly limit: number };
  readonly #backoff: Backoff;

  constructor(options: RemoteOptions & { readonly signal: AbortSignal; readonly limit: number }) {
    this.#options = options;
    const { random } = options;
    this.#backoff = new Backoff({ initialMs: RETRY_INITIAL_MS, maxMs: RETRY_MAX_MS, random });
  }

  /** There was progress: failures are counted anew. */
  reset(): void {
    this.#backoff.reset();
  }

  /** Waits before the next attempt; rethrows `error` when there were enough. */
  async after(error: unknown): Promise<void> {
    const { clock, limit, meter, signal } = this.#options;
    const delayMs = Math.max(this.#backoff.next(), retryAfterMs(error));
    meter.retry();
    if (this.#backoff.failures >= limit || delayMs > RETRY_AFTER_MAX_MS) throw error;
    await sleep(clock, delayMs, { signal });
  }
}

function retryAfterMs(error: unknown): number {
  const wanted = isMillraceError(error) ? error.details["retryAfterMs"] : undefined;
  return typeof wanted === "number" ? wanted : 0;
}

/** Whether a failure may be over in a moment. */
export function isPassing(error: unknown): boolean {
  return isMillraceError(error, "storage/unavailable", "storage/throttled", "storage/truncated");
}

/** Whether a failed request certainly did nothing. */
export function hadNoEffect(error: unknown): boolean {
  if (isMillraceError(error, "storage/throttled")) return true;
  return isMillraceError(error, "storage/unavailable") && error.details["sent"] === false;
}
