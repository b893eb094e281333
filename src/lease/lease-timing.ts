/** How long the lease's loop rests in each state. Pure, like the machine that it goes with. */
import type { Random } from "../base/clock.ts";
import { heldUntilMs, type LeaseRules, type LeaseState, type Moment } from "./lease-state.ts";

/** A waiter looks at most this long after the last time: takeover is promised within the TTL and a second. */
export const POLL_MS = 650;

/** A renewal is due after this part of the TTL. */
export const RENEWALS_PER_TTL = 3;

/** Rests are shortened by up to this part of them, so that many processes do not go in step. */
const JITTER = 0.25;

/** While the lease is held but a renewal is unanswered, the next try comes within this time. */
const LATE_MS = 1_000;

export interface RestOptions {
  readonly rules: LeaseRules;
  readonly now: Moment;
  readonly random: Random;
  /** What failures in a row ask for; `undefined` after a success. */
  readonly backoffMs: number | undefined;
}

/** Milliseconds until the next event; `undefined` for states that await an answer. */
export function restMs(state: LeaseState, options: RestOptions): number | undefined {
  const { rules, now, backoffMs } = options;
  const jittered = (delayMs: number): number => delayMs * (1 - JITTER * options.random());
  switch (state.name) {
    case "idle":
      // At once in the beginning; after a conflict there is somebody to give time to.
      return backoffMs ?? (state.triedEpoch === 0 ? 0 : jittered(POLL_MS));
    case "waiting": {
      const { reading, sinceMs } = state.seen;
      const untilSilentMs = sinceMs + reading.record.ttlMs - now.atMs;
      const pollMs = backoffMs ?? jittered(POLL_MS);
      return untilSilentMs > 0 ? Math.min(pollMs, untilSilentMs) : pollMs;
    }
    case "held":
      return Math.max(0, state.tenure.atMs + jittered(rules.ttlMs / RENEWALS_PER_TTL) - now.atMs);
    case "late": {
      const leftMs = Math.max(0, heldUntilMs(rules, state.tenure) - now.atMs);
      return Math.min(backoffMs ?? 0, LATE_MS, leftMs);
    }
    case "parked":
      return 0;
    case "resuming":
    case "looking":
    case "taking":
    case "renewing":
    case "checking":
    case "releasing":
    case "released":
      break;
  }
  return undefined;
}
