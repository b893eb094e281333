/** The times of a lease: defaults, and what they must be to each other. */
import { MillraceError } from "../errors.ts";
import type { LeaseRules } from "./lease-state.ts";
import { MAX_TTL_MS } from "./record.ts";

export const DEFAULT_TTL_MS = 30_000;
export const MIN_TTL_MS = 1_000;

/** The default margin is this part of the TTL. */
const MARGIN_PART = 10;

export interface LeaseTiming {
  /** How long others wait for a silent holder. Default 30 s. */
  readonly ttlMs?: number | undefined;
  /** How long before that the holder stops writing. Default a tenth of the TTL, at most half of it. */
  readonly marginMs?: number | undefined;
}

/** Throws `config/invalid`. */
export function leaseRules(options: LeaseTiming & { readonly owner: string }): LeaseRules {
  const { owner, ttlMs = DEFAULT_TTL_MS } = options;
  const marginMs = options.marginMs ?? ttlMs / MARGIN_PART;
  if (owner === "") throw invalid("the owner is empty");
  if (!Number.isSafeInteger(ttlMs) || ttlMs < MIN_TTL_MS || ttlMs > MAX_TTL_MS)
    throw invalid(`a TTL of ${ttlMs} ms, wanted ${MIN_TTL_MS} to ${MAX_TTL_MS}`);
  if (!(marginMs > 0 && marginMs <= ttlMs / 2))
    throw invalid(`a margin of ${marginMs} ms, wanted at most half of the TTL of ${ttlMs} ms`);
  return { owner, ttlMs, marginMs };
}

function invalid(found: string): MillraceError {
  return new MillraceError("config/invalid", `configure lease: ${found}`, {
    op: "configure lease",
  });
}
