/** The optional last proof of a restore: SQLite reads the new file before it gets its name. */
import { Worker } from "node:worker_threads";
import { fromErrorRecord, MillraceError } from "../errors.ts";
import { siblingModule } from "../platform/sibling.ts";
import type { IntegrityMode } from "../sqlite/integrity.ts";
import type { IntegrityAnswer, IntegrityQuestion } from "./integrity-worker.ts";

export type IntegrityCheck = "none" | IntegrityMode;

/**
 * Throws `restore/integrity` with SQLite's findings, or with the reason why SQLite could not check. The
 * file is not changed and nothing appears beside it. Aborting ends the check.
 */
export async function requireIntegrity(
  path: string,
  options: {
    readonly mode: IntegrityMode;
    readonly output: string;
    readonly signal?: AbortSignal | undefined;
  },
): Promise<void> {
  const { mode, output, signal } = options;
  const answer = await ask({ path, mode }, signal);
  if ("problems" in answer && answer.problems.length === 0) return;
  const op = "restore integrity check";
  const details = { path: output, mode };
  if ("error" in answer) {
    const cause = fromErrorRecord(answer.error);
    throw new MillraceError(
      "restore/integrity",
      `check the restored "${output}": SQLite cannot: ${cause.message}`,
      {
        op,
        details,
        cause,
        hint: "the output was left as it was",
      },
    );
  }
  const [first, ...others] = answer.problems;
  const more = others.length === 0 ? "" : `, and ${others.length} more`;
  throw new MillraceError("restore/integrity", `check the restored "${output}": ${first}${more}`, {
    op,
    details: { ...details, problems: answer.problems },
    hint: "the output was left as it was; the database was damaged before it was captured, or at the chosen point",
  });
}

async function ask(
  question: IntegrityQuestion,
  signal: AbortSignal | undefined,
): Promise<IntegrityAnswer> {
  signal?.throwIfAborted();
  const worker = new Worker(siblingModule(import.meta.url, "integrity-worker"), {
    workerData: question,
  });
  const { promise, resolve, reject } = Promise.withResolvers<IntegrityAnswer>();
  const onAbort = (): void => reject(signal?.reason as Error);
  signal?.addEventListener("abort", onAbort, { once: true });
  worker.once("message", resolve);
  worker.once("error", reject);
  worker.once("exit", (code) =>
    reject(new MillraceError("internal/bug", `an integrity check ended with status ${code}`)),
  );
  try {
    return await promise;
  } finally {
    signal?.removeEventListener("abort", onAbort);
    await worker.terminate();
  }
}
