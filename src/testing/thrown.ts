/** Errors as tests look at them: the one that a call threw, and that no secret is in it, whatever way it is shown. */
import assert from "node:assert/strict";
import { inspect } from "node:util";
import { isMillraceError, toErrorRecord, type MillraceError } from "../errors.ts";

/** Fails when one of `secrets` is in the error, in its record, or in what Node.js prints of it. */
export function assertNoSecret(error: unknown, secrets: readonly string[]): void {
  const shown = [
    inspect(error, { depth: 12, showHidden: true }),
    JSON.stringify(toErrorRecord(error)),
    error instanceof Error ? String(error.stack) : "",
  ];
  for (const secret of secrets) {
    for (const form of [secret, encodeURIComponent(secret)])
      assert.ok(!shown.some((text) => text.includes(form)), "an error shows a secret");
  }
}

/** The error with which `run` fails; fails itself when `run` succeeds, or throws anything else. */
export async function thrownBy(run: () => Promise<unknown>): Promise<MillraceError> {
  const error = await run().then(
    () => assert.fail("it succeeded"),
    (thrown: unknown) => thrown,
  );
  assert.ok(isMillraceError(error), String(error));
  return error;
}
