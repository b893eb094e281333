/** Time and chance for the conformance suite of leases, as every provider's test hands them over. */
import type { SteppedClock } from "../lease/conformance/context.ts";
import type { Random } from "../base/clock.ts";
import { ManualClock } from "./manual-clock.ts";
import { seeded } from "./sample-pages.ts";

export const simulated = {
  makeClock: (): SteppedClock => new ManualClock(),
  makeRandom: (seed: number): Random => {
    const next = seeded(seed);
    return () => next(2 ** 32) / 2 ** 32;
  },
};
