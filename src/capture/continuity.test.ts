import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { DatabaseSync } from "node:sqlite";
import { test } from "node:test";
import { toTxid } from "../base/ids.ts";
import { CaptureBench } from "../testing/capture-bench.ts";
import { FRAME_HEADER_SIZE, WAL_HEADER_SIZE } from "../wal/constants.ts";
import { parseFrameHeader } from "../wal/frame.ts";
import { parseWalHeader, walChecksum } from "../wal/header.ts";

const INSERT = "INSERT INTO t (v) VALUES (randomblob(3000))";

/** A bench with a table and a few rows, captured. */
function running(options: ConstructorParameters<typeof CaptureBench>[0] = {}): CaptureBench {
  const bench = new CaptureBench(options);
  bench.app.exec("CREATE TABLE t (id INTEGER PRIMARY KEY, v)");
  for (let row = 0; row < 10; row++) bench.app.exec(INSERT);
  bench.start();
  for (let row = 0; row < 5; row++) bench.app.exec(INSERT);
  bench.sync();
  return bench;
}

function resume(bench: CaptureBench): string | undefined {
  const before = bench.resyncs().length;
  bench.start();
  bench.verify();
  const [resync] = bench.resyncs().slice(before);
  return resync === undefined ? undefined : `${resync.kind}: ${resync.reason}`;
}

test("[C4][C11] a restart goes on where it ended, without a resync [hazard 93]", () => {
  using bench = running();
  for (let round = 0; round < 5; round++) {
    bench.stop();
    bench.app.exec(INSERT);
    assert.equal(resume(bench), undefined);
  }
});

test("[C4] frames written, checkpointed and overwritten while down are noticed [hazard 75]", () => {
  using bench = running();
  bench.stop();
  for (let row = 0; row < 10; row++)
    bench.app.exec("UPDATE t SET v = randomblob(2000) WHERE id = 3");
  bench.app.exec("PRAGMA wal_checkpoint(RESTART)");
  bench.app.exec(INSERT);
  assert.match(resume(bench) ?? "", /^diff: the WAL was restarted/);
});

test("[C4] a WAL restarted while down right after the last capture needs no resync when that is provable", () => {
  using bench = new CaptureBench();
  bench.app.exec("CREATE TABLE t (id INTEGER PRIMARY KEY, v)");
  for (let row = 0; row < 100; row++) bench.app.exec(INSERT);
  bench.app.exec("PRAGMA wal_checkpoint(RESTART)");
  bench.app.exec(INSERT);
  bench.start();
  for (let row = 0; row < 10; row++) bench.app.exec(INSERT);
  bench.sync();
  bench.stop();
  bench.app.exec("PRAGMA wal_checkpoint(RESTART)");
  bench.app.exec(INSERT);
  assert.equal(resume(bench), undefined);
});

test("[C4] a checkpoint that truncated the WAL while down leads to a diff", () => {
  using bench = running();
  bench.stop();
  bench.app.exec(`${INSERT}; PRAGMA wal_checkpoint(TRUNCATE); ${INSERT}`);
  assert.match(resume(bench) ?? "", /^diff: /);
});

test("[C4] the application closing and reopening while down, which removes the WAL, leads to a diff", () => {
  using bench = running();
  bench.stop();
  bench.app.exec(INSERT);
  bench.closeApp();
  assert.match(resume(bench) ?? "", /^diff: the WAL is gone or empty/);
});

test("[C4] a WAL that lost its tail in an OS crash and grew differently is noticed [hazard 76]", () => {
  using bench = running();
  const shorter = readFileSync(`${bench.path}-wal`);
  const database = readFileSync(bench.path);
  bench.app.exec(`${INSERT}; ${INSERT}; CREATE TABLE other (v); INSERT INTO other VALUES (1)`);
  bench.sync();
  bench.stop();
  bench.closeApp();
  // The same file as before the last transactions, as after a power cut with synchronous=NORMAL.
  writeFileSync(bench.path, database);
  writeFileSync(`${bench.path}-wal`, shorter);
  bench.app = new DatabaseSync(bench.path);
  bench.app.exec("PRAGMA wal_autocheckpoint = 0");
  for (let row = 0; row < 4; row++)
    bench.app.exec("UPDATE t SET v = randomblob(4000) WHERE id = 2");
  assert.match(resume(bench) ?? "", /^diff: the WAL was rewritten before the last captured frame/);
});

