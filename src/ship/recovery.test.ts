/** What shipping does when local line and destination do not simply continue each other. */
import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, test } from "node:test";
import { toChecksum, toTxid } from "../base/ids.ts";
import { allFail, scriptedFaults } from "../testing/fault-store-plan.ts";
import { LineMaker, type MadeFile } from "../testing/line-maker.ts";
import { ShipHarness } from "../testing/ship-harness.ts";

/** A harness whose line and destination agree on TXIDs 1 to `count`. */
async function shipped(count: number): Promise<ShipHarness> {
  const ship = new ShipHarness();
  ship.commit(count);
  await ship.settle();
  return ship;
}

/** Local files that every destination has, as capture deletes them: all but the newest. */
function release(ship: ShipHarness, files: readonly MadeFile[]): void {
  for (const file of files) ship.maker.remove(`0/${ship.maker.pathOf(file).split("/").at(-1)}`);
}

function commits(maker: LineMaker, count: number): MadeFile[] {
  return Array.from({ length: count }, () => maker.commit());
}

/** Like `shipped`, with the files that were made. */
async function shippedFiles(count: number): Promise<[ShipHarness, MadeFile[]]> {
  const ship = new ShipHarness();
  const files = commits(ship.maker, count);
  ship.announce(...files);
  await ship.settle();
  return [ship, files];
}

const needs = (ship: ShipHarness): unknown[] => ship.told("boundary-needed", "remote-ahead");

describe("a restart", () => {
  test("continues after what is there, proven by the newest common file", async () => {
    await using ship = await shipped(3);
    const pending = commits(ship.maker, 2);
    await ship.restart();
    ship.announce(...pending);
    assert.deepEqual(await ship.settle(), { kind: "idle" });
    assert.equal(ship.uploaded(), "4 5");
    assert.deepEqual(ship.told("reconciled"), [
      { type: "reconciled", headTxid: 3n, remoteMaxTxid: 3n, provenTxid: 3n },
    ]);
    assert.deepEqual(ship.store.counts, { list: 10, get: 1, put: 2, head: 0, delete: 0 });
    await ship.assertRestores();
  });

  test("knows capture's position by its checksum when no file is left", async () => {
    const [made, files] = await shippedFiles(3);
    await using ship = made;
    release(ship, files);
    const anchor = { txid: ship.maker.txid, checksum: ship.maker.checksum };
    await ship.restart({ line: { anchor } });
    ship.commit();
    assert.deepEqual(await ship.settle(), { kind: "idle" });
    assert.equal(ship.uploaded(), "4");
    assert.equal(needs(ship).length, 0);

    const other = { txid: anchor.txid, checksum: toChecksum(anchor.checksum ^ 1n) };
    await ship.destination.remove({ level: 0, minTxid: toTxid(4), maxTxid: toTxid(4) });
    ship.maker.moveTo(anchor.txid);
    await ship.restart({ line: { anchor: other } });
    assert.deepEqual(await ship.settle(), { kind: "waiting" });
    assert.deepEqual(needs(ship), [
      { type: "remote-ahead", remoteMaxTxid: 3n, localMaxTxid: 3n, snapshotNeeded: false },
    ]);
  });

  test("takes back a started outage: nothing is uploaded twice or left out", async () => {
    await using ship = await shipped(2);
    ship.store.plan = scriptedFaults([{ operation: "put", skip: 1, fault: { kind: "after" } }]);
    ship.commit(4);
    assert.equal((await ship.settle()).kind, "failed");
    await ship.restart({ plan: allFail({ kind: "before" }) });
    ship.commit(2);
    assert.equal((await ship.settle()).kind, "failed");
    await ship.restart();
    assert.deepEqual(await ship.settle(), { kind: "idle" });
    assert.equal(ship.uploaded(), "5 6 7 8");
    await ship.assertRestores();
  });
});

