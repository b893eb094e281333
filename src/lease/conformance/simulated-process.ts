/**
 * A process as the simulation has it: its own two clocks, a keeper, and a cell whose requests can be made to fail.
 * It can be stopped and continued like by SIGSTOP and SIGCONT, suspended with its machine, killed, and ended properly.
 */
import { Signal, sleep } from "../../base/async.ts";
import type { Clock, Random } from "../../base/clock.ts";
import { MillraceError } from "../../errors.ts";
import type {
  LeaseCall,
  LeaseCell,
  LeaseReading,
  LeaseRecord,
  LeaseVersion,
  LeaseWrite,
} from "../contract.ts";
import type { LeaseKeeperEvent } from "../keeper-options.ts";
import { LeaseKeeper } from "../lease-keeper.ts";

/** The clocks of one process: both may be set off against the world's. */
export class ProcessClock implements Clock {
  readonly #world: Clock;
  /** What the wall clock is ahead. */
  wallOffsetMs = 0;
  /** What the monotonic clock did not count. */
  uncountedMs = 0;
  isFrozen = false;
  readonly #overdue: (() => void)[] = [];
  readonly #thawed = new Signal();

  constructor(world: Clock) {
    this.#world = world;
  }

  /** Resolves when the process runs. */
  async running(): Promise<void> {
    while (this.isFrozen) await this.#thawed.wait();
  }

  now(): number {
    return this.#world.now() + this.wallOffsetMs;
  }

  monotonic(): number {
    return this.#world.monotonic() - this.uncountedMs;
  }

  schedule(delayMs: number, run: () => void): Disposable {
    let isCancelled = false;
    const fire = (): void => {
      if (!isCancelled) run();
    };
    const timer = this.#world.schedule(delayMs, () => {
      if (this.isFrozen) this.#overdue.push(fire);
      else fire();
    });
    return {
      [Symbol.dispose]: () => {
        isCancelled = true;
        timer[Symbol.dispose]();
      },
    };
  }

  thaw(): void {
    this.isFrozen = false;
    for (const fire of this.#overdue.splice(0)) fire();
    this.#thawed.notify();
  }
}

export type CellFault =
  /** Every request fails without having done anything. */
  | "unreachable"
  /** Writes are done and their answers lost. */
  | "lost-answers"
  /** No request is answered. */
  | "hanging";

interface DoneWrite {
  readonly record: LeaseRecord;
  /** World time at which it was sent. */
  readonly sentMs: number;
}

/** A cell that counts what is under way and fails as told. */
export class WatchedCell implements LeaseCell {
  readonly type: string;
  readonly #inner: LeaseCell;
  readonly #world: Clock;
  readonly #process: ProcessClock;
  /** How long a request, and then its answer, is under way; neither heeds the caller's abort. */
  delayMs: (() => number) | undefined;
  fault: CellFault | undefined;
  countRunning = 0;
  /** Requests in order. */
  readonly log: ("read" | "write")[] = [];
  /** Writes that reached the cell. */
  readonly written: DoneWrite[] = [];

  constructor(inner: LeaseCell, world: Clock, process: ProcessClock) {
    this.type = inner.type;
    this.#inner = inner;
    this.#world = world;
    this.#process = process;
  }

  read(call: LeaseCall = {}): Promise<LeaseReading | undefined> {
    this.log.push("read");
    return this.#send(call, () => this.#inner.read(this.#wandering(call)));
  }

  write(record: LeaseRecord, options: LeaseWrite): Promise<LeaseVersion> {
    this.log.push("write");
    const sentMs = this.#world.monotonic();
    const isLost = this.fault === "lost-answers";
    return this.#send(options, async () => {
      const version = await this.#inner.write(record, this.#wandering(options));
      this.written.push({ record, sentMs });
      if (isLost) throw lost();
      return version;
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#inner[Symbol.asyncDispose]();
  }

  /** A request that is under way does not hear of an abort. */
  #wandering<Call extends LeaseCall>(call: Call): Call {
    return this.delayMs === undefined ? call : { ...call, signal: undefined };
  }

  async #send<T>(call: LeaseCall, run: () => Promise<T>): Promise<T> {
    if (this.fault === "unreachable") throw lost();
    if (this.fault === "hanging") return aborted(call.signal);
    if (this.delayMs === undefined) return this.#count(run);
    await sleep(this.#world, this.delayMs());
    try {
      return await this.#count(run);
    } finally {
      await sleep(this.#world, this.delayMs?.() ?? 0);
      await this.#process.running();
    }
  }

  async #count<T>(run: () => Promise<T>): Promise<T> {
    this.countRunning += 1;
    try {
      return await run();
    } finally {
      this.countRunning -= 1;
    }
  }
}

export interface SimulatedProcessOptions {
  readonly owner: string;
  readonly inner: LeaseCell;
  readonly world: Clock;
  readonly random: Random;
  readonly ttlMs: number;
  readonly floorEpoch?: number | undefined;
  readonly parkAfterMs?: number | undefined;
  /** Its cell closes with it, as by the kernel. */
  readonly boundToProcess: boolean;
}

export class SimulatedProcess {
  readonly owner: string;
  readonly clock: ProcessClock;
  readonly cell: WatchedCell;
  readonly keeper: LeaseKeeper;
  readonly events: LeaseKeeperEvent[] = [];
  readonly #stop = new AbortController();
  readonly #running: Promise<void>;
  readonly #boundToProcess: boolean;
  #isEnded = false;

  constructor(options: SimulatedProcessOptions) {
    const { owner, inner, world, random, ttlMs, floorEpoch, parkAfterMs } = options;
    this.owner = owner;
    this.clock = new ProcessClock(world);
    this.cell = new WatchedCell(inner, world, this.clock);
    this.#boundToProcess = options.boundToProcess;
    this.keeper = new LeaseKeeper({
      cell: this.cell,
      name: "simulation",
      owner,
      clock: this.clock,
      random,
      ttlMs,
      floorEpoch,
      parkAfterMs,
      onEvent: (event) => this.events.push(event),
    });
    this.#running = this.keeper.run(this.#stop.signal);
  }

  /** Neither dead nor standing still: what it believes counts. */
  get isActing(): boolean {
    return !this.#isEnded && !this.clock.isFrozen;
  }

  get isEnded(): boolean {
    return this.#isEnded;
  }

  /** SIGSTOP. */
  freeze(): void {
    this.clock.isFrozen = true;
  }

  /** SIGCONT; after a suspend, `uncountedMs` of the time that passed are unknown to the monotonic clock. */
  thaw(uncountedMs = 0): void {
    this.clock.uncountedMs += uncountedMs;
    this.clock.thaw();
  }

  /** SIGKILL: nothing is given back. */
  async kill(): Promise<void> {
    this.#isEnded = true;
    this.#stop.abort();
    await this.#running;
    if (this.#boundToProcess) await this.cell[Symbol.asyncDispose]();
  }

  /** SIGTERM. */
  async end(): Promise<void> {
    this.#isEnded = true;
    this.#stop.abort();
    await this.#running;
    await this.keeper[Symbol.asyncDispose]();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#isEnded) await this.cell[Symbol.asyncDispose]();
    else await this.end();
  }
}

function lost(): MillraceError {
  return new MillraceError("lease/unavailable", "simulate request: no answer");
}

function aborted(signal: AbortSignal | undefined): Promise<never> {
  return new Promise((_, reject) => {
    signal?.addEventListener("abort", () => reject(signal.reason as Error), { once: true });
  });
}
