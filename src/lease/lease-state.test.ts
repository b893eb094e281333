/** The state machine: the whole table against the page, and what the table cannot show. */
import assert from "node:assert/strict";
import { join } from "node:path";
import { describe, it } from "node:test";
import { tableUnder } from "../../tools/lib/doc-tables.ts";
import { type LeaseReading, type LeaseRecord, toVersion } from "./contract.ts";
import {
  initialLease,
  lapse,
  type LeaseEvent,
  type LeaseRules,
  type LeaseState,
  leaseStep,
  type Moment,
} from "./lease-state.ts";

const PAGE = join(import.meta.dirname, "..", "..", "docs", "formats", "lease.md");
const RULES: LeaseRules = { owner: "us", ttlMs: 30_000, marginMs: 3_000 };
const START: Moment = { atMs: 1_000_000, wallMs: 1_700_000_000_000 };

function later(byMs: number, wallByMs = byMs): Moment {
  return { atMs: START.atMs + byMs, wallMs: START.wallMs + wallByMs };
}

function record(epoch: number, owner: string, more: Partial<LeaseRecord> = {}): LeaseRecord {
  const expiresAtMs = START.wallMs + RULES.ttlMs;
  return { epoch, owner, expiresAtMs, ttlMs: 30_000, renewals: 0, ...more };
}

function reading(found: LeaseRecord, version = "v1"): LeaseReading {
  return { record: found, version: toVersion(version) };
}

const MEMORY = { highestEpoch: 5, triedEpoch: 5 };
const OURS = record(5, "us", { renewals: 3 });
const RENEWED = { ...OURS, renewals: 4 };
const THEIRS = reading(record(4, "them"));
const TENURE = { ...START, record: OURS, version: toVersion("v1") };
const ATTEMPT = { ...later(10_000), record: RENEWED };

const STATES: readonly LeaseState[] = [
  { ...MEMORY, name: "idle" },
  { ...MEMORY, name: "looking", seen: { reading: THEIRS, sinceMs: START.atMs } },
  { ...MEMORY, name: "waiting", seen: { reading: THEIRS, sinceMs: START.atMs } },
  { ...MEMORY, name: "taking", seen: undefined, attempt: { ...START, record: OURS } },
  { ...MEMORY, name: "held", tenure: TENURE },
  { ...MEMORY, name: "renewing", tenure: TENURE, attempt: ATTEMPT },
  { ...MEMORY, name: "late", tenure: TENURE, attempt: ATTEMPT },
  { ...MEMORY, name: "checking", tenure: TENURE, attempt: ATTEMPT },
  { ...MEMORY, name: "parked", tenure: TENURE },
  { ...MEMORY, name: "resuming", tenure: TENURE, attempt: ATTEMPT },
  { ...MEMORY, name: "releasing" },
  { ...MEMORY, name: "released" },
];

const found = (what: LeaseReading | undefined): LeaseEvent => ({
  ...later(11_000),
  type: "read",
  reading: what,
});

/** Columns of the table, by their titles. */
const EVENTS: Readonly<Record<string, LeaseEvent>> = {
  tick: { ...later(11_000), type: "tick" },
  "read: free": found(undefined),
  "read: ours": found(reading(RENEWED, "v2")),
  "read: theirs": found(reading(record(6, "them"), "v9")),
  "read: silent": { ...later(30_000, 30_000), type: "read", reading: THEIRS },
  written: { ...later(11_000), type: "written", version: toVersion("v2") },
  conflict: { ...later(11_000), type: "conflict" },
  failed: { ...later(11_000), type: "failed" },
  "too late": { ...later(27_000), type: "tick" },
  "clock ahead": { ...later(11_000, 14_001), type: "tick" },
  park: { ...later(11_000), type: "park" },
  resume: { ...later(11_000), type: "resume" },
  release: { ...later(11_000), type: "release" },
};

/** A cell of the table: next state and effects; a dot where nothing happens. */
function outcome(state: LeaseState, event: LeaseEvent): string {
  const { state: next, effects } = leaseStep(RULES, state, event);
  const names = effects.map((effect) => {
    if (effect.type === "lost") return `lost ${effect.reason}`;
    if (effect.type !== "write") return effect.type;
    if (effect.record.expiresAtMs <= 0) return "give back";
    return effect.record.renewals === 0 ? `write epoch +1` : "write renewal";
  });
  if (next.name === state.name && names.length === 0) return "·";
  return [next.name, ...names].join(", ");
}

const TABLE = STATES.map((state) => ({
  State: state.name,
  ...Object.fromEntries(
    Object.entries(EVENTS).map(([title, event]) => [title, outcome(state, event)]),
  ),
}));

