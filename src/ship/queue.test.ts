/** The local queue: bounded by merging, shared by destinations, safe against crashes. */
import assert from "node:assert/strict";
import { copyFileSync, readdirSync, writeFileSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, test } from "node:test";
import * as fc from "fast-check";
import { toTxid } from "../base/ids.ts";
import { nodeFiles, type Files } from "../platform/files.ts";
import { FaultFiles } from "../testing/fault-files.ts";
import { allFail, scriptedFaults } from "../testing/fault-store-plan.ts";
import { propertyOptions } from "../testing/property.ts";
import { Destination, nameOf, ShipHarness, until } from "../testing/ship-harness.ts";
import { MERGE_FILES_MAX, planMerge } from "./queue-plan.ts";
import type { LocalFile } from "./span.ts";

const OUTAGE = allFail({ kind: "before" });

/** Single files from TXID 1 on, of these sizes. */
function filesOf(sizes: readonly number[]): LocalFile[] {
  return sizes.map((sizeBytes, index) => {
    const txid = toTxid(index + 1);
    return { level: 0, minTxid: txid, maxTxid: txid, sizeBytes };
  });
}

describe("planMerge()", () => {
  const MB = 1 << 20;
  // prettier-ignore
  const cases: readonly (readonly [string, readonly number[], string, string])[] = [
    ["nothing to merge", [1], "", "-"],
    ["small files, however many", [1, 1, 1, 1], "", "1-4"],
    ["the next to be uploaded stays", [1, 1, 1, 1], "1", "2-4"],
    ["a kept file parts the queue", [1, 1, 1, 1, 1], "4", "1-3"],
    ["newest first", [1, 1, 1, 1, 1], "3", "4-5"],
    ["an older file of like size joins", [3 * MB, 2 * MB], "", "1-2"],
    ["a much larger one does not", [9 * MB, 2 * MB, 2 * MB], "", "2-3"],
    ["a lone newest one is passed over", [4 * MB, 4 * MB, 9 * MB, MB], "", "1-3"],
    ["tiers that fall off", [90 * MB, 30 * MB, 10 * MB, 3 * MB], "", "-"],
  ];
  for (const [name, sizes, kept, expected] of cases) {
    test(`merges ${expected} when ${name}`, () => {
      const plan = planMerge(filesOf(sizes), {
        isKept: (file) => kept.split(" ").includes(nameOf(file)),
        pageSizeOf: () => 4096,
      });
      const span = plan === undefined ? "-" : `${plan[0]?.minTxid}-${plan.at(-1)?.maxTxid}`;
      assert.equal(span, expected);
    });
  }

  test("never spans a change of page size, a gap, or too many files", () => {
    const sized = planMerge(filesOf([1, 1, 1, 1]), {
      isKept: () => false,
      pageSizeOf: (file) => (file.minTxid <= 2n ? 512 : 1024),
    });
    assert.deepEqual(sized?.map(nameOf), ["3", "4"]);
    const gap = planMerge(filesOf([1, 1, 1, 1]).toSpliced(1, 1), {
      isKept: () => false,
      pageSizeOf: () => 512,
    });
    assert.deepEqual(gap?.map(nameOf), ["3", "4"]);
    const many = planMerge(filesOf(Array.from({ length: 1000 }, () => 1)), {
      isKept: () => false,
      pageSizeOf: () => 512,
    });
    assert.equal(many?.length, MERGE_FILES_MAX);
  });

  test("ends: each byte is rewritten a bounded number of times", () => {
    const size = fc.integer({ min: 1, max: 64 * MB });
    fc.assert(
      fc.property(fc.array(size, { maxLength: 60 }), (sizes) => {
        let files = filesOf(sizes);
        for (let round = 0; round <= sizes.length; round += 1) {
          const plan = planMerge(files, { isKept: () => false, pageSizeOf: () => 512 });
          if (plan === undefined) return;
          const [first, last] = [plan[0], plan.at(-1)];
          assert.ok(first !== undefined && last !== undefined);
          const sizeBytes = plan.reduce((sum, file) => sum + file.sizeBytes, 0);
          const merged = { ...first, maxTxid: last.maxTxid, sizeBytes };
          files = files.toSpliced(files.indexOf(first), plan.length, merged);
        }
        assert.fail("a plan for ever");
      }),
      propertyOptions(200),
    );
  });
});

/** Waits for merges in progress and those they cause. */
async function merged(ship: ShipHarness): Promise<void> {
  for (let quiet = 0; quiet < 3; quiet += 1) {
    const before = ship.lineEvents.length;
    await until(
      () => ship.line.files.every((file) => ship.line.whenUsable(file) === undefined),
      "the queue is at rest",
    );
    if (ship.lineEvents.length !== before) quiet = 0;
    await new Promise((resolve) => setImmediate(resolve));
  }
}

