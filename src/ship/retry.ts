/** Consecutive failures of one destination: how long to wait, what to log, when it is over. */
import { Backoff } from "../base/backoff.ts";
import type { Clock, Random } from "../base/clock.ts";
import type { Logger } from "../base/logger.ts";
import type { MillraceError } from "../errors.ts";
import type { ShipEvent } from "./contract.ts";

/** Between two log lines about the same trouble. */
const LOG_INTERVAL_MS = 30_000;
/** From this many failures on, trouble is logged as an error. */
const ERROR_LOG_FAILURES = 5;

export interface RetryOptions {
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  readonly initialMs: number;
  readonly maxMs: number;
  readonly emit: (event: ShipEvent) => void;
}

export class Retry {
  readonly #options: RetryOptions;
  readonly #backoff: Backoff;
  #error: MillraceError | undefined;
  #sinceMs = 0;
  #loggedMs = 0;

  constructor(options: RetryOptions) {
    this.#options = options;
    this.#backoff = new Backoff(options);
  }

  /** The failure that is being waited out. */
  get error(): MillraceError | undefined {
    return this.#error;
  }

  /** Counts a failure and returns how long to wait before trying again. */
  failed(error: MillraceError): number {
    const { clock, logger, emit } = this.#options;
    const nowMs = clock.monotonic();
    const isNew = this.#error?.code !== error.code;
    if (this.#error === undefined) this.#sinceMs = nowMs;
    this.#error = error;
    const backoffMs = this.#backoff.next();
    const consecutiveErrors = this.#backoff.failures;
    if (isNew || nowMs - this.#loggedMs >= LOG_INTERVAL_MS) {
      this.#loggedMs = nowMs;
      logger.log(consecutiveErrors < ERROR_LOG_FAILURES ? "warn" : "error", "shipping failed", {
        error: error.message,
        code: error.code,
        hint: error.hint,
        consecutive_errors: consecutiveErrors,
        backoff: `${Math.round(backoffMs)}ms`,
      });
    }
    emit({ type: "failing", error, consecutiveErrors, backoffMs });
    return backoffMs;
  }

  /** The destination answered as it should. */
  succeeded(): void {
    if (this.#error === undefined) return;
    const { clock, logger, emit } = this.#options;
    const consecutiveErrors = this.#backoff.failures;
    const downMs = clock.monotonic() - this.#sinceMs;
    this.#error = undefined;
    this.#backoff.reset();
    logger.log("info", "shipping recovered", {
      consecutive_errors: consecutiveErrors,
      down: `${Math.round(downMs)}ms`,
    });
    emit({ type: "recovered", consecutiveErrors, downMs });
  }
}
