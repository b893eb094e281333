/** Names of unfinished puts in stores that are trees of files. Frozen: they are how abandoned ones are told from anything else. */
import { TEMPORARY_SUFFIX } from "../keys.ts";

const OWN_NAME = /\.\d+\.\d+\.tmp$/;

let lastNumber = 0;

/** A name that no other put of this process uses: `<path>.<pid>.<n>.tmp`. */
export function temporaryPath(path: string): string {
  lastNumber += 1;
  return `${path}.${process.pid}.${lastNumber}${TEMPORARY_SUFFIX}`;
}

/** Whether a name is of the form that `temporaryPath` gives. */
export function isOwnTemporary(path: string): boolean {
  return OWN_NAME.test(path);
}
