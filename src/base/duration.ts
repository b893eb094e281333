/**
 * Durations as Go writes them: `1h30m`, `250ms`. Used in configuration files and command lines.
 *
 * Source: Go `time.ParseDuration`.
 */

const UNIT_MS: Readonly<Record<string, number>> = {
  ns: 1e-6,
  us: 1e-3,
  µs: 1e-3,
  μs: 1e-3,
  ms: 1,
  s: 1000,
  m: 60_000,
  h: 3_600_000,
};

const PART = /(\d+(?:\.\d*)?|\.\d+)(ns|us|µs|μs|ms|s|m|h)/gy;

/** Milliseconds, possibly a fraction; `undefined` for anything that is no duration. A bare number has no unit and is none, except 0. */
export function parseDuration(text: string): number | undefined {
  const sign = text.startsWith("-") ? -1 : 1;
  const body = /^[+-]/.test(text) ? text.slice(1) : text;
  if (body === "0") return 0;
  let ms = 0;
  let end = 0;
  for (const match of body.matchAll(PART)) {
    ms += Number(match[1]) * (UNIT_MS[match[2] ?? ""] ?? Number.NaN);
    end = match.index + match[0].length;
  }
  return body === "" || end < body.length ? undefined : sign * ms;
}

/** A duration as people read it: `850 ms`, `1.2 s`, `3 min 20 s`, `2 h 5 min`. */
export function formatDuration(ms: number): string {
  if (ms < 10) return `${Number(ms.toFixed(1))} ms`;
  if (ms < 1000) return `${Math.round(ms)} ms`;
  if (ms < 60_000) return `${Number((ms / 1000).toFixed(1))} s`;
  const seconds = Math.round(ms / 1000);
  if (seconds < 3600) return two(Math.floor(seconds / 60), "min", seconds % 60, "s");
  const minutes = Math.round(seconds / 60);
  return two(Math.floor(minutes / 60), "h", minutes % 60, "min");
}

function two(large: number, largeUnit: string, small: number, smallUnit: string): string {
  const first = `${large} ${largeUnit}`;
  return small === 0 ? first : `${first} ${small} ${smallUnit}`;
}
