/**
 * [ship] Whatever fails and whenever the process dies, the destination holds one unbroken line: a reader
 * finds no gap, no fork, and at its end exactly what the database held.
 */
import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { describe, test } from "node:test";
import * as fc from "fast-check";
import { toTxid, type Txid } from "../base/ids.ts";
import { NO_FAULTS, seededFaults } from "../testing/fault-store-plan.ts";
import { propertyOptions } from "../testing/property.ts";
import { ShipHarness } from "../testing/ship-harness.ts";
import { coverage } from "./span.ts";

type Operation =
  | { readonly kind: "commit"; readonly count: number; readonly pages: readonly number[] }
  | { readonly kind: "step"; readonly count: number }
  | { readonly kind: "restart" }
  | { readonly kind: "weather"; readonly rate: number; readonly seed: number }
  | { readonly kind: "damage" }
  | { readonly kind: "vacuum"; readonly commit: number }
  | { readonly kind: "answer" };

const operation: fc.Arbitrary<Operation> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({
      kind: fc.constant("commit" as const),
      count: fc.integer({ min: 1, max: 4 }),
      pages: fc.uniqueArray(fc.integer({ min: 1, max: 12 }), { minLength: 1, maxLength: 5 }),
    }),
  },
  {
    weight: 8,
    arbitrary: fc.record({
      kind: fc.constant("step" as const),
      count: fc.integer({ min: 1, max: 8 }),
    }),
  },
  { weight: 2, arbitrary: fc.constant({ kind: "restart" as const }) },
  {
    weight: 2,
    arbitrary: fc.record({
      kind: fc.constant("weather" as const),
      rate: fc.constantFrom(0, 0.3, 0.6, 1),
      seed: fc.nat(),
    }),
  },
  { weight: 1, arbitrary: fc.constant({ kind: "damage" as const }) },
  {
    weight: 1,
    arbitrary: fc.record({
      kind: fc.constant("vacuum" as const),
      commit: fc.integer({ min: 1, max: 6 }),
    }),
  },
  { weight: 3, arbitrary: fc.constant({ kind: "answer" as const }) },
);

/** Flips a bit of a file that still has to be uploaded. */
function damage(ship: ShipHarness): void {
  const { durableTxid } = ship.shipper.position();
  const victim = ship.line.files.findLast((file) => file.minTxid > durableTxid);
  if (victim === undefined) return;
  const path = ship.line.pathOf(victim);
  const bytes = readFileSync(path);
  bytes[50] = (bytes[50] ?? 0) ^ 1;
  writeFileSync(path, bytes);
}

async function apply(ship: ShipHarness, op: Operation): Promise<void> {
  const plan = (rate: number, seed: number) =>
    rate === 0
      ? NO_FAULTS
      : seededFaults({ rate, seed, kinds: ["before", "after", "reset"], maxAttempts: 100 });
  switch (op.kind) {
    case "commit":
      for (let count = 0; count < op.count; count += 1) {
        ship.announce(ship.maker.commit({ pages: op.pages }));
      }
      break;
    case "vacuum":
      ship.announce(ship.maker.commit({ pages: [1], commit: op.commit }));
      break;
    case "step":
      for (let count = 0; count < op.count; count += 1) await ship.shipper.step();
      break;
    case "restart":
      await ship.restart({ plan: ship.store.plan });
      break;
    case "weather":
      ship.store.plan = plan(op.rate, op.seed);
      break;
    case "damage":
      damage(ship);
      break;
    case "answer":
      answer(ship);
      break;
  }
  await new Promise((resolve) => setImmediate(resolve));
}

/** What capture does when it is asked. */
function answer(ship: ShipHarness): void {
  const { need } = ship.shipper.position();
  if (need === undefined) return;
  if (need.minTxid > ship.maker.txid) {
    ship.maker.moveTo(toTxid(need.minTxid - 1n));
    ship.announce(ship.maker.whole());
  }
  ship.announce(ship.maker.snapshot());
}

/** The destination is empty or one unbroken line; returns its end. */
async function checkLine(ship: ShipHarness): Promise<Txid> {
  const files = await ship.destination.files();
  const covered = coverage(files);
  assert.ok(covered.length <= 1, await ship.destination.names());
  const span = covered[0];
  if (span === undefined) return toTxid(0);
  assert.equal(span.minTxid, 1n);
  await ship.assertRestores(span.maxTxid);
  return span.maxTxid;
}

describe("a line under random faults, damage and restarts", () => {
  test("is unbroken after every operation, and complete in the end", async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(operation, { maxLength: 40 }), async (operations) => {
        await using ship = new ShipHarness({ line: { maxQueueFiles: 5 } });
        let reached = 0n;
        for (const op of operations) {
          await apply(ship, op);
          const end = await checkLine(ship);
          assert.ok(end >= reached, `the line went back from ${reached} to ${end}`);
          reached = end;
          const { durableTxid, state } = ship.shipper.position();
          assert.ok(
            durableTxid <= end,
            `${durableTxid} is called durable, the line ends at ${end}`,
          );
          assert.notEqual(state, "stopped");
        }
        ship.store.plan = NO_FAULTS;
        for (let count = 0; count < 5; count += 1) {
          await ship.settle();
          answer(ship);
        }
        assert.deepEqual(await ship.settle(), { kind: "idle" });
        if (ship.maker.txid > 0n) await ship.assertRestores();
        assert.equal(ship.shipper.position().durableTxid, ship.maker.txid);
      }),
      propertyOptions(60),
    );
  });
});