function onDisk(ship: ShipHarness): string[] {
  return readdirSync(join(ship.maker.directory, "0"));
}

describe("91) a long outage", () => {
  test("keeps the queue bounded, and everything arrives [hazard 91]", async () => {
    const line = { maxQueueFiles: 20 };
    await using ship = new ShipHarness({ line });
    ship.commit(2);
    await ship.settle();
    ship.store.plan = OUTAGE;
    for (let count = 0; count < 200; count += 1) {
      ship.commit();
      await ship.settle();
      await merged(ship);
      assert.ok(ship.line.files.length <= 21, `${ship.line.files.length} files`);
      assert.equal(onDisk(ship).length, ship.line.files.length + 1);
    }
    assert.ok(ship.lineEvents.some(({ type }) => type === "queue-compacted"));
    ship.store.plan = () => undefined;
    assert.deepEqual(await ship.settle(), { kind: "idle" });
    await ship.assertRestores();
    const names = (await ship.destination.names()).split(" ");
    // The file that was next to be uploaded kept its name all the while.
    assert.deepEqual(names.slice(0, 3), ["1", "2", "3"]);
    assert.ok(names.length < 30, names.join(" "));
  });

  test("is bounded in bytes by what changed, not by how often", async () => {
    const line = { maxQueueBytes: 20_000 };
    await using ship = new ShipHarness({ line, plan: OUTAGE, noise: true });
    ship.commit();
    for (let count = 0; count < 300; count += 1) {
      ship.commit();
      if (count % 10 === 0) await merged(ship);
    }
    await merged(ship);
    assert.ok(ship.line.queueBytes < 40_000, `${ship.line.queueBytes} bytes`);
    ship.store.plan = () => undefined;
    await ship.settle();
    await ship.assertRestores();
  });

  test("says once that the bound cannot be kept", async () => {
    const line = { maxQueueBytes: 10 };
    await using ship = new ShipHarness({ line, plan: OUTAGE });
    ship.commit(3);
    await merged(ship);
    const events = ship.lineEvents.filter(({ type }) => type === "queue-over-bound");
    assert.equal(events.length, 1);
  });

  for (const [rounds, needsSnapshot] of [
    [2, false],
    [9, true],
  ] as const) {
    test(`restarts during the outage, ${rounds} of them, lose nothing`, async () => {
      const line = { maxQueueFiles: 8 };
      await using ship = new ShipHarness({ line });
      ship.commit(3);
      await ship.settle();
      for (let round = 0; round < rounds; round += 1) {
        await ship.restart({ plan: OUTAGE });
        for (let count = 0; count < 7; count += 1) {
          ship.commit();
          await ship.settle();
          await merged(ship);
        }
      }
      assert.ok(onDisk(ship).length <= 17, onDisk(ship).join(" "));
      await ship.restart();
      // What was uploaded before the outage is not known after a restart. Only when the queue grows
      // beyond twice its bound is it merged nevertheless.
      const outcome = await ship.settle();
      assert.deepEqual(outcome, { kind: needsSnapshot ? "waiting" : "idle" });
      if (needsSnapshot) ship.announce(ship.maker.snapshot());
      assert.deepEqual(await ship.settle(), { kind: "idle" });
      await ship.assertRestores();
    });
  }

  test("a damaged part stops the merge, and its upload finds it", async () => {
    const line = { maxQueueFiles: 5 };
    await using ship = new ShipHarness({ line, plan: OUTAGE });
    ship.commit(4);
    const path = join(ship.maker.directory, "0", "0000000000000003-0000000000000003.ltx");
    const bytes = readFileSync(path);
    bytes[130] = (bytes[130] ?? 0) ^ 0xff;
    writeFileSync(path, bytes);
    ship.commit(4);
    await merged(ship);
    assert.equal(ship.line.files.length, 8);
    ship.store.plan = () => undefined;
    assert.deepEqual(await ship.settle(), { kind: "waiting" });
    assert.equal(ship.uploaded(), "1 2");
    ship.announce(ship.maker.snapshot());
    await ship.settle();
    await ship.assertRestores();
  });
});

