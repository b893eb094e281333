/**
 * [ship] Whatever fails and whenever the process dies, the destination holds one unbroken line: a reader
 * finds no gap, no fork, and at its end exactly what the database held.
 */
import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { describe, test } from "node:test";
import * as fc from "fast-check";
import { toTxid, type Txid } from "../base/ids.ts";
import { NO_FAULTS, seededFaults, type FaultPlan } from "../testing/fault-store-plan.ts";
import type { FaultStore } from "../testing/fault-store.ts";
import type { LineMaker } from "../testing/line-maker.ts";
import { propertyOptions } from "../testing/property.ts";
import { Destination, ShipHarness } from "../testing/ship-harness.ts";
import type { Shipper } from "./shipper.ts";
import { coverage } from "./span.ts";

type Operation =
  | { readonly kind: "commit"; readonly count: number; readonly pages: readonly number[] }
  | { readonly kind: "step"; readonly count: number; readonly far: boolean }
  | { readonly kind: "restart" }
  | {
      readonly kind: "weather";
      readonly rate: number;
      readonly seed: number;
      readonly far: boolean;
    }
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
      far: fc.boolean(),
    }),
  },
  { weight: 2, arbitrary: fc.constant({ kind: "restart" as const }) },
  {
    weight: 2,
    arbitrary: fc.record({
      kind: fc.constant("weather" as const),
      rate: fc.constantFrom(0, 0.3, 0.6, 1),
      seed: fc.nat(),
      far: fc.boolean(),
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

/** One local line with a near and a far destination. */
class World implements AsyncDisposable {
  readonly near = new ShipHarness({ line: { maxQueueFiles: 5 } });
  readonly far = new Destination(this.near.clock);
  farStore: FaultStore = this.far.open();
  farShipper: Shipper = this.near.newShipper(this.farStore, "far");

  get shippers(): readonly Shipper[] {
    return [this.near.shipper, this.farShipper];
  }

  async restart(): Promise<void> {
    this.farShipper[Symbol.dispose]();
    await this.near.restart({ plan: this.near.store.plan });
    this.farStore = this.far.open(this.farStore.plan);
    this.farShipper = this.near.newShipper(this.farStore, "far");
  }

  /** Flips a bit of the newest file, if it still has to be uploaded. */
  damage(): void {
    const victim = this.near.line.files.at(-1);
    const isPending = this.shippers.every(
      (shipper) => shipper.durableTxid < (victim?.minTxid ?? 0n),
    );
    if (victim === undefined || !isPending) return;
    const path = this.near.line.pathOf(victim);
    const bytes = readFileSync(path);
    bytes[50] = (bytes[50] ?? 0) ^ 1;
    writeFileSync(path, bytes);
  }

  /** What capture does when it is asked. */
  answer(): void {
    if (this.shippers.some((shipper) => shipper.position().need !== undefined)) {
      this.near.announce(this.near.maker.snapshot());
    }
  }

  async apply(op: Operation): Promise<void> {
    const { near } = this;
    switch (op.kind) {
      case "commit":
        for (let count = 0; count < op.count; count += 1) {
          near.announce(near.maker.commit({ pages: op.pages }));
        }
        break;
      case "vacuum":
        near.announce(near.maker.commit({ pages: [1], commit: op.commit }));
        break;
      case "step":
        for (let count = 0; count < op.count; count += 1) {
          await (op.far ? this.farShipper : near.shipper).step();
        }
        break;
      case "restart":
        await this.restart();
        break;
      case "weather":
        (op.far ? this.farStore : near.store).plan = weather(op.rate, op.seed);
        break;
      case "damage":
        this.damage();
        break;
      case "answer":
        this.answer();
        break;
    }
    await new Promise((resolve) => setImmediate(resolve));
  }

  /** Both destinations are empty or one unbroken line, and no more is called durable than is there. */
  async check(): Promise<Txid[]> {
    const ends = [
      await checkLine(this.near.destination, this.near.maker),
      await checkLine(this.far, this.near.maker),
    ];
    for (const [index, shipper] of this.shippers.entries()) {
      const { durableTxid, state } = shipper.position();
      const end = ends[index] ?? 0n;
      assert.ok(durableTxid <= end, `${durableTxid} is called durable, the line ends at ${end}`);
      assert.notEqual(state, "stopped");
    }
    return ends;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.farShipper[Symbol.dispose]();
    await this.near[Symbol.asyncDispose]();
  }
}

function weather(rate: number, seed: number): FaultPlan {
  if (rate === 0) return NO_FAULTS;
  return seededFaults({ rate, seed, kinds: ["before", "after", "reset"], maxAttempts: 100 });
}

async function checkLine(destination: Destination, maker: LineMaker): Promise<Txid> {
  const covered = coverage(await destination.files());
  assert.ok(covered.length <= 1, await destination.names());
  const span = covered[0];
  if (span === undefined) return toTxid(0);
  assert.equal(span.minTxid, 1n);
  const { txid, image } = await destination.restore();
  assert.equal(txid, span.maxTxid);
  assert.deepEqual(image, maker.history.get(txid));
  return txid;
}

describe("a line under random faults, damage and restarts", () => {
  test("is unbroken after every operation, and complete in the end", async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(operation, { maxLength: 50, size: "max" }), async (operations) => {
        await using world = new World();
        let reached = [toTxid(0), toTxid(0)];
        for (const op of operations) {
          await world.apply(op);
          const ends = await world.check();
          for (const [index, end] of ends.entries()) {
            assert.ok(end >= (reached[index] ?? 0n), `the line went back to ${end}`);
          }
          reached = ends;
        }
        world.near.store.plan = NO_FAULTS;
        world.farStore.plan = NO_FAULTS;
        for (let count = 0; count < 5; count += 1) {
          for (const shipper of world.shippers) await world.near.settle(shipper);
          world.answer();
        }
        const { txid } = world.near.maker;
        assert.deepEqual(await world.check(), [txid, txid]);
        for (const shipper of world.shippers) {
          assert.deepEqual(await world.near.settle(shipper), { kind: "idle" });
          assert.equal(shipper.durableTxid, txid);
        }
      }),
      propertyOptions(40),
    );
  });
});
