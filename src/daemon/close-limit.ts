/** How long the end of a replication may take: until the time is over, somebody gives it up, or waiting is in vain. */
import type { Clock } from "../base/clock.ts";
import { formatDuration } from "../base/duration.ts";
import { ERROR_KINDS, MillraceError, type ErrorCode } from "../errors.ts";

/** Whether some seconds of waiting have no chance to heal it. */
export function isInVain(error: Pick<MillraceError, "code">): boolean {
  return ERROR_KINDS[error.code].retry === "never" || LASTING.includes(error.code);
}

/** Codes that some seconds of waiting have no chance to heal, although a daemon keeps trying. */
const LASTING: readonly ErrorCode[] = ["fs/permission", "fs/not-found"];

export class CloseLimit implements Disposable {
  readonly #common = new AbortController();
  readonly #databases = new Map<string, AbortController>();
  readonly #isSingleAttempt: boolean;
  readonly #cleanup = new DisposableStack();

  /** `timeoutMs` 0 stands for a single attempt: the first failure ends the waiting. */
  constructor(clock: Clock, timeoutMs: number, signal: AbortSignal | undefined) {
    this.#isSingleAttempt = timeoutMs === 0;
    if (timeoutMs > 0) {
      this.#cleanup.use(
        clock.schedule(timeoutMs, () => this.#common.abort(timedOut(timeoutMs)), { unref: false }),
      );
    }
    if (signal === undefined) return;
    const giveUp = (): void => this.#common.abort(signal.reason);
    signal.addEventListener("abort", giveUp, { once: true });
    this.#cleanup.defer(() => signal.removeEventListener("abort", giveUp));
    if (signal.aborted) giveUp();
  }

  /** Ends the waiting for one database. */
  signalFor(path: string): AbortSignal {
    const own = this.#databases.get(path) ?? new AbortController();
    this.#databases.set(path, own);
    return AbortSignal.any([this.#common.signal, own.signal]);
  }

  /** Capture of a database, or one of its destinations, failed meanwhile. */
  failed(path: string, error: MillraceError): void {
    if (this.#isSingleAttempt || isInVain(error)) this.#databases.get(path)?.abort(error);
  }

  [Symbol.dispose](): void {
    this.#cleanup[Symbol.dispose]();
  }
}

function timedOut(timeoutMs: number): MillraceError {
  return new MillraceError(
    "daemon/not-durable",
    `final sync: not every destination was reached within ${formatDuration(timeoutMs)}`,
    { hint: "nothing captured is lost: it is shipped when Millrace runs again" },
  );
}