describe("leaseStep()", () => {
  it("has the transitions of docs/formats/lease.md", () => {
    assert.deepEqual(tableUnder(PAGE, "Transitions"), TABLE);
  });

  it("counts a claim from before the write that won it, not from its answer", () => {
    const [taking] = STATES.filter(({ name }) => name === "taking");
    assert.ok(taking !== undefined);
    const { state } = leaseStep(RULES, taking, {
      ...later(9_000),
      type: "written",
      version: toVersion("v2"),
    });
    assert.ok(state.name === "held");
    assert.equal(lapse(RULES, state.tenure, later(26_999)), undefined);
    assert.equal(lapse(RULES, state.tenure, later(27_000)), "expired");
  });

  it("does not believe an acquisition that was confirmed when its time was over", () => {
    const [taking] = STATES.filter(({ name }) => name === "taking");
    assert.ok(taking !== undefined);
    const event = { ...later(27_000), type: "written", version: toVersion("v2") } as const;
    assert.equal(leaseStep(RULES, taking, event).state.name, "looking");
  });

  it("keeps the renewal's own time when reading shows that it arrived", () => {
    const checking = STATES.find(({ name }) => name === "checking");
    assert.ok(checking !== undefined);
    const { state } = leaseStep(RULES, checking, found(reading(RENEWED, "v2")));
    assert.ok(state.name === "held");
    assert.equal(state.tenure.atMs, ATTEMPT.atMs);
    assert.equal(state.tenure.version, "v2");
  });

  it("renews again, on the old claim, when reading shows that the renewal did not arrive", () => {
    const checking = STATES.find(({ name }) => name === "checking");
    assert.ok(checking !== undefined);
    const { state, effects } = leaseStep(RULES, checking, found(reading(OURS, "v1")));
    assert.ok(state.name === "renewing");
    assert.equal(state.tenure.atMs, START.atMs);
    assert.deepEqual(
      effects.map((effect) => effect.type === "write" && effect.record.renewals),
      [4],
    );
  });

  it("counts patience from the first sight of a version, and anew for every version", () => {
    let state: LeaseState = initialLease();
    const look = (atMs: number, version: string): string => {
      const moment = later(atMs, 0);
      ({ state } = leaseStep(RULES, state, { ...moment, type: "tick" }));
      const event = { ...moment, type: "read", reading: reading(record(1, "them"), version) };
      ({ state } = leaseStep(RULES, state, event as LeaseEvent));
      return state.name;
    };
    assert.equal(look(0, "v1"), "waiting");
    assert.equal(look(29_999, "v1"), "waiting");
    assert.equal(look(29_999, "v2"), "waiting");
    assert.equal(look(59_998, "v2"), "waiting");
    assert.equal(look(59_999, "v2"), "taking");
  });

  it("waits as long as the record says, not as long as its own rules", () => {
    const idle = initialLease();
    const { state: looking } = leaseStep(RULES, idle, { ...START, type: "tick" });
    const slow = reading(record(1, "them", { ttlMs: 90_000 }));
    const seen = leaseStep(RULES, looking, { ...START, type: "read", reading: slow }).state;
    const again = leaseStep(RULES, seen, { ...later(89_999), type: "tick" }).state;
    const event = { ...later(89_999), type: "read", reading: slow } as const;
    assert.equal(leaseStep(RULES, again, event).state.name, "waiting");
  });

  it("never goes below an epoch that it saw, also when the record is gone or begins anew", () => {
    const looking: LeaseState = {
      name: "looking",
      highestEpoch: 7,
      triedEpoch: 0,
      seen: undefined,
    };
    for (const what of [undefined, reading(record(1, "them", { expiresAtMs: 0 }))]) {
      const { effects } = leaseStep(RULES, looking, found(what));
      const epochs = effects.map((effect) => effect.type === "write" && effect.record.epoch);
      assert.deepEqual(epochs, [8]);
    }
  });

  it("takes a record of its own name as its own only if it can have written it", () => {
    const looking: LeaseState = { ...MEMORY, name: "looking", seen: undefined };
    const fromEarlier = found(reading(record(5, "us")));
    const fromTwin = found(reading(record(6, "us")));
    assert.equal(leaseStep(RULES, looking, fromEarlier).state.name, "taking");
    assert.equal(leaseStep(RULES, looking, fromTwin).state.name, "waiting");
    const fresh = { ...looking, triedEpoch: 0 };
    assert.equal(leaseStep(RULES, fresh, fromTwin).state.name, "taking");
  });

  it("ignores a wall clock that goes back", () => {
    assert.equal(lapse(RULES, TENURE, later(1_000, -3_600_000)), undefined);
  });
});