test("[C4] a WAL that lost a frame in its middle in an OS crash is noticed although its end is intact", () => {
  using bench = running();
  for (let row = 0; row < 8; row++) bench.app.exec(INSERT);
  bench.sync();
  const wal = readFileSync(`${bench.path}-wal`);
  const database = readFileSync(bench.path);
  bench.stop();
  bench.closeApp();
  // Recovery ends before the lost frame; what follows it is still there, with the salts and sums that were captured.
  const size = FRAME_HEADER_SIZE + 4096;
  const frames = (wal.length - WAL_HEADER_SIZE) / size;
  wal.fill(0, WAL_HEADER_SIZE + (frames - 6) * size, WAL_HEADER_SIZE + (frames - 5) * size);
  writeFileSync(bench.path, database);
  writeFileSync(`${bench.path}-wal`, wal);
  bench.app = new DatabaseSync(bench.path);
  bench.app.exec("PRAGMA wal_autocheckpoint = 0; UPDATE t SET v = 'short' WHERE id = 1");
  assert.match(resume(bench) ?? "", /^diff: the WAL was rewritten before the last captured frame/);
});

test("[C8] a database replaced while running is captured onto the same line", () => {
  using bench = running();
  const { txid } = bench.capture;
  bench.replaceDatabase("CREATE TABLE fresh (v); INSERT INTO fresh VALUES (randomblob(20000))");
  bench.app.exec("INSERT INTO fresh VALUES (2)");
  bench.sync();
  bench.verify();
  assert.ok(bench.capture.txid > txid);
  assert.ok(bench.events.some((event) => event.type === "replaced"));
  bench.app.exec("INSERT INTO fresh VALUES (3)");
  bench.sync();
  bench.verify();
  assert.equal(bench.app.prepare("SELECT count(*) AS n FROM fresh").get()?.["n"], 3);
});

test("[C8] a database deleted and made anew while running is captured onto the same line", () => {
  using bench = running();
  const { txid } = bench.capture;
  bench.closeApp();
  for (const suffix of ["", "-wal", "-shm"]) rmSync(`${bench.path}${suffix}`, { force: true });
  bench.sync();
  assert.equal(bench.capture.status().phase, "missing");
  assert.equal(bench.capture.txid, txid);
  bench.app = bench.createDatabase();
  bench.app.exec("CREATE TABLE again (v); INSERT INTO again VALUES (randomblob(9000))");
  bench.sync();
  bench.verify();
  bench.app.exec("INSERT INTO again VALUES (2)");
  bench.sync();
  bench.verify();
  assert.ok(bench.capture.txid > txid);
});

test("[C8] letting go of a replaced database leaves the new one's WAL alone", () => {
  using bench = running();
  using other = new CaptureBench();
  other.app.exec("CREATE TABLE fresh (v); INSERT INTO fresh VALUES (1)");
  execFileSync("cp", [other.path, `${bench.path}.new`]);
  execFileSync("cp", [`${other.path}-wal`, `${bench.path}.new-wal`]);
  rmSync(`${bench.path}-shm`);
  renameSync(`${bench.path}.new`, bench.path);
  renameSync(`${bench.path}.new-wal`, `${bench.path}-wal`);
  const wal = readFileSync(`${bench.path}-wal`);
  bench.sync();
  bench.stop();
  assert.deepEqual(readFileSync(`${bench.path}-wal`), wal);
});

for (const when of ["while down", "while running"]) {
  test(`[C5] a change of page size ${when} becomes a boundary: a full file and a snapshot 1-N`, () => {
    using bench = running();
    if (when === "while down") bench.stop();
    bench.replaceDatabase("CREATE TABLE t (v); INSERT INTO t VALUES (randomblob(30000))", {
      pageSize: 1024,
    });
    bench.app.exec("INSERT INTO t VALUES (1)");
    if (when === "while down") bench.start();
    else bench.sync();
    bench.verify();
    const [snapshot] = bench.events.filter((event) => event.type === "ltx" && event.level === 9);
    assert.ok(snapshot?.type === "ltx");
    assert.equal(snapshot.minTxid, 1n);
    bench.app.exec("INSERT INTO t VALUES (2)");
    bench.sync();
    bench.verify();
  });
}

test("a database restored to an older state is followed past the newest TXID", () => {
  using bench = running();
  const older = bench.expected();
  for (let row = 0; row < 5; row++) bench.app.exec(INSERT);
  bench.sync();
  const { txid } = bench.capture;
  bench.stop();
  bench.closeApp();
  writeFileSync(bench.path, older);
  assert.match(resume(bench) ?? "", /^diff: /);
  assert.equal(bench.capture.txid, txid + 1n);
});

test("the local directory removed under a running capture is made anew with a boundary snapshot", () => {
  using bench = running();
  const { txid } = bench.capture;
  rmSync(bench.metaDir, { recursive: true });
  bench.app.exec(INSERT);
  bench.sync();
  assert.equal(bench.capture.txid, txid + 1n);
  const snapshot = bench.events.findLast((event) => event.type === "ltx");
  assert.ok(snapshot?.type === "ltx" && snapshot.level === 9 && snapshot.maxTxid === txid + 1n);
});

