/**
 * Who may write to a destination. A lease makes sure that it is one process at a time; what a shipper needs of it is here.
 *
 * A permit says who should write, the conditional create of every file decides who did: between the last check and the
 * moment when the store acts nothing can be checked.
 */
import type { MillraceError } from "../errors.ts";

export interface WritePermit {
  /**
   * Resolves with the epoch once this process may write, which may take as long as another one does. While it is the same
   * epoch nobody else could write. Rejects with `signal.reason`.
   */
  ensure(signal: AbortSignal | undefined): Promise<number>;
  /** Throws `lease/lost` unless this process may write at this moment. */
  check(): void;
  /** Keeps the permit for the time of a write, however long that takes. */
  use(): Disposable;
  /** Why `ensure` waits. */
  readonly problem: MillraceError | undefined;
  /** False for a permit that everybody has. */
  readonly isExclusive: boolean;
}

/** For destinations without a lease. */
export const ANYBODY: WritePermit = {
  ensure: async () => 0,
  check: () => {},
  use: () => ({ [Symbol.dispose]: () => {} }),
  problem: undefined,
  isExclusive: false,
};

/** Files of others found under one epoch after which somebody must be writing without asking. */
const MAX_CONFLICTS = 3;

/** A shipper's view of its permit: what it knows of the destination holds for one epoch. */
export class Turn {
  readonly #permit: WritePermit;
  #epoch: number | undefined;
  #conflicts = 0;
  #isWaiting = false;

  constructor(permit: WritePermit) {
    this.#permit = permit;
  }

  get permit(): WritePermit {
    return this.#permit;
  }

  /** Another process may write and this one waits. */
  get isWaiting(): boolean {
    return this.#isWaiting;
  }

  /** `new`: others could write since the last call, so the destination has to be looked at. */
  async ensure(signal: AbortSignal | undefined): Promise<"same" | "new"> {
    this.#isWaiting = true;
    try {
      const epoch = await this.#permit.ensure(signal);
      if (epoch === this.#epoch) return "same";
      this.#epoch = epoch;
      this.#conflicts = 0;
      return "new";
    } finally {
      this.#isWaiting = false;
    }
  }

  /**
   * Whether a file of somebody else is only the last one of the process that had the permit before: it was under way when
   * that one lost it. Without a permit, or when it happens again and again, somebody writes who must not.
   */
  forgives(): boolean {
    if (!this.#permit.isExclusive) return false;
    this.#conflicts += 1;
    return this.#conflicts <= MAX_CONFLICTS;
  }
}
