/** What must hold when daemons took over from each other: one writer at any time, one line, nothing durable lost. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { basename } from "node:path";
import { pathToFileURL } from "node:url";
import { DatabaseSync } from "node:sqlite";
import { toTxid, type Txid } from "../../src/base/ids.ts";
import { HEADER_SIZE } from "../../src/ltx/constants.ts";
import { decodeHeader } from "../../src/ltx/header.ts";
import { parseLtxFileName } from "../../src/ltx/names.ts";
import { restoreDatabase } from "../../src/restore/restore.ts";
import type { LtxFileInfo, LtxStore } from "../../src/storage/ltx-store.ts";
import { openReplica } from "../../src/storage/registry.ts";
import { checkpointedCopy } from "../../src/testing/database-copy.ts";
import { assertStatus, millrace } from "../e2e/harness.ts";
import type { FailoverScene } from "./failover-scene.ts";
import type { FileWrite, LeaseWrite } from "./failover-stores.ts";

/** Every how many files a point in time is restored. */
const EVERY = 10;
/** Lines of a log are timed in whole milliseconds, files of a directory more finely. */
const CLOCK_MS = 1;

/** A time in which one daemon had the lease. */
interface Tenure {
  readonly daemon: string;
  readonly epoch: number;
  readonly startMs: number;
  /** When the store had answered the write that began it. */
  readonly endMs: number;
  releasedMs: number | undefined;
}

export interface WriterReport {
  readonly countEpochs: number;
  readonly countFiles: number;
  /** Requests that began in their writer's epoch and ended in the next one. */
  readonly countLate: number;
  /** Sent by a paused process that had looked at its lease just before: see docs/formats/lease.md, rule 7. */
  readonly countInWindow: number;
  /** Whose writer died before it said so, in a store that does not tell. */
  readonly countUnknown: number;
}

/** Every file was created by whoever had the lease at that time, and nothing twice. */
export function assertOneWriter(scene: FailoverScene): WriterReport {
  const { store, daemons, resumptions } = scene;
  assert.deepEqual(store.overwritten(daemons), [], "objects that were overwritten");
  const tenures = tenuresOf(store.leaseWrites());
  const files = store.fileWrites(daemons);
  assert.equal(new Set(files.map(({ key }) => key)).size, files.length, "each name once");
  let countLate = 0;
  let countInWindow = 0;
  for (const file of files) {
    const { daemon, key, startMs, endMs } = file;
    if (daemon === undefined) continue;
    const own = tenures.findLast((one) => one.daemon === daemon && one.startMs <= startMs);
    assert.ok(own !== undefined, `${daemon} wrote ${key} before it had the lease`);
    const next = tenures.find(({ epoch }) => epoch > own.epoch);
    if (next === undefined || next.daemon === daemon || next.endMs > endMs) {
      const { releasedMs = Infinity } = own;
      assert.ok(
        startMs < releasedMs,
        `${daemon} wrote ${key} after it gave epoch ${own.epoch} back`,
      );
      continue;
    }
    if (next.endMs > startMs) {
      countLate += 1;
      continue;
    }
    const isFirst = resumptions.some(({ daemon: resumed, resumedMs }) => {
      const [first] =
        resumed.name === daemon ? store.writesBetween(resumed, resumedMs, Infinity) : [];
      return first?.key === key;
    });
    assert.ok(isFirst, `${daemon} wrote ${key} in epoch ${next.epoch} of ${next.daemon}`);
    countInWindow += 1;
  }
  const countUnknown = files.filter(({ daemon }) => daemon === undefined).length;
  const [countEpochs, countFiles] = [tenures.length, files.length];
  return { countEpochs, countFiles, countLate, countInWindow, countUnknown };
}

/** Epochs follow each other, each of one daemon. */
function tenuresOf(writes: readonly LeaseWrite[]): Tenure[] {
  const tenures: Tenure[] = [];
  for (const { daemon, epoch, startMs, endMs, isReleased } of writes) {
    const last = tenures.at(-1);
    if (last?.epoch === epoch) {
      assert.equal(daemon, last.daemon, `epoch ${epoch} has two holders`);
      assert.equal(last.releasedMs, undefined, `epoch ${epoch} goes on after it was given back`);
      if (isReleased) last.releasedMs = endMs;
      continue;
    }
    assert.ok(epoch > (last?.epoch ?? 0), `epoch ${epoch} after ${last?.epoch}`);
    tenures.push({ daemon, epoch, startMs, endMs, releasedMs: undefined });
  }
  return tenures;
}

