/** Times of files: whole milliseconds to us, a floating point number of seconds to the system. */

/** How far a stored time is moved down: more than a double of seconds can be off until the year 2242. */
const BIAS_SECONDS = 5e-7;

/**
 * Seconds for `utimes`. The time is stored a little low, never high: another program that asks whether the
 * file is from a given millisecond or earlier must not find it a fraction of a microsecond late. `toMs` rounds it back.
 */
export function toSeconds(timeMs: number): number {
  return Math.max(0, timeMs / 1000 - BIAS_SECONDS);
}

/** Unix milliseconds of a file time. */
export function toMs(mtimeMs: number): number {
  return Math.round(mtimeMs);
}
