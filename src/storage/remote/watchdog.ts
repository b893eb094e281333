/**
 * Ends a call that makes no progress. What counts is not how long it takes: a large object over a slow line is fine as
 * long as something moves.
 */
import { handledElsewhere } from "../../base/async.ts";
import type { Clock } from "../../base/clock.ts";
import type { MillraceError } from "../../errors.ts";

export class Watchdog implements Disposable {
  readonly #clock: Clock;
  readonly #controller = new AbortController();
  readonly #outer: AbortSignal;
  readonly #failure: () => MillraceError;
  readonly #onOuterAbort = (): void => this.#controller.abort(this.#outer.reason);
  #deadlineMs: number;
  #timer: Disposable | undefined;
  /** Set while paused. */
  #leftMs: number | undefined;
  #isDisposed = false;

  /** Waits `idleMs`; `failure` makes the error when they pass without `extend`. */
  constructor(options: {
    readonly clock: Clock;
    readonly signal: AbortSignal;
    readonly idleMs: number;
    readonly failure: () => MillraceError;
  }) {
    this.#clock = options.clock;
    this.#outer = options.signal;
    this.#failure = options.failure;
    this.#deadlineMs = this.#clock.monotonic() + options.idleMs;
    if (this.#outer.aborted) this.#onOuterAbort();
    else this.#outer.addEventListener("abort", this.#onOuterAbort, { once: true });
    this.#arm();
  }

  /** Aborted by the caller, or when the time is over. */
  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  /** Something moved: at least `ms` more from now. */
  allow(ms: number): void {
    this.#deadlineMs = Math.max(this.#deadlineMs, this.#clock.monotonic() + ms);
  }

  /** Stands still while it is somebody else's turn. */
  pause(): void {
    this.#leftMs ??= this.#deadlineMs - this.#clock.monotonic();
    this.#disarm();
  }

  /** Goes on with what was left, and `ms` more. */
  resume(ms = 0): void {
    if (this.#leftMs === undefined) return;
    this.#deadlineMs = this.#clock.monotonic() + this.#leftMs + ms;
    this.#leftMs = undefined;
    this.#arm();
  }

  /** The result of `running`, or the reason for which it was ended: also when it does not listen to `signal`. */
  async guard<T>(running: Promise<T>): Promise<T> {
    const { promise, reject } = Promise.withResolvers<never>();
    const onAbort = (): void => reject(this.signal.reason as Error);
    if (this.signal.aborted) onAbort();
    else this.signal.addEventListener("abort", onAbort, { once: true });
    try {
      return await Promise.race([running, promise]);
    } catch (error) {
      // What it says to being aborted is less than why it was.
      this.signal.throwIfAborted();
      throw error;
    } finally {
      this.signal.removeEventListener("abort", onAbort);
      // An abort after the race was decided: the next step of the call throws it.
      handledElsewhere(promise);
    }
  }

  [Symbol.dispose](): void {
    this.#isDisposed = true;
    this.#disarm();
    this.#outer.removeEventListener("abort", this.#onOuterAbort);
  }

  #disarm(): void {
    this.#timer?.[Symbol.dispose]();
    this.#timer = undefined;
  }

  #arm(): void {
    this.#disarm();
    if (this.#isDisposed || this.signal.aborted) return;
    const leftMs = Math.max(0, this.#deadlineMs - this.#clock.monotonic());
    this.#timer = this.#clock.schedule(leftMs, () => {
      if (this.#clock.monotonic() < this.#deadlineMs) return this.#arm();
      this.#controller.abort(this.#failure());
    });
  }
}
