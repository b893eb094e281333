import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { formatTxid, toTxid, type Txid } from "../base/ids.ts";
import { isMillraceError, MillraceError } from "../errors.ts";
import type { LtxFileInfo } from "../storage/ltx-store.ts";
import { planFiles, restorableTxids, type RestoreTarget } from "./plan.ts";

/** `9:1-10@100#200`: level 9, TXIDs 1 to 10, made at 100 ms, 200 bytes. Time defaults to the last TXID, size to 1000. */
function file(text: string): LtxFileInfo {
  const match = /^(\d):(\d+)(?:-(\d+))?(?:@(\d+))?(?:#(\d+))?$/.exec(text);
  assert.ok(match, text);
  const [, level, min, max = min, time = max, size = "1000"] = match;
  return {
    level: Number(level),
    minTxid: toTxid(Number(min)),
    maxTxid: toTxid(Number(max)),
    sizeBytes: Number(size),
    createdAtMs: Number(time),
  };
}

function files(text: string): LtxFileInfo[] {
  return text.split(/\s+/).filter(Boolean).map(file);
}

function target(text: string): RestoreTarget {
  if (text === "latest") return "latest";
  const value = Number(text.slice(1));
  return text.startsWith("x") ? { txid: toTxid(value) } : { timestampMs: value };
}

function render(list: readonly LtxFileInfo[]): string {
  return list
    .map((f) => `${f.level}:${f.minTxid}${f.maxTxid === f.minTxid ? "" : `-${f.maxTxid}`}`)
    .join(" ");
}

function outcome(list: readonly LtxFileInfo[], wanted: RestoreTarget): string {
  try {
    return render(planFiles(list, wanted).files);
  } catch (error) {
    assert.ok(isMillraceError(error), String(error));
    return error.code;
  }
}

const NONE = "restore/no-backup";
const AWAY = "restore/not-available";
const GAP = "restore/gap";
const CUT = "ltx/truncated";

/** Files of the replica, target (`x7` is TXID 7, `t7` is strictly before 7 ms), verdict. */
const CASES: readonly (readonly [string, string, string])[] = [
  // Nothing to start from.
  ["", "latest", NONE],
  ["", "x1", NONE],
  ["", "t1", NONE],
  ["0:2", "latest", NONE],
  ["0:2 1:3-9", "x9", NONE],
  ["9:2-5", "latest", NONE],
  ["0:2@2", "t9", NONE],
  // A base: TXID 1 in any level, or a snapshot; the newest eligible snapshot wins.
  ["0:1", "latest", "0:1"],
  ["9:1", "latest", "9:1"],
  ["2:1-7", "latest", "2:1-7"],
  ["9:1-3 9:1-6", "latest", "9:1-6"],
  ["9:1-6 9:1-3", "latest", "9:1-6"],
  ["9:1-3 9:1-6", "x3", "9:1-3"],
  ["9:1-3 9:1-6", "t6", "9:1-3"],
  ["9:1-3 0:1 0:2 0:3 0:4", "latest", "9:1-3 0:4"],
  ["9:2-6 0:1 0:2", "x2", "0:1 0:2"],
  // Chains.
  ["0:1 0:2 0:3", "latest", "0:1 0:2 0:3"],
  ["0:3 0:1 0:2", "latest", "0:1 0:2 0:3"],
  ["0:1 0:2 0:3", "x2", "0:1 0:2"],
  ["0:1 0:2 0:3", "x1", "0:1"],
  ["9:1-3 0:4 0:5 1:4-5", "latest", "9:1-3 1:4-5"],
  ["9:1-3 0:4 0:5 1:4-5", "x4", "9:1-3 0:4"],
  ["9:1-3 1:1-2 1:3-5 0:6", "latest", "9:1-3 1:3-5 0:6"],
  ["9:1-3 1:3-5 2:4-9 3:5-12", "latest", "9:1-3 2:4-9 3:5-12"],
  ["9:1-3 3:1-12 0:4", "latest", "3:1-12"],
  ["9:1-3 3:1-12 0:4", "x4", "9:1-3 0:4"],
  // Overlap, containment, duplicates; of equal ends the smallest file.
  ["0:1 1:1-4 1:2-3 1:3-6", "latest", "1:1-4 1:3-6"],
  ["9:1-5 1:2-4 1:5 0:3", "latest", "9:1-5"],
  ["9:1-5 0:6 0:6 1:6", "latest", "9:1-5 1:6"],
  ["9:1-9 0:10#200 3:2-10#9000", "latest", "9:1-9 0:10"],
  ["9:1-9 0:10#300 3:2-10#200", "latest", "9:1-9 3:2-10"],
  ["9:1-9 1:10@8 2:10@9", "latest", "9:1-9 2:10"],
  // A hole that another level covers is none.
  ["9:1-3 0:4 0:6 1:4-6", "latest", "9:1-3 1:4-6"],
  ["9:1-3 0:4 0:6 1:4-5", "latest", "9:1-3 1:4-5 0:6"],
  ["0:1 0:3 9:1-2", "latest", "9:1-2 0:3"],
  ["0:1 0:3 9:1-5", "latest", "9:1-5"],
  // Latest refuses holes.
  ["0:1 0:3", "latest", GAP],
  ["9:1-3 0:5", "latest", GAP],
  ["9:1-3 0:4 0:5 2:8-9", "latest", GAP],
  ["9:1-3 0:2", "latest", "9:1-3"],
  // TXID: exact, or an error.
  ["9:1-3 0:4", "x9", AWAY],
  ["9:1-3 0:4", "x2", AWAY],
  ["9:1-3 0:1 0:2 0:3", "x2", "0:1 0:2"],
  ["9:1-3 1:4-6 0:7", "x5", AWAY],
  ["9:1-3 1:4-6 0:7", "x6", "9:1-3 1:4-6"],
  ["9:1-3 0:5", "x4", GAP],
  ["9:1-3 0:5", "x5", GAP],
  ["9:1-3 0:5", "x3", "9:1-3"],
  ["9:1-3 0:5 1:4-6", "x5", AWAY],
  ["9:1-3 0:5", "x7", AWAY],
  ["1:2-5 0:1@9", "x3", AWAY],
  // Time: strictly older; the newest such state.
  ["0:1@10 0:2@20 0:3@30", "t30", "0:1 0:2"],
  ["0:1@10 0:2@20 0:3@30", "t31", "0:1 0:2 0:3"],
  ["0:1@10 0:2@20 0:3@30", "t99", "0:1 0:2 0:3"],
  ["0:1@10 0:2@20 0:3@30", "t10", AWAY],
  ["9:1-3@35 0:1@10 0:2@20 0:3@30", "t35", "0:1 0:2 0:3"],
  ["9:1-3@35 0:4@40 1:4-6@60", "t60", "9:1-3 0:4"],
  ["9:1-3@35 1:4-6@60", "t60", "9:1-3"],
  ["9:1-3@35 1:4-6@60", "t35", AWAY],
  // Time: a hole before files of that time is an error, never older data.
  ["0:1@10 0:3@30 0:4@40", "t35", GAP],
  ["0:1@10 0:3@30 0:4@40", "t30", "0:1"],
  ["9:1-3@35 0:4@40 0:6@60", "t90", GAP],
  ["9:1-3@35 0:4@40 0:6@60", "t60", "9:1-3 0:4"],
  ["9:1-3@35 0:5@50 1:4-6@60", "t55", AWAY],
  ["9:1-3@35 0:5@50 1:4-6@60", "t61", "9:1-3 1:4-6"],
  ["0:2@20 9:1-3@35", "t30", AWAY],
  ["0:1@10 0:2@30 0:3@20", "t25", AWAY],
  // Files that cannot be LTX files: around them, or refused by name.
  ["0:1 0:2#0", "latest", CUT],
  ["0:1#99", "latest", CUT],
  ["0:1 0:2#99 0:3", "latest", CUT],
  ["0:1 0:2#100", "latest", "0:1 0:2"],
  ["0:1 0:2#0 1:1-2", "latest", "1:1-2"],
  ["9:1-4#50 0:1 0:2 0:3 0:4", "latest", "0:1 0:2 0:3 0:4"],
  ["9:1-4#50 9:1-2 0:3 0:4", "latest", "9:1-2 0:3 0:4"],
  ["0:1 0:2#0", "x1", "0:1"],
  ["0:1 0:2@2#0", "t2", "0:1"],
  ["0:1 0:2#0 0:4", "latest", GAP],
];

test("planFiles() gives the verdict of the table for every case", () => {
  for (const [list, wanted, verdict] of CASES) {
    assert.equal(outcome(files(list), target(wanted)), verdict, `[${list}] ${wanted}`);
  }
});

function failure(list: string, wanted: string): MillraceError {
  try {
    planFiles(files(list), target(wanted));
  } catch (error) {
    if (error instanceof MillraceError) return error;
    throw error;
  }
  throw new Error(`[${list}] ${wanted}: planned`);
}

test("planFiles() names the hole and both neighbours when a file is missing", () => {
  const error = failure("9:1-3@35 0:4@40 0:7@70", "t90");
  assert.equal(error.code, "restore/gap");
  assert.deepEqual(error.details, {
    missingFrom: "0000000000000005",
    missingTo: "0000000000000006",
    before: "level 0 file 0000000000000004-0000000000000004.ltx",
    after: "level 0 file 0000000000000007-0000000000000007.ltx",
    nearestBelow: "0000000000000004",
    nearestAbove: undefined,
  });
  assert.match(
    error.message,
    /TXIDs 0+5 to 0+6 are missing between level 0 file 0+4-0+4\.ltx and level 0 file 0+7/,
  );
});

test("planFiles() names the nearest restorable TXIDs when the target is inside a compacted range", () => {
  const error = failure("9:1-3 1:4-6 0:7", "x5");
  assert.equal(error.code, "restore/not-available");
  assert.deepEqual(error.details, {
    nearestBelow: "0000000000000003",
    nearestAbove: "0000000000000006",
  });
  assert.match(error.message, /exists only inside level 1 file 0+4-0+6\.ltx/);
  assert.match(error.hint ?? "", /0000000000000003 and 0000000000000006/);
});

test("planFiles() names the nearest times when changes before the target are only in a newer file", () => {
  const error = failure("9:1-3@35 0:5@50 1:4-6@60", "t55");
  assert.equal(error.details["nearestBelowMs"], 35);
  assert.equal(error.details["nearestAboveMs"], 60);
});

test("planFiles() names the files that are smaller than a header", () => {
  const error = failure("0:1 0:2#7 0:3#0", "latest");
  assert.match(
    error.message,
    /level 0 file 0+2-0+2\.ltx \(7 bytes\), level 0 file 0+3-0+3\.ltx \(0 bytes\)/,
  );
  assert.match(error.hint ?? "", /restorable by -txid: 0000000000000001/);
});

test("planFiles() refuses targets that are none", () => {
  for (const wanted of [
    { txid: toTxid(0) },
    { timestampMs: Number.NaN },
    { timestampMs: Infinity },
  ]) {
    assert.throws(() => planFiles(files("0:1"), wanted), { code: "usage/invalid" });
  }
});

/** Closure over every chain there is: which TXIDs can be the end of one. */
function bruteForce(list: readonly LtxFileInfo[]): Set<Txid> {
  const reached = new Set<Txid>([toTxid(0)]);
  for (let grew = true; grew;) {
    grew = false;
    for (const f of list) {
      if (reached.has(f.maxTxid)) continue;
      const follows = [...reached].some((txid) => f.minTxid <= txid + 1n && f.maxTxid > txid);
      if (follows) {
        reached.add(f.maxTxid);
        grew = true;
      }
    }
  }
  reached.delete(toTxid(0));
  return reached;
}

const anyFile: fc.Arbitrary<LtxFileInfo> = fc
  .record({
    level: fc.integer({ min: 0, max: 9 }),
    start: fc.integer({ min: 1, max: 14 }),
    length: fc.nat({ max: 5 }),
    time: fc.integer({ min: 1, max: 14 }),
    size: fc.oneof(
      { arbitrary: fc.integer({ min: 100, max: 2000 }), weight: 15 },
      { arbitrary: fc.nat(99), weight: 1 },
    ),
  })
  .map((f) => ({
    level: f.level,
    minTxid: toTxid(f.level === 9 ? 1 : f.start),
    maxTxid: toTxid(f.start + f.length),
    sizeBytes: f.size,
    createdAtMs: f.time,
  }));
const anyReplica = fc.array(anyFile, { maxLength: 14 });
const anyTarget: fc.Arbitrary<RestoreTarget> = fc.oneof(
  fc.constant<RestoreTarget>("latest"),
  fc.integer({ min: 1, max: 20 }).map((txid) => ({ txid: toTxid(txid) })),
  fc.integer({ min: 0, max: 16 }).map((timestampMs) => ({ timestampMs })),
);

function eligibleFor(list: readonly LtxFileInfo[], wanted: RestoreTarget): LtxFileInfo[] {
  if (wanted === "latest") return [...list];
  if ("txid" in wanted) return list.filter((f) => f.maxTxid <= wanted.txid);
  return list.filter((f) => f.createdAtMs < wanted.timestampMs);
}

/** The TXID that a plan must reach: for times and latest everything that is old enough. */
function goal(list: readonly LtxFileInfo[], wanted: RestoreTarget): Txid | undefined {
  if (wanted !== "latest" && "txid" in wanted) return wanted.txid;
  return eligibleFor(list, wanted).reduce<Txid | undefined>(
    (max, f) => (max === undefined || f.maxTxid > max ? f.maxTxid : max),
    undefined,
  );
}

test("planFiles() succeeds exactly when some chain of sound files reaches the target", () => {
  fc.assert(
    fc.property(anyReplica, anyTarget, (list, wanted) => {
      const sound = list.filter((f) => f.sizeBytes >= 100);
      const end = goal(list, wanted);
      const exists = end !== undefined && bruteForce(eligibleFor(sound, wanted)).has(end);
      const verdict = outcome(list, wanted);
      assert.equal(!/^(restore|ltx)\//.test(verdict), exists, `${render(list)}: ${verdict}`);
    }),
    { numRuns: 3000 },
  );
});

test("planFiles() yields a gapless chain of eligible, sound files that ends at the goal, whatever the order", () => {
  fc.assert(
    fc.property(anyReplica, anyTarget, (list, wanted) => {
      const verdict = outcome(list, wanted);
      assert.equal(
        outcome(list.toReversed(), wanted).startsWith("restore/"),
        verdict.startsWith("restore/"),
      );
      if (/^(restore|ltx)\//.test(verdict)) return;
      const plan = planFiles(list, wanted);
      let reached = 0n;
      for (const f of plan.files) {
        assert.ok(f.minTxid <= reached + 1n && f.maxTxid > reached, verdict);
        assert.ok(f.sizeBytes >= 100);
        reached = f.maxTxid;
      }
      assert.ok(plan.files.every((f) => eligibleFor(list, wanted).includes(f)));
      assert.equal(plan.txid, goal(list, wanted));
      assert.equal(plan.txid, reached);
      assert.equal(plan.files.filter((f) => f.minTxid === 1n).length, 1);
    }),
    { numRuns: 2000 },
  );
});

test("planFiles() offers restorable TXIDs that can in fact be planned", () => {
  fc.assert(
    fc.property(anyReplica, anyTarget, (list, wanted) => {
      const sound = list.filter((f) => f.sizeBytes >= 100);
      try {
        planFiles(sound, wanted);
      } catch (error) {
        assert.ok(isMillraceError(error));
        for (const key of ["nearestBelow", "nearestAbove"]) {
          const txid = error.details[key];
          if (typeof txid === "string") planFiles(sound, { txid: toTxid(BigInt(`0x${txid}`)) });
        }
      }
    }),
    { numRuns: 2000 },
  );
});

test("restorableTxids() equals the closure over all chains", () => {
  fc.assert(
    fc.property(anyReplica, (list) => {
      const expected = [...bruteForce(list)].map(formatTxid).sort();
      assert.deepEqual(restorableTxids(list).map(formatTxid), expected);
    }),
    { numRuns: 2000 },
  );
});
