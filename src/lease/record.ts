/**
 * The record as JSON, the same in every provider, and readable by Litestream's leaser, which knows three of the fields.
 *
 * Frozen: field names and their meaning, docs/formats/lease.md. Unknown fields are ignored.
 * Source: benbjohnson/litestream@63225f1 `Lease`, `s3.Leaser` (`lock.json`, default TTL 30 s).
 */
import { isMillraceError, MillraceError } from "../errors.ts";
import type { LeaseRecord } from "./contract.ts";

/** Largest record that is read. Ours have some 200 bytes. */
export const MAX_RECORD_BYTES: number = 16 * 1024;

/** The TTL of records that name none: Litestream's default. */
export const FOREIGN_TTL_MS = 30_000;

export const MAX_TTL_MS: number = 24 * 60 * 60 * 1_000;

const encoder = new TextEncoder();
const decoder = new TextDecoder("utf-8", { fatal: true });

/** Field names in the order in which they are written; a test compares them with the page. */
export const RECORD_FIELDS = [
  "generation",
  "expires_at",
  "owner",
  "epoch",
  "ttl_ms",
  "renewals",
] as const;

export function encodeRecord(record: LeaseRecord): Uint8Array {
  const { epoch, owner, expiresAtMs, ttlMs, renewals } = record;
  const values: Record<(typeof RECORD_FIELDS)[number], unknown> = {
    generation: epoch,
    expires_at: new Date(expiresAtMs).toISOString(),
    owner,
    epoch,
    ttl_ms: ttlMs,
    renewals,
  };
  return encoder.encode(JSON.stringify(values, [...RECORD_FIELDS]));
}

/** The record in `bytes`; `where` names its place. Throws `lease/invalid`. */
export function decodeRecord(bytes: Uint8Array, where: string): LeaseRecord {
  if (bytes.length > MAX_RECORD_BYTES)
    throw invalid(where, `${bytes.length} bytes, more than ${MAX_RECORD_BYTES}`);
  try {
    return parse(JSON.parse(decoder.decode(bytes)), where);
  } catch (error) {
    if (isMillraceError(error)) throw error;
    throw invalid(where, error instanceof Error ? error.message : String(error), error);
  }
}

function parse(value: unknown, where: string): LeaseRecord {
  if (typeof value !== "object" || value === null) throw invalid(where, "no JSON object");
  const fields = value as Readonly<Record<string, unknown>>;
  const whole = (name: string, missing: number | undefined, max: number): number => {
    const found = fields[name] ?? missing;
    if (typeof found === "number" && Number.isSafeInteger(found) && found >= 0 && found <= max)
      return found;
    throw invalid(where, `"${name}" is ${JSON.stringify(found)}, wanted a whole number`);
  };
  const expires = fields["expires_at"];
  const expiresAtMs = typeof expires === "string" ? Date.parse(expires) : Number.NaN;
  if (Number.isNaN(expiresAtMs))
    throw invalid(where, `"expires_at" is ${JSON.stringify(expires)}, wanted a time`);
  const owner = fields["owner"] ?? "";
  if (typeof owner !== "string") throw invalid(where, `"owner" is ${JSON.stringify(owner)}`);
  const { MAX_SAFE_INTEGER } = Number;
  const generation = whole("generation", undefined, MAX_SAFE_INTEGER - 1);
  return {
    epoch: whole("epoch", generation, MAX_SAFE_INTEGER - 1),
    owner,
    expiresAtMs,
    ttlMs: whole("ttl_ms", FOREIGN_TTL_MS, MAX_TTL_MS),
    renewals: whole("renewals", 0, MAX_SAFE_INTEGER - 1),
  };
}

function invalid(where: string, found: string, cause?: unknown): MillraceError {
  return new MillraceError("lease/invalid", `read lease "${where}": ${found}`, {
    op: "read lease",
    details: { where },
    hint: `nothing is overwritten that cannot be read; look at "${where}" and delete it if it is no lease`,
    cause,
  });
}
