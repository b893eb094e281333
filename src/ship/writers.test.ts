/** [D8, 90] Two writers on one destination: one owns each TXID, the other is told. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import * as fc from "fast-check";
import { toTxid } from "../base/ids.ts";
import { NO_FAULTS, seededFaults, type FaultPlan } from "../testing/fault-store-plan.ts";
import { ManualClock } from "../testing/manual-clock.ts";
import { propertyOptions } from "../testing/property.ts";
import { answer, Destination, nameOf, ShipHarness, until } from "../testing/ship-harness.ts";

/** A second writer whose local line was lost. */
function lateWriter(first: ShipHarness, plan: FaultPlan): ShipHarness {
  const maker = first.maker.fork({ directory: `${first.maker.directory}/late`, seed: 77 });
  maker.moveTo(toTxid(0));
  return new ShipHarness({ destination: first.destination, maker, plan });
}

describe("two writers from one state", () => {
  test("the second to write a TXID is told and stops; the first goes on", async () => {
    await using first = new ShipHarness();
    first.commit(3);
    await first.settle();
    const maker = first.maker.fork({ directory: `${first.maker.directory}/late`, seed: 77 });
    await using second = new ShipHarness({
      destination: first.destination,
      maker,
      line: { anchor: { txid: maker.txid, checksum: maker.checksum } },
    });
    assert.deepEqual(await second.settle(), { kind: "idle" });
    second.commit(2);
    first.commit(1);
    assert.deepEqual(await second.settle(), { kind: "idle" });
    assert.deepEqual(await first.settle(), { kind: "stopped" });
    second.commit();
    assert.deepEqual(await second.settle(), { kind: "idle" });
    assert.equal(first.told("conflict").length, 1);
    await second.assertRestores();
  });

  test("a writer that starts on a running one's destination takes over with every page", async () => {
    await using first = new ShipHarness();
    first.commit(3);
    await first.settle();
    await using second = lateWriter(first, NO_FAULTS);
    await second.settle();
    answer(second);
    assert.deepEqual(await second.settle(), { kind: "idle" });
    first.commit();
    assert.deepEqual(await first.settle(), { kind: "stopped" });
    second.commit();
    await second.settle();
    await second.assertRestores();
  });

  test("a store without conditional creates is asked first, and nothing is overwritten", async () => {
    const destination = new Destination(new ManualClock(), { conditionalCreate: false });
    await using first = new ShipHarness({ destination });
    first.commit(3);
    await first.settle();
    assert.deepEqual(first.store.counts, { list: 10, head: 3, put: 3, get: 0, delete: 0 });
    await using second = lateWriter(first, NO_FAULTS);
    await second.settle();
    answer(second);
    await second.settle();
    first.commit();
    assert.deepEqual(await first.settle(), { kind: "stopped" });
    await second.assertRestores();
  });
});

describe("a writer that returns from an outage with a merged queue", () => {
  test("sees who wrote meanwhile before it writes", async () => {
    await using first = new ShipHarness({ line: { maxQueueFiles: 4 } });
    first.commit(3);
    await first.settle();
    first.commit(10);
    await until(() => first.line.files.length <= 5, "the queue is merged");
    await first.shipper.step();
    const [next] = first.line.files.filter((file) => file.minTxid > 4n);
    assert.ok(
      next !== undefined && next.minTxid < next.maxTxid,
      nameOf(next ?? { level: 0, minTxid: toTxid(0), maxTxid: toTxid(0) }),
    );
    await using second = lateWriter(first, NO_FAULTS);
    await second.settle();
    answer(second);
    await second.settle();
    assert.deepEqual(await first.settle(), { kind: "stopped" });
    assert.equal(await first.destination.names(), "1 2 3 4 5");
    await second.assertRestores();
  });

  test("and another that starts just then never both go on, whoever is faster", async () => {
    let outcomes = "";
    const pace = fc.constantFrom(10, 20, 100);
    await fc.assert(
      fc.asyncProperty(fc.nat(), fc.nat({ max: 30 }), pace, async (seed, lead, paceMs) => {
        const plan = (salt: number): FaultPlan =>
          seededFaults({ seed: seed + salt, rate: 0.9, kinds: ["delay"], maxDelayMs: 30 });
        await using first = new ShipHarness({ line: { maxQueueFiles: 4 } });
        first.commit(3);
        await first.settle();
        first.commit(10);
        await until(() => first.line.files.length <= 5, "the queue is merged");
        first.store.plan = plan(1);
        await using second = lateWriter(first, plan(2));
        second.run();
        const { clock } = first;
        const calm = async (): Promise<void> => {
          for (let turn = 0; turn < 4; turn += 1) await new Promise((r) => setImmediate(r));
        };
        for (let time = 0; time < 900; time += 10) {
          if (time === lead * 10) first.run();
          await calm();
          answer(second);
          if (time % paceMs === 0 && second.maker.txid > 0n) second.commit();
          if (time % 70 === 0 && time > 300) first.commit();
          clock.advance(10);
        }
        await calm();
        const going = [first, second].filter((ship) => !ship.shipper.stopped);
        assert.ok(going.length <= 1, "both go on");
        outcomes += going.length === 0 ? "-" : going[0] === first ? "1" : "2";
        const { txid, image } = await first.destination.restore();
        const matches = [first, second].some(({ maker }) => {
          const wanted = maker.history.get(txid);
          return wanted !== undefined && same(wanted, image);
        });
        assert.ok(matches, `TXID ${txid} restores to nobody's state`);
      }),
      propertyOptions(25),
    );
    console.log(`who went on (1 the old, 2 the new writer, - none): ${outcomes}`);
  });
});

function same(a: ReadonlyMap<number, Uint8Array>, b: ReadonlyMap<number, Uint8Array>): boolean {
  if (a.size !== b.size) return false;
  return [...a].every(
    ([pgno, page]) => Buffer.compare(page, b.get(pgno) ?? new Uint8Array()) === 0,
  );
}
