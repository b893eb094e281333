/**
 * Several processes after one lease, on one simulated time: requests are real, waiting is not. Time moves only while no
 * request is under way, and at every step the simulation looks who believes that he may write: never two, and
 * every new holder with a higher epoch than the last.
 */
import assert from "node:assert/strict";
import type { Random } from "../../base/clock.ts";
import type { LeaseCheckContext, SteppedClock } from "./context.ts";
import { SimulatedProcess } from "./simulated-process.ts";

export const TTL_MS = 10_000;

/** Turns of the event loop without a request under way after which nothing more happens by itself. */
const QUIET_TURNS = 3;

/** Longest step of time, so that claims are looked at often. */
const STEP_MS = 250;

/** One claim: from when a process was seen to hold. World time. */
export interface Hold {
  readonly owner: string;
  readonly epoch: number;
  readonly fromMs: number;
}

export interface StartOptions {
  readonly floorEpoch?: number | undefined;
  readonly parkAfterMs?: number | undefined;
  readonly wallOffsetMs?: number | undefined;
}

export class Simulation implements AsyncDisposable {
  readonly clock: SteppedClock;
  readonly random: Random;
  readonly holds: Hold[] = [];
  readonly #context: LeaseCheckContext;
  readonly #processes: SimulatedProcess[] = [];

  constructor(context: LeaseCheckContext, seed = 1) {
    this.#context = context;
    this.clock = context.makeClock();
    this.random = context.makeRandom(seed);
  }

  get nowMs(): number {
    return this.clock.monotonic();
  }

  /** The one process that may write now. */
  get holder(): SimulatedProcess | undefined {
    return this.#processes.find(({ isActing, keeper }) => isActing && keeper.epoch !== undefined);
  }

  async start(owner: string, options: StartOptions = {}): Promise<SimulatedProcess> {
    const inner = await this.#context.target.connect();
    const { random } = this;
    const { boundToProcess } = this.#context;
    const { floorEpoch, parkAfterMs, wallOffsetMs = 0 } = options;
    const process = new SimulatedProcess({
      owner,
      inner,
      world: this.clock,
      random,
      ttlMs: TTL_MS,
      floorEpoch,
      parkAfterMs,
      boundToProcess,
    });
    process.clock.wallOffsetMs = wallOffsetMs;
    this.#processes.push(process);
    return process;
  }

  /** Starts a process and lets it get the lease. */
  async startHolder(owner: string, options: StartOptions = {}): Promise<SimulatedProcess> {
    const process = await this.start(owner, options);
    await this.until(`${owner} holds`, () => this.holder === process, 2 * TTL_MS);
    return process;
  }

  /** Starts a process that finds the lease taken. */
  async startWaiter(owner: string, options: StartOptions = {}): Promise<SimulatedProcess> {
    const process = await this.start(owner, options);
    await this.until(`${owner} waits`, () => process.keeper.problem?.code === "lease/held", TTL_MS);
    return process;
  }

  async runFor(durationMs: number): Promise<void> {
    const endMs = this.nowMs + durationMs;
    while (this.nowMs < endMs) await this.#advance(endMs - this.nowMs);
    await this.#settle();
  }

  /** Lets time pass until `condition`; fails after `withinMs`. Returns how long it took. */
  async until(what: string, condition: () => boolean, withinMs: number): Promise<number> {
    const startMs = this.nowMs;
    for (;;) {
      await this.#settle();
      const passedMs = this.nowMs - startMs;
      if (condition()) return passedMs;
      assert.ok(passedMs < withinMs, `${what}: not within ${withinMs} ms`);
      await this.#advance(withinMs - passedMs);
    }
  }

  /** Looks who may write, and holds it against what was seen before. */
  observe(): void {
    const holders = this.#processes.filter(
      ({ isActing, keeper }) => isActing && keeper.epoch !== undefined,
    );
    const names = holders.map(({ owner, keeper }) => `${owner} at epoch ${keeper.epoch}`);
    assert.ok(holders.length <= 1, `two may write: ${names.join(", ")}`);
    const [holder] = holders;
    const epoch = holder?.keeper.epoch;
    if (holder === undefined || epoch === undefined) return;
    const last = this.holds.at(-1);
    if (last?.owner === holder.owner && last.epoch === epoch) return;
    assert.ok(
      last === undefined || epoch > last.epoch,
      `${holder.owner} holds epoch ${epoch} after ${last?.owner} held ${last?.epoch}`,
    );
    this.holds.push({ owner: holder.owner, epoch, fromMs: this.nowMs });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const process of this.#processes) {
      process.cell.fault = undefined;
      process.cell.delayMs = undefined;
      process.thaw();
    }
    await Promise.all(this.#processes.map((process) => process[Symbol.asyncDispose]()));
  }

  async #advance(limitMs: number): Promise<void> {
    await this.#settle();
    const nextMs = this.clock.nextMs ?? STEP_MS;
    this.clock.advance(Math.max(1, Math.min(nextMs, STEP_MS, limitMs)));
    this.observe();
  }

  async #settle(): Promise<void> {
    for (let quiet = 0; quiet < QUIET_TURNS; quiet += 1) {
      await new Promise<void>((resolve) => setImmediate(resolve));
      if (this.#processes.some(({ cell }) => cell.countRunning > 0)) quiet = -1;
      this.observe();
    }
  }
}
