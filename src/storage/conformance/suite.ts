/**
 * The conformance suite of the storage contract: what every backend has to pass, ours and anybody's.
 *
 * A backend's whole test is one call of `storageConformance` with a way to make an empty place. Tests that
 * concern a capability check the behaviour where the store declares it, and that the call is refused where
 * it does not. How many tests ran is counted and printed per backend; `requireBackends` fails the run when a
 * backend that was asked for ran none, so that a suite that quietly skips itself cannot pass for a green one.
 */
import assert from "node:assert/strict";
import { after, describe, it } from "node:test";
import type { ObjectStore } from "../contract.ts";
import { atomicityTests } from "./atomicity.ts";
import { capabilityTests } from "./capabilities.ts";
import { conditionalTests } from "./conditional.ts";
import type { Check, ConformanceOptions, ConformanceTarget } from "./context.ts";
import { keyTests } from "./keys.ts";
import { listingTests } from "./listing.ts";
import { objectTests } from "./objects.ts";
import { rangeTests } from "./ranges.ts";
import { stateTests } from "./states.ts";

const PARTS: Readonly<Record<string, (check: Check) => void>> = {
  states: stateTests,
  objects: objectTests,
  ranges: rangeTests,
  listing: listingTests,
  keys: keyTests,
  atomicity: atomicityTests,
  conditions: conditionalTests,
  capabilities: capabilityTests,
};

const executed = new Map<string, number>();

/** Registers the suite for the backend `name` with `node:test`. */
export function storageConformance(
  name: string,
  open: () => Promise<ConformanceTarget>,
  options: ConformanceOptions = {},
): void {
  const { largeBytes = 9 * 1024 * 1024 + 1, countMany = 1_203, unavailable } = options;
  executed.set(name, 0);
  if (unavailable !== undefined) {
    process.stdout.write(`conformance ${name}: not run, ${unavailable}\n`);
    return;
  }
  const check: Check = (title, run, { appliesTo } = {}) => {
    it(title, async (t) => {
      await using stack = new AsyncDisposableStack();
      const target = stack.use(await open());
      const connect = async (): Promise<ObjectStore> => stack.use(await target.connect());
      const store = await connect();
      if (appliesTo?.(store.capabilities) === false) {
        t.skip(`does not apply to the capabilities of ${name}`);
        return;
      }
      await run({ store, connect, largeBytes, countMany });
      executed.set(name, (executed.get(name) ?? 0) + 1);
    });
  };
  describe(`conformance ${name}`, () => {
    for (const [part, register] of Object.entries(PARTS)) describe(part, () => register(check));
    after(() => {
      process.stdout.write(`conformance ${name}: ${executed.get(name)} tests\n`);
    });
  });
}

/**
 * Registers a last test that fails when one of `names` ran no conformance test in this process.
 * The names come from the environment variable REQUIRE_BACKENDS, separated by commas.
 */
export function requireBackends(names: string | undefined): void {
  it("requireBackends() finds every required backend tested", () => {
    assert.deepEqual(untestedBackends(names, executed), []);
  });
}

/** Those of the comma-separated `names` that `counts` has no executed test for. */
export function untestedBackends(
  names: string | undefined,
  counts: ReadonlyMap<string, number>,
): string[] {
  const required = (names ?? "").split(",").map((name) => name.trim());
  return required.filter((name) => name !== "" && (counts.get(name) ?? 0) === 0);
}
