/** What passes between a lease provider under test and the conformance suite. */
import type { Clock, Random } from "../../base/clock.ts";
import type { LeaseCell } from "../contract.ts";

/** A place for one lease that nobody else uses; disappears when disposed. */
export interface LeaseTarget extends AsyncDisposable {
  /** Opens a cell on the place, as another process would. */
  connect(): Promise<LeaseCell>;
}

/** A clock that stands still until it is moved. */
export interface SteppedClock extends Clock {
  /** Milliseconds until the next timer is due; `undefined` without one. */
  readonly nextMs: number | undefined;
  advance(byMs: number): void;
}

export interface LeaseConformanceOptions {
  /** Time for the tests that need hours of it. */
  readonly makeClock: () => SteppedClock;
  /** Numbers that the seed determines. */
  readonly makeRandom: (seed: number) => Random;
  /** Why the provider cannot be tested here; it then counts as having run no test. */
  readonly unavailable?: string | undefined;
  /** The lease is freed by the death of its process and by nothing else: no silence ends it. Default false. */
  readonly boundToProcess?: boolean | undefined;
}

export interface LeaseCheckContext {
  readonly target: LeaseTarget;
  readonly makeClock: () => SteppedClock;
  readonly makeRandom: (seed: number) => Random;
  readonly boundToProcess: boolean;
}

/** Registers one test; its title names the symbol and the condition. */
export type LeaseCheck = (
  title: string,
  run: (context: LeaseCheckContext) => Promise<void>,
) => void;
