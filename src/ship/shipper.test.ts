/** Shipping to one destination: order, economy, failures, shutdown. */
import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, test } from "node:test";
import { toTxid } from "../base/ids.ts";
import type { LogFields, Logger, LogLevel } from "../base/logger.ts";
import { isMillraceError } from "../errors.ts";
import { openFileStore } from "../storage/backends/file/file.ts";
import { allFail, scriptedFaults } from "../testing/fault-store-plan.ts";
import { FaultStore } from "../testing/fault-store.ts";
import { ShipHarness, until } from "../testing/ship-harness.ts";

const OUTAGE = allFail({ kind: "before" });

describe("Shipper", () => {
  test("step() lists every level once, uploads in order, then asks nothing", async () => {
    await using ship = new ShipHarness();
    ship.maker.commit();
    ship.maker.commit();
    ship.commit();
    assert.deepEqual(await ship.settle(), { kind: "idle" });
    assert.equal(ship.uploaded(), "1 2 3");
    assert.deepEqual(ship.store.counts, { list: 10, put: 3, get: 0, head: 0, delete: 0 });
    ship.commit();
    assert.deepEqual(await ship.settle(), { kind: "idle" });
    assert.equal(ship.uploaded(), "1 2 3 4");
    assert.deepEqual(ship.store.counts, { list: 10, put: 4, get: 0, head: 0, delete: 0 });
    await ship.assertRestores();
  });

  test("run() is woken by an announced file and has no timer while idle", async () => {
    await using ship = new ShipHarness();
    ship.run();
    ship.commit();
    await ship.shipper.waitFor(ship.maker.txid);
    const before = ship.store.countRequests;
    for (let count = 0; count < 20; count += 1) {
      ship.clock.advance(60_000);
      await new Promise((resolve) => setImmediate(resolve));
    }
    assert.equal(ship.store.countRequests, before);
    assert.equal(ship.clock.countTimers, 0);
    ship.commit(3);
    await ship.shipper.waitFor(ship.maker.txid);
    assert.equal(await ship.destination.names(), "1 2 3 4");
  });

  test("step() records the header's timestamp with the object", async () => {
    await using ship = new ShipHarness();
    const file = ship.maker.commit();
    ship.announce(file);
    await ship.settle();
    assert.equal((await ship.destination.files())[0]?.createdAtMs, file.timestampMs);
  });

  test("announce() ignores files that the listing had", async () => {
    await using ship = new ShipHarness();
    const files = [ship.maker.commit(), ship.maker.commit(), ship.maker.commit()];
    await ship.settle();
    ship.announce(...files);
    await ship.settle();
    assert.equal(ship.uploaded(), "1 2 3");
    assert.equal(ship.store.counts.list, 10);
  });

  test("position() counts what is pending", async () => {
    await using ship = new ShipHarness({ plan: OUTAGE });
    ship.commit(3);
    await ship.settle();
    const before = ship.shipper.position();
    assert.equal(before.state, "failing");
    assert.equal(before.pendingFiles, 3);
    assert.equal(before.durableTxid, 0n);
    assert.equal(before.error?.code, "storage/unavailable");
    ship.store.plan = () => undefined;
    await ship.settle();
    const after = ship.shipper.position();
    assert.deepEqual(
      [after.state, after.pendingFiles, after.pendingBytes, after.durableTxid, after.error],
      ["shipping", 0, 0, 3n, undefined],
    );
    assert.equal(after.lastUploadAtMs, ship.clock.now());
  });

  test("events say once what is durable, and what may be deleted", async () => {
    await using ship = new ShipHarness();
    ship.commit(2);
    await ship.settle();
    assert.deepEqual(ship.told("durable"), [
      { type: "durable", txid: 1n },
      { type: "durable", txid: 2n },
    ]);
    assert.deepEqual(ship.lineEvents, [
      { type: "released", txid: 1n },
      { type: "released", txid: 2n },
    ]);
  });

  test("run() puts an announced file into a file store within milliseconds", async () => {
    const root = mkdtempSync(join(tmpdir(), "millrace-ship-store-"));
    await using ship = new ShipHarness();
    const store = new FaultStore(openFileStore({ rootDirectory: root }));
    await ship.stop();
    const shipper = ship.newShipper(store, "file");
    const stop = new AbortController();
    const running = shipper.run(stop.signal);
    const times: number[] = [];
    for (let count = 0; count < 50; count += 1) {
      const file = ship.maker.commit();
      const start = performance.now();
      ship.announce(file);
      await shipper.waitFor(file.maxTxid);
      times.push(performance.now() - start);
    }
    stop.abort();
    await running;
    shipper[Symbol.dispose]();
    rmSync(root, { recursive: true });
    const median = times.toSorted((a, b) => a - b)[25] ?? 0;
    console.log(`announce to durable in a file store: median ${median.toFixed(2)} ms`);
    assert.ok(median < 20, `median ${median} ms`);
  });
});

