/**
 * When to capture (leading edge): at once after a pause, and not more often than the interval while
 * commits keep coming. After a failure it waits longer and longer, up to a limit.
 *
 * While commits keep coming the clock says when to look, and no hints are listened to. They are only after a look that
 * found nothing: a database at rest.
 *
 * A look that finds nothing costs the next commit nothing: only captures count for the interval. A notification may
 * come before its commit can be seen, because SQLite writes the log, perhaps flushes it, and then publishes
 * the commit in shared memory, which nobody is notified of. So after a hint that led to nothing a few more looks follow.
 */
import { Backoff } from "../base/backoff.ts";
import type { Clock, Random } from "../base/clock.ts";

const MAX_BACKOFF_MS = 5000;
const MIN_BACKOFF_MS = 100;
/** Pauses before the looks that follow a hint; what takes longer than all of them is found by the rhythm. */
const DOUBT_MS = [1, 2, 4, 8, 16, 32, 64];
/** A transaction larger than SQLite's cache notifies of every write: looks are at least this far apart. */
const MIN_GAP_MS = 1;

export class Pacer implements Disposable {
  readonly #clock: Clock;
  readonly #intervalMs: number;
  readonly #run: () => boolean;
  readonly #listen: (hint: () => void) => Disposable;
  readonly #backoff: Backoff;
  /** Present while the database is at rest. */
  #hints: Disposable | undefined;
  #notBefore = 0;
  #lastLook = Number.NEGATIVE_INFINITY;
  /** Looks since the last hint. */
  #doubts = DOUBT_MS.length;
  #timer: { readonly dueMs: number; readonly handle: Disposable } | undefined;

  /**
   * `run` looks and captures what there is; it returns whether there was anything, and reports failure by throwing,
   * after having told whoever must know. `listen` has the hint called whenever something was written.
   */
  constructor(options: {
    readonly clock: Clock;
    readonly random: Random;
    readonly intervalMs: number;
    readonly run: () => boolean;
    readonly listen: (hint: () => void) => Disposable;
  }) {
    this.#clock = options.clock;
    this.#intervalMs = options.intervalMs;
    this.#run = options.run;
    this.#listen = options.listen;
    const initialMs = Math.max(MIN_BACKOFF_MS, options.intervalMs);
    this.#backoff = new Backoff({ initialMs, maxMs: MAX_BACKOFF_MS, random: options.random });
    this.#hints = this.#listen(() => this.hint());
  }

  /** Something was written and may be committed now or in a moment. */
  hint(): void {
    this.#doubts = 0;
    this.#at(Math.max(this.#notBefore, this.#lastLook + MIN_GAP_MS));
  }

  /** Looks once, unless a look is due anyway. */
  look(): void {
    if (this.#timer === undefined) this.#at(this.#notBefore);
  }

  #at(dueMs: number): void {
    if (this.#timer !== undefined && this.#timer.dueMs <= dueMs) return;
    this.#cancel();
    const delayMs = dueMs - this.#clock.monotonic();
    if (delayMs <= 0) this.#fire();
    else this.#timer = { dueMs, handle: this.#clock.schedule(delayMs, () => this.#fire()) };
  }

  #fire(): void {
    this.#cancel();
    const started = this.#clock.monotonic();
    this.#lastLook = started;
    try {
      const captured = this.#run();
      this.#backoff.reset();
      if (captured) this.#pace(started + this.#intervalMs);
      else this.#rest();
    } catch {
      // Reported by `run`; here it only means to wait before the next attempt.
      this.#pace(this.#clock.monotonic() + this.#backoff.next());
    }
  }

  #pace(notBefore: number): void {
    this.#hints?.[Symbol.dispose]();
    this.#hints = undefined;
    this.#notBefore = notBefore;
    this.#at(notBefore);
  }

  #rest(): void {
    if (this.#hints === undefined) {
      this.#hints = this.#listen(() => this.hint());
      // What was written before anybody listened had no hint.
      this.#doubts = 0;
    }
    this.#doubt();
  }

  #doubt(): void {
    const delayMs = DOUBT_MS[this.#doubts];
    if (delayMs === undefined) return;
    this.#doubts += 1;
    this.#at(this.#clock.monotonic() + delayMs);
  }

  #cancel(): void {
    this.#timer?.handle[Symbol.dispose]();
    this.#timer = undefined;
  }

  [Symbol.dispose](): void {
    this.#hints?.[Symbol.dispose]();
    this.#cancel();
  }
}