describe("a destination that is wiped, new or expired", () => {
  test("a) is filled from TXID 1 when the local line still begins there", async () => {
    await using ship = await shipped(3);
    ship.destination.objects.keys.length = 0;
    ship.destination.objects.objects.clear();
    await ship.restart();
    assert.deepEqual(await ship.settle(), { kind: "idle" });
    assert.equal(ship.uploaded(), "1 2 3");
    await ship.assertRestores();
  });

  test("b) gets a snapshot, never TXID 1 again", async () => {
    await using ship = new ShipHarness();
    release(ship, commits(ship.maker, 2));
    ship.commit(2);
    assert.deepEqual(await ship.settle(), { kind: "waiting" });
    assert.deepEqual(needs(ship), [
      { type: "boundary-needed", reason: "remote-empty", minTxid: 2n },
    ]);
    assert.equal(ship.shipper.position().need?.reason, "remote-empty");
    assert.equal(ship.shipper.position().state, "waiting");
    assert.equal(ship.store.counts.put, 0);
    ship.commit();
    assert.deepEqual(await ship.settle(), { kind: "waiting" });
    assert.equal(needs(ship).length, 1);
    ship.announce(ship.maker.snapshot());
    ship.commit();
    assert.deepEqual(await ship.settle(), { kind: "idle" });
    assert.equal(ship.uploaded(), "L9:1-5 5 6");
    assert.equal(ship.shipper.position().durableTxid, 6n);
    await ship.assertRestores();
  });

  test("level 0 expired while down: the line goes on where it was [hazard 88]", async () => {
    const [made, files] = await shippedFiles(4);
    await using ship = made;
    await ship.destination.put(ship.maker, ship.maker.snapshot());
    await ship.destination.remove(...files);
    release(ship, files.slice(0, -1));
    ship.maker.remove("9/0000000000000001-0000000000000004.ltx");
    ship.maker.commit();
    await ship.restart();
    assert.deepEqual(await ship.settle(), { kind: "idle" });
    // The newest file appears at level 0 again, so that others resume there as well.
    assert.equal(ship.uploaded(), "4 5");
    assert.equal(await ship.destination.names(), "4 5 L9:1-4");
    await ship.assertRestores();
  });

  test("everything expired while down: a snapshot is asked for [hazard 88]", async () => {
    const [made, files] = await shippedFiles(4);
    await using ship = made;
    await ship.destination.remove(...files);
    release(ship, files.slice(0, -1));
    await ship.restart();
    assert.deepEqual(await ship.settle(), { kind: "waiting" });
    assert.equal(ship.shipper.position().durableTxid, 0n);
    assert.deepEqual(needs(ship), [
      { type: "boundary-needed", reason: "remote-empty", minTxid: 3n },
    ]);
    ship.announce(ship.maker.snapshot());
    assert.deepEqual(await ship.settle(), { kind: "idle" });
    await ship.assertRestores();
  });
});

