/** The errors that several files of the lease raise, worded once. */
import { MillraceError } from "../errors.ts";

/** Somebody else changed the cell since it was read. */
export function conflict(where: string, found: string, cause?: unknown): MillraceError {
  return new MillraceError("lease/conflict", `write lease "${where}": ${found}`, {
    op: "write lease",
    details: { where },
    hint: "somebody else was faster; the lease is read again",
    cause,
  });
}

/** The service that keeps the lease gave no useful answer. */
export function unavailable(
  op: string,
  where: string,
  found: string,
  cause?: unknown,
): MillraceError {
  return new MillraceError("lease/unavailable", `${op} "${where}": ${found}`, {
    op,
    details: { where },
    hint: "check that the service is reachable and that the credentials are right; it is tried again",
    cause,
  });
}