/** Resumed daemons wrote nothing before they had the lease again. Returns how many of them had a request in the window. */
export function assertResumedKeptStill(scene: FailoverScene): number {
  const { store, resumptions } = scene;
  const writes = store.leaseWrites();
  let countInWindow = 0;
  for (const { daemon, resumedMs } of resumptions) {
    const again = writes.find((one) => one.daemon === daemon.name && one.startMs > resumedMs);
    const early = store.writesBetween(daemon, resumedMs, again?.startMs ?? Infinity);
    assert.ok(early.length <= 1, `${daemon.name} went on writing: ${keysOf(early)}`);
    countInWindow += early.length;
  }
  return countInWindow;
}

function keysOf(files: readonly FileWrite[]): string {
  return files.map(({ key }) => basename(key)).join(", ");
}

export interface LineReport {
  readonly txid: Txid;
  /** TXIDs that level 0 passes over, each time with a snapshot that takes the line up. */
  readonly countBridges: number;
  readonly countRestored: number;
  readonly countReports: number;
  readonly entries: number;
}

/** The destination is one line, whole at every tenth file, and has everything that was ever called durable. */
export async function assertOneLine(scene: FailoverScene): Promise<LineReport> {
  const { store, place } = scene;
  const { files, bridges, entriesAt } = await proveLine(scene);
  const countReports = assertDurable(scene, { files, entriesAt });
  const restored = place.path("restored.db");
  const flags = ["-json", "-integrity-check", "full", "-o", restored];
  const outcome = await millrace(["restore", ...flags, store.url], { env: store.env });
  assertStatus(outcome, 0);
  assert.ok(readFileSync(restored).equals(checkpointedCopy(scene.path)), "the same bytes");
  const entries = entriesOf(restored);
  assert.ok(entries >= scene.committed, `entry ${scene.committed} was committed, not ${entries}`);
  for (const { daemon, number } of scene.claims)
    assert.ok(entries >= number, `${daemon} called entry ${number} durable, not ${entries}`);
  const txid = files.at(-1)?.maxTxid ?? toTxid(0);
  const [countBridges, countRestored] = [bridges.length, entriesAt.size];
  return { txid, countBridges, countRestored, countReports, entries };
}

export interface Line {
  /** Level 0, in order. */
  readonly files: readonly File[];
  /** Files of level 0 that follow a snapshot, not the one before. */
  readonly bridges: readonly File[];
  /** What restores of points in time had as their last entry. */
  readonly entriesAt: ReadonlyMap<Txid, number>;
}

/** Restores every tenth point in time, the last one, and those on both sides of each bridge. */
export async function proveLine(scene: FailoverScene): Promise<Line> {
  const { place } = scene;
  const url = pathToFileURL(place.path("copy")).href;
  await using copy = await openReplica({ url }, { access: "write" });
  const { files, snapshots } = await copyReplica(scene, copy);
  const bridges = bridgesOf(files, snapshots);
  const entriesAt = new Map<Txid, number>();
  const output = place.path("point.db");
  const chosen = files.filter((file, index) => {
    const next = files[index + 1];
    const isAtBridge = bridges.includes(file) || (next !== undefined && bridges.includes(next));
    return index % EVERY === EVERY - 1 || next === undefined || isAtBridge;
  });
  for (const { maxTxid } of chosen) {
    const target = { txid: maxTxid };
    const { proof } = await restoreDatabase({ store: copy, output, force: true, target });
    assert.equal(proof, "database-checksum");
    entriesAt.set(maxTxid, entriesOf(output));
  }
  const found = [...entriesAt.values()];
  assert.deepEqual(
    found,
    found.toSorted((a, b) => a - b),
    "later points in time have more",
  );
  return { files, bridges, entriesAt };
}

