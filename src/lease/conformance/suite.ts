/**
 * The conformance suite of lease providers: what every cell, and a keeper on it, has to do.
 *
 * A provider's whole test is one call of `leaseConformance` with a way to make a place of its own for each test. Requests
 * go to the real provider; only waiting is simulated.
 */
import { describe, it } from "node:test";
import { describeConformance } from "../../conformance/report.ts";
import { cellTests } from "./cells.ts";
import type { LeaseCheck, LeaseConformanceOptions, LeaseTarget } from "./context.ts";
import { keeperTests } from "./keepers.ts";

const PARTS: Readonly<Record<string, (check: LeaseCheck) => void>> = {
  cells: cellTests,
  keepers: keeperTests,
};

/** Registers the suite for the provider `name` with `node:test`. */
export function leaseConformance(
  name: string,
  open: () => Promise<LeaseTarget>,
  options: LeaseConformanceOptions,
): void {
  const { makeClock, makeRandom, unavailable, boundToProcess = false } = options;
  describeConformance(`lease/${name}`, unavailable, (ran) => {
    const check: LeaseCheck = (title, run) => {
      it(title, async () => {
        await using target = await open();
        await run({ target, makeClock, makeRandom, boundToProcess });
        ran();
      });
    };
    for (const [part, register] of Object.entries(PARTS)) describe(part, () => register(check));
  });
}