test("[C5] a lost or damaged page table leads to one full copy, nothing else does", () => {
  using bench = running();
  bench.stop();
  const table = `${bench.metaDir}/pages.sum`;
  const bytes = readFileSync(table);
  const pageThree = 32 + 2 * 8;
  bytes[pageThree] = (bytes[pageThree] ?? 0) ^ 1;
  writeFileSync(table, bytes);
  assert.match(resume(bench) ?? "", /^full: the page table does not add up/);
  bench.stop();
  rmSync(table);
  assert.match(resume(bench) ?? "", /^full: the page table is missing/);
  bench.stop();
  rmSync(`${bench.metaDir}/state`);
  assert.match(resume(bench) ?? "", /^diff: the local state is missing/);
});

test("frames that a killed writer left behind are not taken for committed", () => {
  using bench = running();
  const { txid } = bench.capture;
  appendPhantom(`${bench.path}-wal`);
  bench.sync();
  assert.equal(bench.capture.txid, txid, "the phantom transaction is not captured");
  bench.app.exec("UPDATE t SET v = 'after' WHERE id = 1");
  bench.sync();
  bench.verify();
});

/** Appends one frame that continues the WAL's checksums and commits, without SQLite knowing of it. */
function appendPhantom(path: string): void {
  const wal = readFileSync(path);
  const header = parseWalHeader(wal.subarray(0, WAL_HEADER_SIZE));
  assert.ok(header !== undefined);
  const size = FRAME_HEADER_SIZE + header.pageSize;
  const last = parseFrameHeader(wal.subarray(wal.length - size));
  const frame = Buffer.alloc(size, 7);
  frame.writeUInt32BE(2, 0);
  frame.writeUInt32BE(last.commit, 4);
  frame.writeUInt32BE(header.salt1, 8);
  frame.writeUInt32BE(header.salt2, 12);
  const sum = walChecksum(
    frame.subarray(24),
    header.bigEndian,
    walChecksum(frame.subarray(0, 8), header.bigEndian, last.sum),
  );
  frame.writeUInt32BE(sum.s0, 16);
  frame.writeUInt32BE(sum.s1, 20);
  writeFileSync(path, frame, { flag: "a" });
}

test("[C12] pages damaged behind SQLite's back are reported and not replicated", () => {
  using bench = running({ checkpointPages: 5 });
  bench.app.exec(INSERT);
  bench.sync();
  const files = bench.events.length;
  execFileSync(
    "dd",
    ["if=/dev/urandom", `of=${bench.path}`, "bs=64", "count=1", "seek=140", "conv=notrunc"],
    { stdio: "ignore" },
  );
  bench.capture.requireBoundary("test");
  assert.throws(
    () => bench.sync(),
    (error) => {
      assert.ok(error instanceof Error && "code" in error && error.code === "capture/page-damage");
      return true;
    },
  );
  assert.deepEqual(
    bench.events.slice(files).filter((event) => event.type === "ltx"),
    [],
  );
});

test("requireBoundary() writes a snapshot of the present position without a resync", () => {
  using bench = running();
  bench.app.exec(INSERT);
  bench.capture.requireBoundary("the destination has a hole");
  bench.sync();
  const snapshot = bench.events.findLast((event) => event.type === "ltx" && event.level === 9);
  assert.ok(snapshot?.type === "ltx");
  assert.equal(snapshot.maxTxid, bench.capture.txid);
  bench.verify();
});

test("[C6] what is owed survives a restart", () => {
  using bench = running();
  bench.capture.requireBoundary("the destination has a hole");
  bench.stop();
  bench.start();
  assert.ok(bench.events.some((event) => event.type === "ltx" && event.level === 9));
});

test("moveTo() goes on after the destination's TXID with a complete copy", () => {
  using bench = running();
  bench.capture.moveTo({ txid: toTxid(1000), snapshot: false });
  bench.sync();
  assert.equal(bench.capture.txid, 1001n);
  bench.app.exec(INSERT);
  bench.sync();
  assert.equal(bench.capture.txid, 1002n);
});

test("moveTo() past a destination that is behind but different leaves no hole there", () => {
  using bench = running();
  const { txid } = bench.capture;
  bench.capture.moveTo({ txid: toTxid(1), snapshot: false });
  bench.sync();
  assert.equal(bench.capture.txid, txid + 1n);
  const snapshot = bench.events.findLast((event) => event.type === "ltx");
  assert.ok(snapshot?.type === "ltx" && snapshot.level === 9 && snapshot.maxTxid === txid + 1n);
});

test("release() deletes what every destination has, and a restart still goes on", () => {
  using bench = running();
  for (let round = 0; round < 80; round++) {
    bench.app.exec(INSERT);
    bench.sync();
  }
  bench.verify();
  bench.capture.release(bench.capture.txid);
  assert.equal(bench.capture.localFiles().length, 1);
  bench.app.exec(INSERT);
  bench.sync();
  const before = bench.resyncs().length;
  bench.stop();
  bench.start();
  assert.equal(bench.resyncs().length, before);
});