describe("Shipper failures", () => {
  test("a failure is waited out: doubled delays, no hammering by announced files", async () => {
    await using ship = new ShipHarness({ plan: OUTAGE });
    ship.run();
    ship.commit();
    const delays: (number | undefined)[] = [];
    for (let count = 1; count <= 9; count += 1) {
      await until(() => ship.told("failing").length === count, `failure ${count}`);
      await until(() => ship.clock.countTimers === 1, "the backoff began");
      delays.push(ship.clock.nextMs);
      ship.commit();
      ship.clock.advance((ship.clock.nextMs ?? 0) - 1);
      for (let turn = 0; turn < 5; turn += 1) await new Promise((r) => setImmediate(r));
      assert.equal(ship.told("failing").length, count);
      ship.clock.advance(1);
    }
    // Half of each delay is random, and the random number is always 0.5.
    const full = [500, 1000, 2000, 4000, 8000, 16_000, 30_000, 30_000, 30_000];
    assert.deepEqual(
      delays,
      full.map((ms) => ms * 0.75),
    );
    ship.store.plan = () => undefined;
    await ship.shipper.waitFor(ship.maker.txid);
    assert.equal(ship.told("recovered").length, 1);
    await ship.assertRestores();
  });

  test("the log is rate-limited, says how often and how long, and tells the recovery", async () => {
    const lines: { level: LogLevel; message: string; fields: LogFields | undefined }[] = [];
    const logger: Logger = {
      log: (level, message, fields) => lines.push({ level, message, fields }),
      with: () => logger,
    };
    await using ship = new ShipHarness({ plan: OUTAGE, logger });
    ship.commit();
    for (let count = 0; count < 20; count += 1) {
      await ship.settle();
      ship.clock.advance(5_000);
    }
    const failed = lines.filter(({ message }) => message === "shipping failed");
    assert.equal(failed.length, 4);
    assert.deepEqual(
      failed.map(({ level }) => level),
      ["warn", "error", "error", "error"],
    );
    assert.equal(failed[0]?.fields?.["consecutive_errors"], 1);
    assert.equal(failed[3]?.fields?.["consecutive_errors"], 19);
    ship.store.plan = () => undefined;
    await ship.settle();
    assert.equal(lines.filter(({ message }) => message === "shipping recovered").length, 1);
  });

  test("an upload whose answer was lost is recognised as done", async () => {
    const plan = scriptedFaults([{ operation: "put", skip: 1, fault: { kind: "after" } }]);
    await using ship = new ShipHarness({ plan });
    ship.commit(3);
    assert.equal((await ship.settle()).kind, "failed");
    assert.equal(await ship.destination.names(), "1 2");
    assert.deepEqual(await ship.settle(), { kind: "idle" });
    assert.deepEqual(
      ship.told("uploaded").map((event) => event.type === "uploaded" && event.repeated),
      [false, true, false],
    );
    await ship.assertRestores();
  });

  test("large files are streamed and recognised by their ends", async () => {
    const plan = scriptedFaults([{ operation: "put", fault: { kind: "after" } }]);
    await using ship = new ShipHarness({ plan, pageSize: 65_536, noise: true });
    const file = ship.maker.commit({ commit: 100 });
    assert.ok(file.sizeBytes > 6_000_000);
    ship.announce(file);
    assert.equal((await ship.settle()).kind, "failed");
    assert.deepEqual(await ship.settle(), { kind: "idle" });
    assert.equal(ship.told("uploaded").length, 1);
    assert.equal(ship.store.counts.get, 2);
    await ship.assertRestores();
  });

  test("another file under the same TXID stops shipping for good", async () => {
    await using ship = new ShipHarness();
    ship.commit(2);
    await ship.settle();
    const other = ship.maker.fork({ directory: `${ship.maker.directory}/other`, seed: 9 });
    await ship.destination.put(other, other.commit());
    ship.commit(2);
    const waiting = ship.shipper.waitFor(ship.maker.txid);
    const rejected = assert.rejects(waiting, (error) => isMillraceError(error, "ship/conflict"));
    assert.deepEqual(await ship.settle(), { kind: "stopped" });
    await rejected;
    assert.equal(ship.told("conflict").length, 1);
    const { state, durableTxid, error } = ship.shipper.position();
    assert.deepEqual([state, durableTxid, error?.code], ["stopped", 2n, "ship/conflict"]);
    const before = ship.store.countRequests;
    ship.commit();
    assert.deepEqual(await ship.settle(), { kind: "stopped" });
    assert.equal(ship.store.countRequests, before);
    await assert.rejects(ship.shipper.drain(), (error) => isMillraceError(error, "ship/conflict"));
    assert.deepEqual((await ship.destination.restore()).image, other.history.get(toTxid(3)));
  });
});

