/** Which request to a fault store fails, and how: scripted case by case, or drawn from a seed. */
import { assert } from "../base/assert.ts";
import type { ErrorCode } from "../errors.ts";
import { randomFrom } from "./seeded-random.ts";

export type StoreOperation = "get" | "head" | "put" | "list" | "delete";

export type FaultKind =
  | "before"
  | "after"
  | "reset"
  | "truncate"
  | "short"
  | "flip"
  | "disk-full"
  | "hang"
  | "delay";

/** One fault; `fault-store.ts` says what each kind does. */
export interface Fault {
  readonly kind: FaultKind;
  /** Bytes (get, put), items (list) or keys (delete) that pass before the fault; default 0. */
  readonly after?: number | undefined;
  /** For `delay`. */
  readonly delayMs?: number | undefined;
  /** Code of the error; default `storage/unavailable`, or what the kind says. */
  readonly code?: ErrorCode | undefined;
}

/** A request as the plan sees it. */
export interface StoreRequest {
  readonly operation: StoreOperation;
  /** The key; the prefix of a list; the keys of a delete joined by commas. */
  readonly key: string;
  /** How many requests with this operation and key came before: 0 for the first attempt. */
  readonly attempt: number;
}

export type FaultPlan = (request: StoreRequest) => Fault | undefined;

/** The kinds that make sense for an operation. */
export const APPLICABLE: Readonly<Record<StoreOperation, readonly FaultKind[]>> = {
  get: ["before", "reset", "truncate", "short", "flip", "hang", "delay"],
  head: ["before", "hang", "delay"],
  put: ["before", "after", "reset", "flip", "disk-full", "hang", "delay"],
  list: ["before", "reset", "hang", "delay"],
  delete: ["before", "after", "reset", "hang", "delay"],
};

/** Kinds that a caller is told about and can answer by trying again. */
const RETRYABLE: readonly FaultKind[] = [
  "before",
  "after",
  "reset",
  "truncate",
  "disk-full",
  "delay",
];

export const NO_FAULTS: FaultPlan = () => undefined;

/** Every request of these operations (default all) fails: an outage. */
export function allFail(fault: Fault, operations?: readonly StoreOperation[]): FaultPlan {
  return ({ operation }) =>
    operations === undefined || operations.includes(operation) ? fault : undefined;
}

export interface FaultRule {
  readonly operation: StoreOperation;
  /** Keys the rule is about; default all. */
  readonly key?: RegExp | undefined;
  /** Matching requests that pass before the rule begins; default 0. */
  readonly skip?: number | undefined;
  /** Requests that the rule then breaks; default 1. */
  readonly times?: number | undefined;
  readonly fault: Fault;
}

/** The first rule with something left to break decides. A rule counts the requests that reach it. */
export function scriptedFaults(rules: readonly FaultRule[]): FaultPlan {
  const states = rules.map((rule) => ({ rule, skip: rule.skip ?? 0, times: rule.times ?? 1 }));
  return ({ operation, key }) => {
    for (const state of states) {
      const { rule } = state;
      if (rule.operation !== operation || rule.key?.test(key) === false) continue;
      if (state.skip > 0) {
        state.skip -= 1;
      } else if (state.times > 0) {
        state.times -= 1;
        return rule.fault;
      }
    }
    return undefined;
  };
}

export interface SeededFaultsOptions {
  readonly seed: number;
  /** Probability that a request is broken, from 0 to 1. */
  readonly rate: number;
  /** Default: all that a caller is told about and can answer by trying again. */
  readonly kinds?: readonly FaultKind[] | undefined;
  /** Attempts after which a key is left alone, so that retries end; default 5. */
  readonly maxAttempts?: number | undefined;
  /** Bound of a fault's `after`; default 100,000. */
  readonly maxAfter?: number | undefined;
  /** Bound of a fault's `delayMs`; default 50. */
  readonly maxDelayMs?: number | undefined;
}

/**
 * Random faults that depend on the seed, the operation, the key and the attempt alone: the same requests
 * meet the same faults in whatever order they arrive.
 */
export function seededFaults(options: SeededFaultsOptions): FaultPlan {
  const { seed, rate, kinds = RETRYABLE, maxAttempts = 5 } = options;
  assert(rate >= 0 && rate <= 1, `fault rate ${rate} is not between 0 and 1`);
  return ({ operation, key, attempt }) => {
    if (attempt >= maxAttempts) return undefined;
    const random = randomFrom(`${seed} ${operation} ${attempt} ${key}`);
    if (random() >= rate) return undefined;
    const possible = kinds.filter((kind) => APPLICABLE[operation].includes(kind));
    const kind = possible[Math.floor(random() * possible.length)];
    if (kind === undefined) return undefined;
    const after = Math.floor(random() * (options.maxAfter ?? 100_000));
    return { kind, after, delayMs: Math.floor(random() * (options.maxDelayMs ?? 50)) };
  };
}
