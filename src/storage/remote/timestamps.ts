/**
 * The time at which an object's content was made, as Litestream keeps it in an object's metadata: RFC 3339 in UTC,
 * without zeros at the end of its fraction. The form is frozen, because both read what the other wrote.
 *
 * Source: benbjohnson/litestream@63225f1 `WriteLTXFile` and `LTXFiles` of its object store clients.
 */
import { MillraceError } from "../../errors.ts";

/** Last millisecond of the year 9999, after which RFC 3339 has no form. */
const MAX_MS = 253_402_300_799_999;

/** Unix ms as metadata. Throws `storage/misuse` for times after the year 9999. */
export function formatTimestamp(ms: number): string {
  if (ms > MAX_MS) {
    const op = "put object";
    throw new MillraceError("storage/misuse", `${op}: createdAtMs ${ms} is after the year 9999`, {
      op,
    });
  }
  return new Date(ms).toISOString().replace(/\.?0+Z$/, "Z");
}

/** Unix ms, fractions of a millisecond cut off; `undefined` when there is no time, or none that can be read. */
export function parseTimestamp(text: string | null | undefined): number | undefined {
  if (typeof text !== "string" || !/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d/.test(text)) return undefined;
  const ms = Date.parse(text);
  return Number.isNaN(ms) ? undefined : ms;
}