describe("d) a destination that is ahead", () => {
  test("a lost local line goes on after it with a file that holds every page", async () => {
    await using ship = await shipped(5);
    ship.maker.moveTo(toTxid(0));
    await ship.restart();
    assert.deepEqual(await ship.settle(), { kind: "waiting" });
    assert.deepEqual(needs(ship), [
      { type: "remote-ahead", remoteMaxTxid: 5n, localMaxTxid: 0n, snapshotNeeded: false },
    ]);
    assert.equal(ship.shipper.position().durableTxid, 0n);
    ship.maker.moveTo(toTxid(5));
    ship.announce(ship.maker.whole());
    ship.commit();
    assert.deepEqual(await ship.settle(), { kind: "idle" });
    assert.equal(ship.uploaded(), "6 7");
    assert.equal(ship.shipper.position().durableTxid, 7n);
    await ship.assertRestores();
    await ship.restart();
    assert.deepEqual(await ship.settle(), { kind: "idle" });
    assert.equal(ship.uploaded(), "");
  });

  test("files of an older line that runs past it are refused", async () => {
    await using ship = await shipped(3);
    const older = ship.maker.fork({ directory: `${ship.maker.directory}/other`, seed: 3 });
    ship.commit(2);
    await ship.settle();
    await using second = new ShipHarness({ destination: ship.destination, maker: older });
    second.announce(older.commit(), older.commit());
    assert.deepEqual(await second.settle(), { kind: "waiting" });
    // Capture has not heard yet and goes on: 6 continues nothing that the destination has.
    second.announce(older.commit(), older.commit());
    assert.deepEqual(await second.settle(), { kind: "waiting" });
    assert.deepEqual(needs(second), [
      { type: "remote-ahead", remoteMaxTxid: 5n, localMaxTxid: 5n, snapshotNeeded: false },
    ]);
    assert.equal(second.uploaded(), "");
    await ship.assertRestores();
    second.announce(older.snapshot());
    assert.deepEqual(await second.settle(), { kind: "idle" });
    assert.equal(second.uploaded(), "L9:1-7 7");
    await second.assertRestores();
  });

  test("capture that ran on before it heard is asked once, and moves past both", async () => {
    await using ship = await shipped(5);
    ship.maker.moveTo(toTxid(4));
    ship.announce(ship.maker.whole());
    await ship.restart();
    assert.deepEqual(await ship.settle(), { kind: "waiting" });
    ship.announce(ship.maker.commit(), ship.maker.commit());
    ship.maker.moveTo(ship.maker.txid);
    assert.deepEqual(await ship.settle(), { kind: "waiting" });
    ship.announce(ship.maker.whole(), ship.maker.snapshot());
    assert.deepEqual(await ship.settle(), { kind: "idle" });
    assert.deepEqual(needs(ship), [
      { type: "remote-ahead", remoteMaxTxid: 5n, localMaxTxid: 5n, snapshotNeeded: false },
    ]);
    assert.equal(ship.told("local-missing").length, 0);
    assert.equal(ship.uploaded(), "L9:1-8 8");
    await ship.assertRestores();
  });

  test("a diverged file that holds every page may follow", async () => {
    await using ship = await shipped(3);
    const other = ship.maker.fork({ directory: `${ship.maker.directory}/other`, seed: 3 });
    ship.commit();
    await ship.settle();
    await using second = new ShipHarness({ destination: ship.destination, maker: other });
    second.announce(other.commit(), other.whole(), other.commit());
    assert.deepEqual(await second.settle(), { kind: "idle" });
    assert.equal(second.uploaded(), "5 6");
    await second.assertRestores();
  });

  test("with a hole as well, only a snapshot serves", async () => {
    await using ship = await shipped(5);
    await ship.destination.remove({ level: 0, minTxid: toTxid(3), maxTxid: toTxid(3) });
    ship.maker.moveTo(toTxid(0));
    await ship.restart();
    assert.deepEqual(await ship.settle(), { kind: "waiting" });
    assert.deepEqual(needs(ship), [
      { type: "remote-ahead", remoteMaxTxid: 5n, localMaxTxid: 0n, snapshotNeeded: true },
    ]);
    ship.maker.moveTo(toTxid(5));
    ship.announce(ship.maker.whole());
    assert.deepEqual(await ship.settle(), { kind: "waiting" });
    ship.announce(ship.maker.snapshot());
    assert.deepEqual(await ship.settle(), { kind: "idle" });
    await ship.assertRestores();
  });
});

