/**
 * The conformance suite of the storage contract: what every backend has to pass, ours and anybody's.
 *
 * A backend's whole test is one call of `storageConformance` with a way to make an empty place. Tests that
 * concern a capability check the behaviour where the store declares it, and that the call is refused where
 * it does not. How many tests ran is counted and reported per backend; one that stands in the environment variable
 * REQUIRE_BACKENDS fails when it ran none, so that a suite that quietly skips itself cannot pass for a green one.
 */
import { describe, it } from "node:test";
import { describeConformance } from "../../conformance/report.ts";
import type { ObjectStore } from "../contract.ts";
import { MAX_KEY_BYTES } from "../keys.ts";
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

/** Registers the suite for the backend `name` with `node:test`. */
export function storageConformance(
  name: string,
  open: () => Promise<ConformanceTarget>,
  options: ConformanceOptions = {},
): void {
  const { largeBytes = 9 * 1024 * 1024 + 1, countMany = 1_203, unavailable } = options;
  const { maxKeyBytes = MAX_KEY_BYTES } = options;
  const checkWith =
    (ran: () => void): Check =>
    (title, run, { appliesTo } = {}) => {
      it(title, async (t) => {
        await using stack = new AsyncDisposableStack();
        const target = stack.use(await open());
        const connect = async (): Promise<ObjectStore> => stack.use(await target.connect());
        const store = await connect();
        if (appliesTo?.(store.capabilities) === false) {
          t.skip(`does not apply to the capabilities of ${name}`);
          return;
        }
        await run({ store, connect, largeBytes, countMany, maxKeyBytes });
        ran();
      });
    };
  describeConformance(name, unavailable, (ran) => {
    const check = checkWith(ran);
    for (const [part, register] of Object.entries(PARTS)) describe(part, () => register(check));
  });
}