/**
 * Each file of level 0 begins where the one before ends. A successor whose own TXIDs are past that end passes over those
 * that it never shipped: then a snapshot that ends with its first file takes the line up. Nothing ever overlaps.
 */
function bridgesOf(files: readonly File[], snapshots: readonly LtxFileInfo[]): File[] {
  let reached = toTxid(0);
  return files.filter((file) => {
    const { minTxid, maxTxid } = file;
    const isNext = minTxid === reached + 1n;
    const isBridged = snapshots.some(
      (one) => one.maxTxid >= minTxid - 1n && one.maxTxid <= maxTxid,
    );
    assert.ok(minTxid > reached, `TXID ${minTxid} is there twice: level 0 went to ${reached}`);
    assert.ok(
      isNext || isBridged,
      `${minTxid} follows TXID ${reached}, and no snapshot is between`,
    );
    reached = maxTxid;
    return !isNext;
  });
}

interface File extends LtxFileInfo {
  /** In its header. */
  readonly timestampMs: number;
}

/** Copies everything to a directory. */
async function copyReplica(
  { store }: FailoverScene,
  copy: LtxStore,
): Promise<{ readonly files: File[]; readonly snapshots: File[] }> {
  await using replica = await openReplica({ url: store.url }, { env: store.env });
  const copyLevel = async (level: number): Promise<File[]> => {
    const found: File[] = [];
    for await (const file of replica.list(level)) {
      const bytes = await (await replica.open(file)).bytes();
      await copy.write(file, bytes, { createdAtMs: file.createdAtMs });
      const { timestampMs } = decodeHeader(bytes.subarray(0, HEADER_SIZE), replica.keyOf(file));
      found.push({ ...file, timestampMs });
    }
    return found;
  };
  return { files: await copyLevel(0), snapshots: await copyLevel(9) };
}

/**
 * Each report of a durable TXID is true: it was there by then, and it has what it must have. A capture reads the log
 * after the one before it was written, so a file has every commit that was known before the time in the header of the
 * file before it.
 */
function assertDurable(
  scene: FailoverScene,
  replica: { readonly files: readonly File[]; readonly entriesAt: ReadonlyMap<Txid, number> },
): number {
  const { files, entriesAt } = replica;
  const writes = scene.store.fileWrites(scene.daemons).flatMap(({ key, daemon, endMs }) => {
    const { maxTxid = 0n } = parseLtxFileName(basename(key)) ?? {};
    return [{ maxTxid, daemon, endMs }];
  });
  let count = 0;
  for (const daemon of scene.daemons) {
    for (const { txid = "0", receivedMs } of daemon.find("replica sync")) {
      const durable = BigInt(`0x${txid}`);
      const isThere = writes.some(
        (one) => one.maxTxid >= durable && one.endMs <= receivedMs + CLOCK_MS,
      );
      assert.ok(isThere, `${daemon.name} called TXID ${txid} durable before it was there`);
      count += 1;
      const index = files.findIndex(({ maxTxid }) => maxTxid === durable);
      const [before, file] = [files[index - 1], files[index]];
      const areOwn = [before, file].every((one) =>
        writes.some(({ maxTxid, daemon: by }) => maxTxid === one?.maxTxid && by === daemon.name),
      );
      if (before === undefined || !areOwn) continue;
      const wanted = scene.commits.findLast(({ atMs }) => atMs < before.timestampMs)?.number ?? 0;
      const [, found = 0] = [...entriesAt].find(([point]) => point >= durable) ?? [];
      assert.ok(found >= wanted, `TXID ${txid} of ${daemon.name} lacks entry ${wanted}: ${found}`);
    }
  }
  return count;
}

/** Entries without a gap, and all of the money. */
function entriesOf(path: string): number {
  using db = new DatabaseSync(path, { readOnly: true });
  const entries = db.prepare("SELECT count(*) AS n, max(number) AS m FROM entries").get();
  assert.equal(entries?.["n"], entries?.["m"], "entries without a gap");
  const money = db.prepare("SELECT sum(balance) AS total, count(*) AS n FROM accounts").get();
  assert.equal(money?.["total"], Number(money?.["n"]) * 1000, "the money is all there");
  return Number(entries?.["m"]);
}
