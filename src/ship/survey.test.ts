/** What capture announces while a destination is being looked at. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { ShipHarness } from "../testing/ship-harness.ts";

test("a transaction captured during the look is not taken for another writer's of the same TXID", async () => {
  await using first = new ShipHarness();
  first.commit();
  await first.settle();
  const maker = first.maker.fork({ directory: `${first.maker.directory}/late`, seed: 77 });
  const anchor = { txid: maker.txid, checksum: maker.checksum };
  first.commit();
  await first.settle();
  let isAnnounced = false;
  await using second: ShipHarness = new ShipHarness({
    destination: first.destination,
    maker,
    line: { anchor },
    plan: ({ operation }) => {
      if (operation !== "get" || isAnnounced) return undefined;
      isAnnounced = true;
      second.commit();
      return undefined;
    },
  });
  await second.settle();
  assert.ok(isAnnounced);
  assert.notEqual(second.shipper.position().durableTxid, maker.txid, "TXID 2 there is not ours");
  const { need } = second.shipper.position();
  assert.ok(need !== undefined, "a new base is asked for");
  maker.moveTo(maker.txid);
  second.announce(maker.whole(), maker.snapshot());
  assert.deepEqual(await second.settle(), { kind: "idle" });
  await second.assertRestores();
});