describe("e) a hole in the destination", () => {
  test("is filled when the files are still local", async () => {
    await using ship = await shipped(6);
    await ship.destination.remove(
      { level: 0, minTxid: toTxid(3), maxTxid: toTxid(3) },
      { level: 0, minTxid: toTxid(4), maxTxid: toTxid(4) },
    );
    await ship.restart();
    assert.deepEqual(await ship.settle(), { kind: "idle" });
    assert.equal(ship.uploaded(), "3 4");
    assert.equal(ship.shipper.position().durableTxid, 6n);
    await ship.assertRestores();
  });

  test("is covered by a snapshot when they are not", async () => {
    const [made, files] = await shippedFiles(6);
    await using ship = made;
    await ship.destination.remove({ level: 0, minTxid: toTxid(3), maxTxid: toTxid(3) });
    release(ship, files.slice(0, -1));
    await ship.restart();
    assert.deepEqual(await ship.settle(), { kind: "waiting" });
    assert.deepEqual(needs(ship), [
      { type: "boundary-needed", reason: "remote-hole", minTxid: 3n },
    ]);
    assert.equal(ship.shipper.position().durableTxid, 2n);
    ship.announce(ship.maker.snapshot());
    ship.commit();
    assert.deepEqual(await ship.settle(), { kind: "idle" });
    assert.equal(ship.uploaded(), "L9:1-6 7");
    await ship.assertRestores();
  });

  test("a damaged newest file counts as another line's", async () => {
    await using ship = await shipped(3);
    const key = ship.destination.objects.keys.at(-1) ?? "";
    const object = ship.destination.objects.objects.get(key);
    assert.ok(object !== undefined);
    object.bytes.fill(0);
    await ship.restart();
    assert.deepEqual(await ship.settle(), { kind: "waiting" });
    assert.deepEqual(needs(ship), [
      { type: "remote-ahead", remoteMaxTxid: 3n, localMaxTxid: 3n, snapshotNeeded: false },
    ]);
  });
});

describe("f) a local file lost or damaged before it was uploaded", () => {
  test("is replaced by a snapshot, and nothing after it jumps the gap", async () => {
    await using ship = await shipped(2);
    const [lost, after] = commits(ship.maker, 2);
    assert.ok(lost !== undefined && after !== undefined);
    ship.maker.remove("0/0000000000000003-0000000000000003.ltx");
    ship.announce(lost, after);
    assert.deepEqual(await ship.settle(), { kind: "waiting" });
    assert.equal(ship.told("local-missing").length, 1);
    assert.deepEqual(needs(ship), [
      { type: "boundary-needed", reason: "local-missing", minTxid: 3n },
    ]);
    ship.commit();
    assert.deepEqual(await ship.settle(), { kind: "waiting" });
    assert.equal(await ship.destination.names(), "1 2");
    ship.announce(ship.maker.snapshot());
    ship.commit();
    assert.deepEqual(await ship.settle(), { kind: "idle" });
    assert.equal(ship.uploaded(), "1 2 L9:1-5 5 6");
    await ship.assertRestores();
  });

  test("no damaged file is ever uploaded, wherever the damage is", async () => {
    const directory = mkdtempSync(join(tmpdir(), "millrace-ship-"));
    const maker = new LineMaker({ directory });
    const file = maker.commit();
    const whole = readFileSync(maker.pathOf(file));
    let countHarmless = 0;
    for (let offset = 0; offset < whole.length; offset += 1) {
      const bytes = Buffer.from(whole);
      bytes[offset] = (bytes[offset] ?? 0) ^ (1 << (offset % 8));
      writeFileSync(maker.pathOf(file), bytes);
      await using ship = new ShipHarness({ maker });
      ship.announce(file);
      const outcome = await ship.settle();
      if (outcome.kind === "waiting") {
        assert.equal(await ship.destination.names(), "");
      } else {
        // Compressed bytes can change without changing the page: an offset into a run of equal bytes.
        await ship.assertRestores();
        countHarmless += 1;
      }
    }
    assert.ok(countHarmless < 20, `${countHarmless} flips are harmless`);
    for (let size = 0; size < whole.length; size += 7) {
      writeFileSync(maker.pathOf(file), whole.subarray(0, size));
      await using ship = new ShipHarness({ maker });
      ship.announce({ ...file, sizeBytes: size });
      assert.deepEqual(await ship.settle(), { kind: "waiting" }, `${size} bytes`);
    }
    rmSync(directory, { recursive: true });
  });

  test("a large file is proven to its last byte before its first one leaves", async () => {
    await using ship = new ShipHarness({ pageSize: 65_536, noise: true });
    const file = ship.maker.commit({ commit: 100 });
    const path = ship.maker.pathOf(file);
    const bytes = readFileSync(path);
    const at = bytes.length - 40_000;
    bytes[at] = (bytes[at] ?? 0) ^ 1;
    writeFileSync(path, bytes);
    ship.announce(file);
    assert.deepEqual(await ship.settle(), { kind: "waiting" });
    assert.equal(ship.store.counts.put, 0);
  });

  test("a damaged snapshot is asked for again", async () => {
    await using ship = await shipped(2);
    const lost = ship.maker.commit();
    ship.maker.remove("0/0000000000000003-0000000000000003.ltx");
    ship.announce(lost);
    await ship.settle();
    const bad = ship.maker.snapshot();
    const bytes = readFileSync(ship.maker.pathOf(bad));
    bytes[200] = (bytes[200] ?? 0) ^ 1;
    writeFileSync(ship.maker.pathOf(bad), bytes);
    ship.announce(bad);
    assert.deepEqual(await ship.settle(), { kind: "waiting" });
    assert.equal(needs(ship).length, 2);
    ship.announce(ship.maker.snapshot());
    assert.deepEqual(await ship.settle(), { kind: "idle" });
    await ship.assertRestores();
  });

  test("a file that cannot be read just now is not lost", async () => {
    await using ship = await shipped(1);
    const file = ship.maker.commit();
    writeFileSync(`${ship.maker.pathOf(file)}.keep`, readFileSync(ship.maker.pathOf(file)));
    rmSync(ship.maker.pathOf(file));
    // A directory in its place: opening works, reading fails with EISDIR.
    const { mkdirSync, renameSync, rmdirSync } = await import("node:fs");
    mkdirSync(ship.maker.pathOf(file));
    ship.announce(file);
    const outcome = await ship.settle();
    rmdirSync(ship.maker.pathOf(file));
    renameSync(`${ship.maker.pathOf(file)}.keep`, ship.maker.pathOf(file));
    if (outcome.kind === "failed") {
      assert.deepEqual(await ship.settle(), { kind: "idle" });
      await ship.assertRestores();
    }
  });
});

