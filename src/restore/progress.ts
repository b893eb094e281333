/** Progress of a restore, at a pace that a terminal can follow. */
import type { Clock } from "../base/clock.ts";

/**
 * `plan`: listing the replica. `pages`: fetching, decoding, writing. `log`: applying the write-ahead logs of a Litestream
 * 0.3 backup. `diagnose`: after a failure, finding the
 * damaged file. `check`: SQLite's integrity check. `sync`: flushing to disk. `done`: the output is in place.
 */
export type RestorePhase = "plan" | "pages" | "log" | "diagnose" | "check" | "sync" | "done";

export interface RestoreProgress {
  readonly phase: RestorePhase;
  readonly pagesDone: number;
  /** 0 until the plan is known. */
  readonly pagesTotal: number;
  /** Bytes of database per second since the first page; 0 before. */
  readonly bytesPerSecond: number;
  /** Time that the pages still need at that rate; `undefined` while there is no rate. */
  readonly etaMs: number | undefined;
}

/** Least time between two events of one phase. */
const INTERVAL_MS = 100;

export class ProgressMeter {
  readonly #clock: Clock;
  readonly #report: ((progress: RestoreProgress) => void) | undefined;
  #phase: RestorePhase = "plan";
  #pagesDone = 0;
  #pagesTotal = 0;
  #pageSize = 0;
  #startedAt = 0;
  #reportedAt = Number.NEGATIVE_INFINITY;

  constructor(clock: Clock, report: ((progress: RestoreProgress) => void) | undefined) {
    this.#clock = clock;
    this.#report = report;
  }

  /** Enters a phase; always reported. */
  enter(phase: RestorePhase): void {
    this.#phase = phase;
    this.#emit(this.#clock.monotonic());
  }

  /** Says how much there is to do and starts the clock of the rate. */
  begin(pagesTotal: number, pageSize: number): void {
    this.#pagesTotal = pagesTotal;
    this.#pageSize = pageSize;
    this.#pagesDone = 0;
    this.#startedAt = this.#clock.monotonic();
    this.enter("pages");
  }

  add(pages: number): void {
    this.#pagesDone += pages;
    const now = this.#clock.monotonic();
    if (now - this.#reportedAt >= INTERVAL_MS) this.#emit(now);
  }

  #emit(now: number): void {
    this.#reportedAt = now;
    const elapsedMs = now - this.#startedAt;
    const pagesPerMs = this.#pagesTotal > 0 && elapsedMs > 0 ? this.#pagesDone / elapsedMs : 0;
    this.#report?.({
      phase: this.#phase,
      pagesDone: this.#pagesDone,
      pagesTotal: this.#pagesTotal,
      bytesPerSecond: Math.round(pagesPerMs * 1000 * this.#pageSize),
      etaMs:
        pagesPerMs > 0 ? Math.round((this.#pagesTotal - this.#pagesDone) / pagesPerMs) : undefined,
    });
  }
}
