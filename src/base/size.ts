/**
 * Sizes as people write them: `5MB`, `64 MiB`, `1,024`. K, M, G, T, P, E (with or without B) are powers of 1000, Ki, Mi, …
 * powers of 1024.
 *
 * Source: dustin/go-humanize `ParseBytes`, which Litestream uses for `part-size`.
 */

const FORM = /^(\d[\d,]*(?:\.\d*)?|\.\d+)\s*(?:([kmgtpe])(i?))?b?$/i;
const POWERS = "kmgtpe";

/** Bytes, rounded down; `undefined` for anything that is no size, or more than an exact integer. */
export function parseSize(text: string): number | undefined {
  const match = FORM.exec(text.trim());
  if (match === null) return undefined;
  const [, digits = "", prefix, binary] = match;
  const power = prefix === undefined ? 0 : POWERS.indexOf(prefix.toLowerCase()) + 1;
  const base = binary === undefined || binary === "" ? 1000 : 1024;
  const bytes = Math.floor(Number(digits.replaceAll(",", "")) * base ** power);
  return Number.isSafeInteger(bytes) ? bytes : undefined;
}
