/** The whole decision space of shipping, one line per case. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import * as fc from "fast-check";
import { NO_TXID, toChecksum, toTxid, type Txid } from "../base/ids.ts";
import {
  afterUpload,
  chooseEvidence,
  nextAction,
  reconcile,
  viewRemote,
  type Action,
  type LocalView,
} from "./reconcile.ts";
import type { LtxFileId } from "../storage/ltx-store.ts";
import { coverage, restorableHead, type LocalFile } from "./span.ts";

/** `3` or `3-5` is a level 0 file, `L9:1-5` one of level 9; `3..5` are single files. */
function files(text: string): LocalFile[] {
  return text
    .split(" ")
    .filter((word) => word !== "")
    .flatMap((word) => {
      const [, level = "0", from = "", separator, to = from] =
        /^(?:L(\d):)?(\d+)(?:(-|\.\.)(\d+))?$/.exec(word) ?? [];
      const one = (min: number, max: number): LocalFile => ({
        level: Number(level),
        minTxid: toTxid(min),
        maxTxid: toTxid(max),
        sizeBytes: 100,
      });
      if (separator !== "..") return [one(Number(from), Number(to))];
      return Array.from({ length: Number(to) - Number(from) + 1 }, (_, index) =>
        one(Number(from) + index, Number(from) + index),
      );
    });
}

function local(text: string, position?: number): LocalView {
  const all = files(text);
  const newest = all.reduce((max, file) => (file.maxTxid > max ? file.maxTxid : max), 0n);
  return {
    positionTxid: toTxid(position ?? newest),
    anchor: undefined,
    files: all.filter((file) => file.level === 0),
    snapshots: all.filter((file) => file.level === 9),
  };
}

function show(action: Action): string {
  const name = (file: LtxFileId): string =>
    `${file.level === 0 ? "" : `L${file.level}:`}${file.minTxid}${file.minTxid === file.maxTxid ? "" : `-${file.maxTxid}`}`;
  switch (action.kind) {
    case "idle":
      return "idle";
    case "wait":
      return `wait ${action.need.reason} >=${action.need.minTxid}${action.need.wholeFileTxid === undefined ? "" : " or whole"}`;
    default:
      return `${action.kind} ${name(action.file)}`;
  }
}

/** `same` stands for agreement at the newest remote TXID. */
type Identity = "same" | "different" | "unknown";

/** Plays the uploads that need nobody's help; a probed file is whole when listed in `whole`. */
function play(view: LocalView, remote: string, identity: Identity, whole: Txid[] = []): string[] {
  const remoteView = viewRemote(files(remote));
  let state = reconcile({
    local: view,
    remote: remoteView,
    provenTxid: identity === "same" ? remoteView.maxTxid : NO_TXID,
    diverged: identity === "different",
  });
  const steps: string[] = [];
  for (;;) {
    const action = nextAction(state, view);
    steps.push(show(action));
    if (action.kind === "idle" || action.kind === "wait") return steps;
    if (action.kind === "probe" && !whole.includes(action.file.minTxid)) {
      state = { ...state, need: { ...action.need, wholeFileTxid: undefined } };
    } else {
      state = afterUpload(state, action.file);
    }
  }
}

interface Case {
  readonly name: string;
  readonly local: string;
  readonly position?: number;
  readonly remote: string;
  readonly identity?: Identity;
  readonly whole?: number;
  readonly steps: string;
}

