/**
 * Keeps a lease: drives the state machine with a cell, a clock and randomness, and tells who may write.
 *
 * The keeper never throws for what the store does: an outage, an unreadable record, another holder show in `problem`,
 * in events and in `check()`. So losing the lease stops shipping and nothing else.
 *
 * How shipping uses it, before every single object:
 *
 * ```ts
 * await keeper.acquired({ signal }); // shipping rests until the lease is ours
 * keeper.check(); // throws lease/lost: the step fails, is tried again, and waits in the line above
 * await store.put(key, file, { ifAbsent: true, signal });
 * ```
 *
 * Between `check()` and the moment when the store acts, time passes: the process may be stopped, the request may wander.
 * No lease closes that window; the conditional create does. A successor first reads what the destination holds and goes on
 * with the next TXID. If the late object comes before the successor's of the same name, it was there first, is whole, and
 * the successor finds its own create refused; if it comes after, it is refused itself. Either way each name
 * is written once, and whoever is refused compares contents and stops with `ship/conflict` when they differ. The lease makes
 * that rare; the create makes it harmless. On a store without conditional creates the margin is all there is.
 */
import { assert } from "../base/assert.ts";
import { Signal } from "../base/async.ts";
import { Backoff } from "../base/backoff.ts";
import { type Logger, SILENT } from "../base/logger.ts";
import { isMillraceError, MillraceError, toMillraceError } from "../errors.ts";
import type { LeaseCell } from "./contract.ts";
import type { LeaseKeeperEvent, LeaseKeeperOptions } from "./keeper-options.ts";
import { leaseRules } from "./lease-rules.ts";
import {
  heldUntilMs,
  initialLease,
  lapse,
  type LeaseEffect,
  type LeaseEvent,
  type LeaseRules,
  type LeaseState,
  leaseStep,
  type Moment,
  type Tenure,
  tenureOf,
} from "./lease-state.ts";
import { restMs } from "./lease-timing.ts";

/** A request that takes longer is given up; what became of it is then found out by reading. */
const REQUEST_TIMEOUT_MS = 5_000;
/** Disposal gives the lease back within this time, or leaves it to the TTL. */
const RELEASE_TIMEOUT_MS = 5_000;
/** States in which nothing is asked while nobody needs the lease. */
const MAY_REST: readonly LeaseState["name"][] = ["idle", "waiting", "parked"];
const BACKOFF = { initialMs: 500, maxMs: 5_000 };

type Request = Extract<LeaseEffect, { readonly type: "read" | "write" }>;
type Answer = Exclude<LeaseEvent, { readonly type: "tick" | "release" }>;
type Bare<Event> = Event extends Moment ? Omit<Event, keyof Moment> : never;

export class LeaseKeeper implements AsyncDisposable {
  readonly #options: LeaseKeeperOptions;
  readonly #rules: LeaseRules;
  readonly #logger: Logger;
  readonly #changed = new Signal();
  readonly #stopping = new AbortController();
  readonly #backoff: Backoff;
  #state: LeaseState;
  #request: Request | undefined;
  #running: Promise<void> | undefined;
  #closing: Promise<void> | undefined;
  #wakeUp: (() => void) | undefined;
  #error: MillraceError | undefined;
  #backoffMs: number | undefined;
  /** What the last failure was about. */
  #failing: Request["type"] | undefined;
  #waitingFor: Extract<LeaseKeeperEvent, { type: "waiting" }> | undefined;
  #uses = 0;
  #usedAtMs: number;

  /** Starts nothing. Throws `config/invalid` for times that make no sense. */
  constructor(options: LeaseKeeperOptions) {
    this.#options = options;
    this.#rules = leaseRules(options);
    this.#logger = (options.logger ?? SILENT).with({ lease: options.name });
    this.#backoff = new Backoff({ ...BACKOFF, random: options.random });
    this.#state = initialLease(options.floorEpoch);
    this.#usedAtMs = options.clock.monotonic();
  }

  /** The epoch while the lease is held at this very moment. */
  get epoch(): number | undefined {
    return this.#held()?.record.epoch;
  }

  /** The highest epoch seen so far: what a caller may keep and give as `floorEpoch` next time. */
  get highestEpoch(): number {
    return this.#state.highestEpoch;
  }

