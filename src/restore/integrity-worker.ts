/** Runs one integrity check beside the main thread, which stays free to abort it. */
import { parentPort, workerData } from "node:worker_threads";
import { defined } from "../base/assert.ts";
import { toErrorRecord, type ErrorRecord } from "../errors.ts";
import { checkIntegrity, type IntegrityMode } from "../sqlite/integrity.ts";

export interface IntegrityQuestion {
  readonly path: string;
  readonly mode: IntegrityMode;
}

export type IntegrityAnswer =
  | { readonly problems: readonly string[] }
  | { readonly error: ErrorRecord };

function answer({ path, mode }: IntegrityQuestion): IntegrityAnswer {
  try {
    return { problems: checkIntegrity(path, mode) };
  } catch (error) {
    return { error: toErrorRecord(error) };
  }
}

defined(parentPort, "the parent port of an integrity check").postMessage(
  answer(workerData as IntegrityQuestion),
);
