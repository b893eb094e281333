/** Assertions: a failure is a bug of ours, never a fact about the world. */
import { MillraceError } from "../errors.ts";

/** Throws `internal/bug` unless `condition` holds. */
export function assert(condition: boolean, message: string): asserts condition {
  if (!condition) throw new MillraceError("internal/bug", `assertion failed: ${message}`);
}

/** Returns `value`, which the surrounding code knows to be present. */
export function defined<T>(value: T | undefined | null, what: string): T {
  if (value === undefined || value === null)
    throw new MillraceError("internal/bug", `assertion failed: ${what} is missing`);
  return value;
}