// prettier-ignore
const CASES: readonly Case[] = [
  { name: "nothing anywhere", local: "", remote: "", steps: "idle" },
  { name: "a) empty remote, whole local line", local: "1..3", remote: "", steps: "continue 1, continue 2, continue 3, idle" },
  { name: "a) empty remote, compacted queue", local: "1 2-5 6", remote: "", steps: "continue 1, continue 2-5, continue 6, idle" },
  { name: "b) empty remote, TXID 1 gone", local: "4..6", remote: "", steps: "wait remote-empty >=3" },
  { name: "b) empty remote, nothing local but a position", local: "", position: 7, remote: "", steps: "wait remote-empty >=7" },
  { name: "b) empty remote, snapshot present", local: "4..6 L9:1-5", remote: "", steps: "rebase L9:1-5, continue 5, continue 6, idle" },
  { name: "b) snapshot past every file", local: "4..6 L9:1-6", remote: "", steps: "rebase L9:1-6, continue 6, idle" },
  { name: "b) snapshot too old to connect", local: "8..9 L9:1-5", remote: "", steps: "wait remote-empty >=7" },
  { name: "c) equal", local: "3", remote: "1..3", identity: "same", steps: "idle" },
  { name: "c) remote is a prefix", local: "3..5", remote: "1..3", identity: "same", steps: "continue 4, continue 5, idle" },
  { name: "c) nothing in common to compare", local: "4 5", remote: "1..3", steps: "continue 4, continue 5, idle" },
  { name: "c) remote compacted above level 0", local: "12", remote: "L9:1-6 L1:5-9 9..11", identity: "same", steps: "continue 12, idle" },
  { name: "c) queue file straddles an unproven head", local: "4-8 9", remote: "1..5", steps: "wait diverged >=6" },
  { name: "c) queue file straddles the head", local: "4-8 9", remote: "1..5", identity: "same", steps: "continue 4-8, continue 9, idle" },
  { name: "d) local older", local: "1..3", remote: "1..5", identity: "same", steps: "wait remote-ahead >=6 or whole" },
  { name: "d) local lost", local: "", remote: "1..5", steps: "wait remote-ahead >=6 or whole" },
  { name: "d) local lost, remote has a hole", local: "", remote: "1..3 5", steps: "wait remote-ahead >=6" },
  { name: "d) restarted at TXID 1", local: "1", remote: "L9:1-5 6", steps: "wait remote-ahead >=7 or whole" },
  { name: "d) line moved, full file follows", local: "1 7 8", remote: "L9:1-5 6", identity: "different", whole: 7, steps: "probe 7, continue 8, idle" },
  { name: "d) local ran past while divergent", local: "1..7", remote: "1..5", identity: "different", steps: "probe 6, wait diverged >=6" },
  { name: "d) diverged, local shorter", local: "1..4", remote: "1..5", identity: "different", steps: "wait remote-ahead >=6 or whole" },
  { name: "d) diverged, equally long", local: "1..5", remote: "1..5", identity: "different", steps: "wait diverged >=6 or whole" },
  { name: "d) diverged, old snapshot does not serve", local: "1..7 L9:1-5", remote: "1..5", identity: "different", steps: "probe 6, wait diverged >=6" },
  { name: "d) diverged, snapshot past all", local: "1..8 L9:1-7", remote: "1..5", identity: "different", steps: "rebase L9:1-7, continue 7, continue 8, idle" },
  { name: "e) hole, files still local", local: "4..8", remote: "1..4 7 8", identity: "same", steps: "continue 5, continue 6, idle" },
  { name: "e) hole, files still local, but whose are 7 and 8?", local: "4..8", remote: "1..4 7 8", steps: "wait remote-hole >=8" },
  { name: "e) hole, unproven, snapshot", local: "4..9 L9:1-8", remote: "1..4 7 8", steps: "rebase L9:1-8, continue 9, idle" },
  { name: "e) hole, part of it local", local: "6..8", remote: "1..4 7 8", identity: "same", steps: "wait remote-hole >=5" },
  { name: "e) hole filled by a queue file", local: "5-7 8 9", remote: "1..4 7 8", identity: "same", steps: "continue 5-7, continue 9, idle" },
  { name: "e) two holes, one snapshot over both", local: "9 L9:1-9", remote: "1 3 5..8", identity: "same", steps: "rebase L9:1-9, continue 9, idle" },
  { name: "e) two holes, snapshot over the first", local: "9 L9:1-2", remote: "1 3 5..9", identity: "same", steps: "rebase L9:1-2, wait remote-hole >=4" },
  { name: "e) no base", local: "9", remote: "5..9", identity: "same", steps: "wait remote-hole >=4" },
  { name: "e) no base, snapshot", local: "9 L9:1-9", remote: "5..9", identity: "same", steps: "rebase L9:1-9, idle" },
  { name: "e) remote lost its newest files", local: "9", remote: "1..6", steps: "wait local-missing >=8" },
  { name: "e) remote lost its newest, none local", local: "", position: 9, remote: "1..6", steps: "wait local-missing >=9" },
  { name: "f) local file lost", local: "3 5 6", remote: "1..3", identity: "same", steps: "wait local-missing >=4" },
  { name: "f) local file lost, boundary made", local: "3 5..8 L9:1-7", remote: "1..3", identity: "same", steps: "rebase L9:1-7, continue 7, continue 8, idle" },
  { name: "88) level 0 expired, higher levels hold", local: "6", remote: "L9:1-4 L1:5-6", identity: "same", steps: "continue 6, idle" },
  { name: "88) level 0 expired, identity unknown", local: "6 7", remote: "L9:1-4 L1:5-6", steps: "continue 7, idle" },
  { name: "88) everything expired", local: "6 7", remote: "", steps: "wait remote-empty >=5" },
  { name: "snapshot without need stays local", local: "3..5 L9:1-4", remote: "1..3", identity: "same", steps: "continue 4, continue 5, idle" },
  { name: "crash between snapshot and its level 0 file", local: "7 8 L9:1-7", remote: "1..3 L9:1-7", identity: "same", steps: "continue 7, continue 8, idle" },
];

