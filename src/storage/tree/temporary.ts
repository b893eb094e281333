/** Names of unfinished puts in stores that are trees of files. Frozen: they are how abandoned ones are told from anything else. */
import { TEMPORARY_SUFFIX } from "../keys.ts";

const OWN_NAME = /\.\d+\.\d+\.tmp$/;

let lastNumber = 0;

/** `<path>.<pid>.<n>.tmp`; by default with a number that no other put of this process uses. */
export function temporaryPath(path: string, number?: number): string {
  if (number === undefined) lastNumber += 1;
  return `${path}.${process.pid}.${number ?? lastNumber}${TEMPORARY_SUFFIX}`;
}

/** Whether a name is of the form that `temporaryPath` gives. */
export function isOwnTemporary(path: string): boolean {
  return OWN_NAME.test(path);
}