describe("a change of page size", () => {
  test("waits for the snapshot of the new size, which goes first", async () => {
    await using ship = await shipped(3);
    ship.announce(ship.maker.resize(1024));
    ship.commit();
    assert.deepEqual(await ship.settle(), { kind: "waiting" });
    assert.deepEqual(needs(ship), [
      { type: "boundary-needed", reason: "page-size-changed", minTxid: 4n },
    ]);
    await ship.assertRestores(toTxid(3));
    ship.announce(ship.maker.snapshot());
    assert.deepEqual(await ship.settle(), { kind: "idle" });
    assert.equal(ship.uploaded(), "1 2 3 L9:1-5 5");
    await ship.assertRestores();
  });

  test("asks for nothing when the snapshot was announced first", async () => {
    await using ship = await shipped(3);
    const changed = ship.maker.resize(1024);
    ship.announce(ship.maker.snapshot(), changed);
    ship.commit();
    assert.deepEqual(await ship.settle(), { kind: "idle" });
    assert.equal(ship.uploaded(), "1 2 3 L9:1-4 4 5");
    assert.equal(needs(ship).length, 0);
    await ship.assertRestores();
    ship.maker.resize(512);
    await ship.restart();
    assert.deepEqual(await ship.settle(), { kind: "waiting" });
    assert.equal(ship.shipper.position().need?.reason, "page-size-changed");
  });
});

describe("78) capture that lost its state while running", () => {
  test("does not make its new TXIDs look durable", async () => {
    await using ship = await shipped(5);
    assert.equal(ship.shipper.position().durableTxid, 5n);
    ship.maker.moveTo(toTxid(0));
    ship.announce(ship.maker.whole());
    assert.equal(ship.shipper.position().durableTxid, 0n);
    assert.deepEqual(await ship.settle(), { kind: "waiting" });
    assert.deepEqual(needs(ship), [
      { type: "remote-ahead", remoteMaxTxid: 5n, localMaxTxid: 1n, snapshotNeeded: false },
    ]);
    ship.maker.moveTo(toTxid(5));
    ship.announce(ship.maker.whole());
    assert.deepEqual(await ship.settle(), { kind: "idle" });
    await ship.assertRestores();
  });
});