describe("a crash during a merge", () => {
  for (const moment of ["before", "after", "torn"] as const) {
    test(`loses nothing, ${moment} any of its steps`, async () => {
      let steps = 0;
      for (let crashed = true; crashed; steps += 1) {
        let files = nodeFiles;
        const current = new Proxy(nodeFiles, { get: (_, name: keyof Files) => files[name] });
        await using ship = new ShipHarness({ files: current, line: { maxQueueFiles: 6 } });
        ship.commit(2);
        await ship.settle();
        ship.store.plan = OUTAGE;
        ship.commit(4);
        await ship.settle();
        const faults = new FaultFiles(nodeFiles, { at: steps, moment, crash: true });
        files = faults.files;
        ship.commit(2);
        await merged(ship);
        crashed = faults.crashed;
        files = nodeFiles;
        await ship.restart();
        await ship.settle();
        assert.equal(ship.shipper.position().durableTxid, ship.maker.txid, faults.failed);
        await ship.assertRestores();
        assert.ok(
          onDisk(ship).every((name) => !name.endsWith(".merge")),
          onDisk(ship).join(" "),
        );
      }
      assert.ok(steps > 10, `${steps} steps`);
    });
  }

  test("a damaged merged file does not replace its parts", async () => {
    await using ship = new ShipHarness({ plan: OUTAGE, line: { maxQueueFiles: 6 } });
    ship.commit(6);
    const kept = join(ship.maker.directory, "kept");
    const names = onDisk(ship);
    for (const name of names) copyFileSync(join(ship.maker.directory, "0", name), kept + name);
    ship.commit();
    await merged(ship);
    for (const name of names) copyFileSync(kept + name, join(ship.maker.directory, "0", name));
    const range = onDisk(ship).find((name) => name.slice(0, 16) !== name.slice(17, 33)) ?? "";
    const path = join(ship.maker.directory, "0", range);
    const bytes = readFileSync(path);
    bytes[bytes.length - 1] = (bytes.at(-1) ?? 0) ^ 1;
    writeFileSync(path, bytes);
    await ship.restart();
    await ship.settle();
    assert.equal(ship.uploaded().split(" ").slice(0, 6).join(" "), "1 2 3 4 5 6");
  });
});

describe("several destinations of one line", () => {
  test("each has its own position; files are kept for the slowest", async () => {
    await using ship = new ShipHarness();
    const far = new Destination(ship.clock);
    const store = far.open(OUTAGE);
    using second = ship.newShipper(store, "far");
    ship.commit(3);
    await ship.settle();
    await ship.settle(second);
    assert.equal(ship.shipper.position().durableTxid, 3n);
    assert.equal(second.position().durableTxid, 0n);
    assert.deepEqual(ship.lineEvents, []);
    store.plan = () => undefined;
    await ship.settle(second);
    assert.deepEqual(ship.lineEvents.at(-1), { type: "released", txid: 3n });
    assert.equal(await far.names(), "1 2 3");
  });

  test("a merge for the slow one leaves the fast one's names alone", async () => {
    await using ship = new ShipHarness({ line: { maxQueueFiles: 8 } });
    const far = new Destination(ship.clock);
    const store = far.open();
    using second = ship.newShipper(store, "far");
    ship.commit(2);
    await ship.settle();
    await ship.settle(second);
    store.plan = OUTAGE;
    for (let count = 0; count < 60; count += 1) {
      ship.commit();
      await ship.settle();
      await ship.settle(second);
      await merged(ship);
    }
    assert.ok(ship.line.files.length <= 9);
    const names = Array.from({ length: 62 }, (_, index) => index + 1).join(" ");
    assert.equal(await ship.destination.names(), names);
    store.plan = () => undefined;
    assert.deepEqual(await ship.settle(second), { kind: "idle" });
    assert.equal(second.position().durableTxid, ship.maker.txid);
    const { image } = await far.restore();
    assert.deepEqual(image, ship.maker.history.get(ship.maker.txid));
  });

  test("one that stopped for good holds nothing back", async () => {
    await using ship = new ShipHarness();
    const far = new Destination(ship.clock);
    const store = far.open(
      scriptedFaults([{ operation: "put", fault: { kind: "before", code: "ship/conflict" } }]),
    );
    using second = ship.newShipper(store, "far");
    ship.commit(2);
    assert.deepEqual(await ship.settle(second), { kind: "stopped" });
    await ship.settle();
    assert.deepEqual(ship.lineEvents.at(-1), { type: "released", txid: 2n });
  });

  test("a line that moved for one gives the other a snapshot", async () => {
    await using ship = new ShipHarness();
    ship.commit(3);
    await ship.settle();
    const ahead = ship.maker.fork({ directory: `${ship.maker.directory}/other`, seed: 5 });
    const far = new Destination(ship.clock);
    await far.put(ship.maker, ship.maker.snapshot());
    await far.put(ahead, ahead.commit(), ahead.commit());
    ship.maker.remove("9/0000000000000001-0000000000000003.ltx");
    using second = ship.newShipper(far.open(), "far");
    assert.deepEqual(await ship.settle(second), { kind: "waiting" });
    ship.maker.moveTo(toTxid(5));
    ship.announce(ship.maker.whole());
    assert.deepEqual(await ship.settle(second), { kind: "idle" });
    assert.deepEqual(await ship.settle(), { kind: "waiting" });
    assert.equal(ship.shipper.position().need?.reason, "local-missing");
    ship.announce(ship.maker.snapshot());
    assert.deepEqual(await ship.settle(), { kind: "idle" });
    assert.equal(await ship.destination.names(), "1 2 3 6 L9:1-6");
    await ship.assertRestores();
  });
});