describe("nextAction() after reconcile()", () => {
  for (const { name, local: mine, position, remote, identity = "unknown", whole, steps } of CASES) {
    test(`${name}: [${mine}] against [${remote}] ${identity}`, () => {
      const wholes = whole === undefined ? [] : [toTxid(whole)];
      assert.equal(play(local(mine, position), remote, identity, wholes).join(", "), steps);
    });
  }
});

describe("chooseEvidence()", () => {
  const evidence = (mine: LocalView, remote: string): string => {
    const found = chooseEvidence(mine, files(remote));
    if (found === undefined) return "none";
    const { remote: theirs, local: ours, checksum } = found;
    const name = (file: LtxFileId): string => `L${file.level}:${file.minTxid}-${file.maxTxid}`;
    return `${name(theirs)} ${ours === undefined ? "-" : name(ours)} ${checksum}`;
  };
  const at = (position: number): LocalView => ({
    ...local("", position),
    anchor: { txid: toTxid(position), checksum: toChecksum(7n) },
  });
  // prettier-ignore
  const cases: readonly (readonly [string, LocalView, string, string])[] = [
    ["empty remote", local("1..3"), "", "none"],
    ["newest common name", local("1..3"), "1 2 3 L1:1-3", "L0:3-3 L0:3-3 0"],
    ["remote beyond", local("1..3"), "1..5", "L0:3-3 L0:3-3 0"],
    ["only an end in common", local("3"), "L1:1-3", "L1:1-3 L0:3-3 0"],
    ["the position's checksum", at(3), "L9:1-3 3", "L0:3-3 - 7"],
    ["nothing in common", local("7"), "1..5 L1:3-5", "L0:5-5 - 0"],
  ];
  for (const [name, mine, remote, expected] of cases) {
    test(`takes ${expected}: ${name}`, () => assert.equal(evidence(mine, remote), expected));
  }
});

describe("coverage()", () => {
  const span = fc
    .tuple(fc.integer({ min: 1, max: 30 }), fc.integer({ min: 0, max: 6 }))
    .map(([min, more]) => ({ minTxid: toTxid(min), maxTxid: toTxid(min + more) }));

  test("covers exactly what some span covers, in disjoint stretches", () => {
    fc.assert(
      fc.property(fc.array(span, { maxLength: 12 }), (spans) => {
        const covered = coverage(spans);
        for (let txid = 1n; txid <= 40n; txid += 1n) {
          const inside = (list: readonly { minTxid: bigint; maxTxid: bigint }[]): boolean =>
            list.some(({ minTxid, maxTxid }) => minTxid <= txid && txid <= maxTxid);
          assert.equal(inside(covered), inside(spans));
        }
        for (const [index, stretch] of covered.entries()) {
          const next = covered[index + 1];
          assert.ok(next === undefined || next.minTxid > stretch.maxTxid + 1n);
        }
      }),
    );
  });

  test("restorableHead() is 0 without TXID 1", () => {
    assert.equal(restorableHead(coverage(files("2..5"))), 0n);
    assert.equal(restorableHead(coverage(files("L9:1-5 4-9 11"))), 9n);
  });
});
