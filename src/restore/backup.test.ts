import assert from "node:assert/strict";
import { test } from "node:test";
import { toTxid } from "../base/ids.ts";
import type { LtxFileInfo } from "../storage/ltx-store.ts";
import { chooseFormat, type BackupFormat } from "./backup.ts";
import type { LegacyListing } from "./legacy/names.ts";
import type { LegacyTarget } from "./legacy/plan.ts";

/** `level:min-max@time` */
function ltx(...texts: readonly string[]): LtxFileInfo[] {
  return texts.map((text) => {
    const [level = 0, min = 0, max = 0, createdAtMs = 0] = text.split(/[:@-]/).map(Number);
    return { level, minTxid: toTxid(min), maxTxid: toTxid(max), sizeBytes: 200, createdAtMs };
  });
}

/** Times of snapshots and of segments. */
function legacy(snapshots: readonly number[], segments: readonly number[] = []): LegacyListing {
  const base = { key: "k", generation: "0123456789abcdef", index: 0, sizeBytes: 1 };
  return {
    snapshots: snapshots.map((createdAtMs) => ({ ...base, createdAtMs })),
    segments: segments.map((createdAtMs) => ({ ...base, createdAtMs, offset: 0 })),
  };
}

const OLD = "litestream-0.3";

const CASES: readonly (readonly [
  string,
  LtxFileInfo[],
  LegacyListing,
  LegacyTarget,
  BackupFormat,
])[] = [
  ["nothing at all", [], legacy([]), "latest", "ltx"],
  ["nothing at all, by time", [], legacy([]), { timestampMs: 5 }, "ltx"],
  ["LTX alone", ltx("0:1-1@5"), legacy([]), "latest", "ltx"],
  ["0.3 alone", [], legacy([5]), "latest", OLD],
  ["0.3 alone, by time", [], legacy([5]), { timestampMs: 1 }, OLD],
  ["0.3 segments alone", [], legacy([], [5]), "latest", OLD],
  ["after an upgrade", ltx("0:1-1@10", "0:2-2@12"), legacy([5], [9]), "latest", "ltx"],
  ["after a way back", ltx("0:1-1@10", "0:2-2@12"), legacy([5], [13]), "latest", OLD],
  ["the same moment", ltx("0:1-1@10"), legacy([5], [10]), "latest", "ltx"],
  ["a newer 0.3 snapshot", ltx("9:1-4@10"), legacy([11]), "latest", OLD],
  ["a time before the upgrade", ltx("9:1-4@10"), legacy([5], [9]), { timestampMs: 9 }, OLD],
  ["a time after the upgrade", ltx("9:1-4@10"), legacy([5], [9]), { timestampMs: 11 }, "ltx"],
  // LTX files count before the time, objects of 0.3 at it.
  ["the time of the LTX snapshot", ltx("9:1-4@10"), legacy([5]), { timestampMs: 10 }, OLD],
  ["the time of the 0.3 snapshot", ltx("9:1-4@4"), legacy([5]), { timestampMs: 5 }, OLD],
  ["no 0.3 snapshot before the time", ltx("9:1-4@4"), legacy([5]), { timestampMs: 3 }, "ltx"],
  [
    "0.3 segments do not count by time",
    ltx("9:1-4@8"),
    legacy([5], [9]),
    { timestampMs: 20 },
    "ltx",
  ],
  [
    "a first file is a snapshot",
    ltx("0:1-1@10", "0:2-2@11"),
    legacy([5]),
    { timestampMs: 12 },
    "ltx",
  ],
  ["the first file is gone", ltx("0:2-2@11"), legacy([5]), { timestampMs: 12 }, OLD],
];

for (const [name, files, listing, target, wanted] of CASES) {
  test(`chooseFormat() chooses ${wanted}: ${name}`, () => {
    assert.equal(chooseFormat(files, listing, target), wanted);
  });
}
