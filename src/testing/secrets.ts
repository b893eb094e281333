/** Secrets and errors: whatever way an error is shown, no secret is in it. */
import assert from "node:assert/strict";
import { inspect } from "node:util";
import { toErrorRecord } from "../errors.ts";

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