  /** Why the lease is not held: `lease/held`, or what the store said. `undefined` while it is, or before that is known. */
  get problem(): MillraceError | undefined {
    if (this.#held() !== undefined) return undefined;
    return this.#waitingFor === undefined ? this.#error : this.#heldByAnother(this.#waitingFor);
  }

  /** Throws `lease/lost` unless the lease is held at this very moment. Returns the epoch. No request is made. */
  check(): number {
    const held = this.#held();
    if (held !== undefined) return held.record.epoch;
    const { name } = this.#options;
    const why = this.problem;
    // A tenure that lapsed unnoticed: the loop is told, not left to its timer.
    if (tenureOf(this.#state) !== undefined) this.#wakeUp?.();
    throw new MillraceError("lease/lost", `check lease of "${name}": it is not held now`, {
      op: "check lease",
      details: { name, holder: this.#waitingFor?.owner },
      hint: why === undefined ? "it is taken again as soon as it is free" : why.message,
      cause: why,
    });
  }

  /** Resolves with the epoch when the lease is held; rejects with `signal.reason`, or `lease/lost` when the keeper closed. */
  async acquired(options: { readonly signal?: AbortSignal | undefined } = {}): Promise<number> {
    using _use = this.use();
    for (;;) {
      const { epoch } = this;
      if (epoch !== undefined) return epoch;
      if (this.#closing !== undefined || this.#state.name === "released") this.check();
      await this.#changed.wait(options);
    }
  }

  /** Keeps the lease renewed until disposed: for what takes longer than a moment. */
  use(): Disposable {
    this.#uses += 1;
    this.#usedAtMs = this.#options.clock.monotonic();
    if (MAY_REST.includes(this.#state.name)) this.#wakeUp?.();
    return {
      [Symbol.dispose]: () => {
        this.#uses -= 1;
        this.#usedAtMs = this.#options.clock.monotonic();
      },
    };
  }

  /** Takes the lease, keeps it, takes it again, until aborted. Giving it back is the disposal's business. */
  async run(signal: AbortSignal): Promise<void> {
    assert(this.#running === undefined, "a lease keeper runs once at a time");
    const link = AbortSignal.any([signal, this.#stopping.signal]);
    this.#running = this.#loop(link);
    await this.#running;
    this.#running = undefined;
  }

  /** Does the next thing: one request, or one rest. An abort ends it early and is not an error. */
  async step(options: { readonly signal: AbortSignal }): Promise<void> {
    const { signal } = options;
    const request = this.#request;
    if (request === undefined) {
      await this.#rest(signal);
      if (!signal.aborted) this.#feed({ type: this.#nextEvent() });
      return;
    }
    this.#feed(await this.#ask(request, signal, this.#timeoutMs()));
  }

  /** Gives the lease back, bounded in time, and closes the cell. */
  [Symbol.asyncDispose](): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #loop(signal: AbortSignal): Promise<void> {
    while (!signal.aborted && this.#state.name !== "released") await this.step({ signal });
  }

  async #close(): Promise<void> {
    const { cell, clock, releaseTimeoutMs = RELEASE_TIMEOUT_MS } = this.#options;
    this.#stopping.abort();
    await this.#running;
    const untilMs = clock.monotonic() + releaseTimeoutMs;
    this.#feed({ type: "release" });
    while (this.#request !== undefined) {
      const leftMs = untilMs - clock.monotonic();
      const signal = new AbortController().signal;
      const answer =
        leftMs > 0 ? this.#ask(this.#request, signal, leftMs) : { type: "failed" as const };
      this.#feed(await answer);
    }
    this.#changed.notify();
    await cell[Symbol.asyncDispose]();
  }

  #held(): Tenure | undefined {
    const tenure = tenureOf(this.#state);
    if (tenure === undefined || lapse(this.#rules, tenure, this.#now()) !== undefined)
      return undefined;
    return tenure;
  }

  get #isUsed(): boolean {
    const { clock, parkAfterMs = Infinity } = this.#options;
    return this.#uses > 0 || clock.monotonic() - this.#usedAtMs < parkAfterMs;
  }

  #nextEvent(): "tick" | "park" | "resume" {
    if (this.#state.name === "parked") return "resume";
    return this.#state.name === "held" && !this.#isUsed ? "park" : "tick";
  }

  #now(): Moment {
    const { clock } = this.#options;
    return { atMs: clock.monotonic(), wallMs: clock.now() };
  }

  #feed(event: Bare<LeaseEvent>): void {
    const { state, effects } = leaseStep(this.#rules, this.#state, {
      ...event,
      ...this.#now(),
    });
    this.#state = state;
    this.#request = undefined;
    for (const effect of effects) this.#apply(effect);
    this.#changed.notify();
  }

  #apply(effect: LeaseEffect): void {
    switch (effect.type) {
      case "read":
      case "write":
        this.#request = effect;
        return;
      case "waiting": {
        const { owner, epoch } = effect.record;
        const last = this.#waitingFor;
        if (last?.owner === owner && last.epoch === epoch) return;
        this.#waitingFor = { type: "waiting", owner, epoch, sinceMs: this.#options.clock.now() };
        this.#logger.log("info", "lease is held by another process, waiting", { owner, epoch });
        this.#options.onEvent?.(this.#waitingFor);
        return;
      }
      case "acquired":
        this.#waitingFor = undefined;
        this.#logger.log("info", "lease acquired", { epoch: effect.epoch });
        break;
      case "lost":
        this.#logger.log("warn", "lease lost", { epoch: effect.epoch, reason: effect.reason });
        break;
      case "released":
        this.#waitingFor = undefined;
        this.#logger.log("debug", "lease released");
        break;
    }
    this.#options.onEvent?.(effect);
  }

  /** A request may not outlive the claim that it is to prolong: the loss is told in time. */
  #timeoutMs(): number {
    const { requestTimeoutMs = REQUEST_TIMEOUT_MS, clock } = this.#options;
    const tenure = tenureOf(this.#state);
    if (tenure === undefined || this.#state.name === "resuming") return requestTimeoutMs;
    const leftMs = heldUntilMs(this.#rules, tenure) - clock.monotonic();
    return Math.min(requestTimeoutMs, Math.max(0, leftMs));
  }

  async #ask(request: Request, outer: AbortSignal, timeoutMs: number): Promise<Bare<Answer>> {
    const { cell, clock } = this.#options;
    const controller = new AbortController();
    const given = Promise.withResolvers<never>();
    const giveUp = (error: unknown): void => {
      controller.abort(error);
      given.reject(error);
    };
    const onAbort = (): void => giveUp(outer.reason);
    using _timer = clock.schedule(timeoutMs, () => giveUp(this.#noAnswer(timeoutMs)));
    outer.addEventListener("abort", onAbort, { once: true });
    if (outer.aborted) onAbort();
    try {
      // A cell that does not heed its signal is left behind; its answer is no longer of interest.
      const answer = await Promise.race([send(cell, request, controller.signal), given.promise]);
      this.#recovered(request);
      return answer;
    } catch (error) {
      if (isMillraceError(error, "lease/conflict")) {
        this.#recovered(request);
        return { type: "conflict" };
      }
      if (!outer.aborted) this.#failed(toMillraceError(error), request);
      return { type: "failed" };
    } finally {
      outer.removeEventListener("abort", onAbort);
    }
  }

  #rest(signal: AbortSignal): Promise<void> {
    const { clock, random } = this.#options;
    const isResting = MAY_REST.includes(this.#state.name) && !this.#isUsed;
    const delayMs = isResting
      ? Infinity
      : restMs(this.#state, {
          rules: this.#rules,
          now: this.#now(),
          random,
          backoffMs: this.#backoffMs,
        });
    if (signal.aborted || delayMs === undefined || delayMs <= 0) return Promise.resolve();
    return new Promise((resolve) => {
      const done = (): void => {
        timer?.[Symbol.dispose]();
        signal.removeEventListener("abort", done);
        this.#wakeUp = undefined;
        resolve();
      };
      const timer = delayMs === Infinity ? undefined : clock.schedule(delayMs, done);
      signal.addEventListener("abort", done, { once: true });
      this.#wakeUp = done;
    });
  }

  #failed(error: MillraceError, { type }: Request): void {
    this.#backoffMs = this.#backoff.next();
    const isNew = this.#error?.code !== error.code;
    this.#error = error;
    this.#failing = type;
    if (!isNew) return;
    const { message, code, hint } = error;
    this.#logger.log("warn", "lease cannot be read or written", { error: message, code, hint });
    this.#options.onEvent?.({ type: "failing", error });
  }

  /** Who may read may not be allowed to write: that a reading succeeds says nothing of it. */
  #recovered({ type }: Request): void {
    if (this.#failing === "write" && type === "read") return;
    this.#failing = undefined;
    this.#backoff.reset();
    this.#backoffMs = undefined;
    if (this.#error === undefined) return;
    this.#error = undefined;
    this.#logger.log("info", "lease can be read and written again");
    this.#options.onEvent?.({ type: "recovered" });
  }

  #noAnswer(timeoutMs: number): MillraceError {
    const { cell, name } = this.#options;
    const found = `no answer within ${Math.round(timeoutMs)} ms`;
    return new MillraceError(
      "lease/unavailable",
      `keep lease of "${name}" (${cell.type}): ${found}`,
      {
        op: "keep lease",
        details: { name },
        hint: "check that the store is reachable; it is tried again",
      },
    );
  }

  #heldByAnother(holder: { readonly owner: string; readonly epoch: number }): MillraceError {
    const { name } = this.#options;
    const { owner, epoch } = holder;
    return new MillraceError("lease/held", `take lease of "${name}": "${owner}" holds it`, {
      op: "take lease",
      details: { name, owner, epoch },
      hint: "this process waits, and takes over when the holder stops or falls silent",
    });
  }
}

async function send(cell: LeaseCell, request: Request, signal: AbortSignal): Promise<Bare<Answer>> {
  if (request.type === "read") return { type: "read", reading: await cell.read({ signal }) };
  const { record, expected } = request;
  return { type: "written", version: await cell.write(record, { expected, signal }) };
}