describe("Shipper shutdown", () => {
  test("drain() tries at once, then every 500 ms, until it is done", async () => {
    await using ship = new ShipHarness({ plan: OUTAGE });
    ship.run();
    ship.commit();
    for (let count = 1; count <= 8; count += 1) {
      await until(() => ship.told("failing").length === count, `failure ${count}`);
      await until(() => ship.clock.countTimers === 1, "the backoff began");
      ship.clock.advance(ship.clock.nextMs ?? 0);
    }
    await until(() => (ship.clock.nextMs ?? 0) > 10_000, "a long backoff");
    const failures = ship.told("failing").length;
    const draining = ship.shipper.drain();
    for (let count = 1; count <= 3; count += 1) {
      await until(() => ship.told("failing").length === failures + count, "a retry");
      await until(() => ship.clock.countTimers === 1, "the next wait");
      assert.equal(ship.clock.nextMs, 500);
      if (count === 3) ship.store.plan = () => undefined;
      ship.clock.advance(500);
    }
    await draining;
    await ship.assertRestores();
  });

  test("drain() ends with its signal, and shipping goes on backing off", async () => {
    await using ship = new ShipHarness({ plan: OUTAGE });
    ship.run();
    ship.commit();
    const stop = new AbortController();
    const draining = ship.shipper.drain({ signal: stop.signal });
    await until(() => ship.told("failing").length > 0, "a failure");
    stop.abort(new Error("enough"));
    await assert.rejects(draining, /enough/);
  });

  test("run() ends at once although an upload hangs", async () => {
    const plan = scriptedFaults([{ operation: "put", fault: { kind: "hang" } }]);
    await using ship = new ShipHarness({ plan });
    ship.run();
    ship.commit();
    await until(() => ship.store.counts.put === 1, "the upload began");
    await ship.stop();
    await ship.restart();
    await ship.settle();
    await ship.assertRestores();
  });

  test("run() ends at once while a failure is waited out", async () => {
    await using ship = new ShipHarness({ plan: OUTAGE });
    ship.run();
    await until(() => ship.clock.countTimers === 1, "the backoff began");
    await ship.stop();
    assert.equal(ship.clock.countTimers, 0);
  });

  test("disposing rejects whoever waits", async () => {
    await using ship = new ShipHarness({ plan: OUTAGE });
    const waiting = ship.shipper.waitFor(toTxid(1));
    ship.shipper[Symbol.dispose]();
    await assert.rejects(waiting, (error) => isMillraceError(error, "daemon/closed"));
  });

  test("waitFor() heeds its signal", async () => {
    await using ship = new ShipHarness();
    const stop = new AbortController();
    const waiting = ship.shipper.waitFor(toTxid(1), { signal: stop.signal });
    stop.abort(new Error("no more"));
    await assert.rejects(waiting, /no more/);
  });
});
