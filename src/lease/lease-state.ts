/**
 * The lease as a pure state machine: state, event and time in; next state and effects out.
 *
 * Two rules carry it. A holder's claim counts from the moment *before* its last confirmed write was sent and ends one
 * margin before the TTL; a waiter's patience counts from the moment *after* it first saw a version and ends a full TTL
 * later. Both on their own monotonic clocks, so no two clocks are ever compared. Whatever is late, doubtful or
 * lost is settled by taking the lease anew, with the next epoch.
 * The whole transition table is in docs/formats/lease.md, and a test compares the two.
 */
import { isReleased } from "./contract.ts";
import type { Expected, LeaseReading, LeaseRecord, LeaseVersion } from "./contract.ts";

export interface LeaseRules {
  /** See `LeaseRecord.owner`. */
  readonly owner: string;
  readonly ttlMs: number;
  /** How long before the TTL's end the holder stops writing: room for what clocks and requests drift. */
  readonly marginMs: number;
}

/** When something happened, on both clocks. The wall clock is only a reason to doubt the other one. */
export interface Moment {
  readonly atMs: number;
  readonly wallMs: number;
}

export type LeaseEvent = Moment &
  (
    | { readonly type: "tick" }
    | { readonly type: "read"; readonly reading: LeaseReading | undefined }
    | { readonly type: "written"; readonly version: LeaseVersion }
    | { readonly type: "conflict" }
    | { readonly type: "failed" }
    /** Nobody needs the lease for now. */
    | { readonly type: "park" }
    /** Somebody needs it again. */
    | { readonly type: "resume" }
    | { readonly type: "release" }
  );

export type LostReason =
  /** No renewal was confirmed in time: the store was out of reach, or this process stood still. */
  | "expired"
  /** The wall clock ran ahead of the monotonic one, as after a suspend that the latter did not count. */
  | "clock"
  /** Somebody else's record is in the cell. */
  | "taken";

export type LeaseEffect =
  | { readonly type: "read" }
  | { readonly type: "write"; readonly record: LeaseRecord; readonly expected: Expected }
  | { readonly type: "acquired"; readonly epoch: number }
  | { readonly type: "waiting"; readonly record: LeaseRecord }
  | { readonly type: "lost"; readonly epoch: number; readonly reason: LostReason }
  | { readonly type: "released" };

/** A foreign record, and since when it has not changed before our eyes. */
export interface Sighting {
  readonly reading: LeaseReading;
  readonly sinceMs: number;
}

/** A write whose answer is awaited, or never came. */
export interface Attempt extends Moment {
  readonly record: LeaseRecord;
}

/** What a holder has: the record, and when the write that put it there was sent. */
export interface Tenure extends Attempt {
  readonly version: LeaseVersion;
}

interface Memory {
  /** The highest epoch seen, or given as the floor. */
  readonly highestEpoch: number;
  /** The highest epoch that this machine tried to take; 0 before the first. */
  readonly triedEpoch: number;
}

export type LeaseState = Memory &
  (
    | { readonly name: "idle" }
    | { readonly name: "looking"; readonly seen: Sighting | undefined }
    | { readonly name: "waiting"; readonly seen: Sighting }
    | { readonly name: "taking"; readonly seen: Sighting | undefined; readonly attempt: Attempt }
    | { readonly name: "held"; readonly tenure: Tenure }
    | { readonly name: "renewing"; readonly tenure: Tenure; readonly attempt: Attempt }
    | { readonly name: "late"; readonly tenure: Tenure; readonly attempt: Attempt }
    | { readonly name: "checking"; readonly tenure: Tenure; readonly attempt: Attempt }
    /** Held as long as its time lasts, and not renewed: the record stays, and whoever waits for it may take it then. */
    | { readonly name: "parked"; readonly tenure: Tenure }
    /** The record is renewed as it was left: if it still is ours, nobody wrote in between, and the epoch goes on. */
    | { readonly name: "resuming"; readonly tenure: Tenure; readonly attempt: Attempt }
    | { readonly name: "releasing" }
    | { readonly name: "released" }
  );

type StateOf<Name extends LeaseState["name"]> = Extract<LeaseState, { readonly name: Name }>;
type HoldingState = StateOf<"held" | "renewing" | "late" | "checking">;
type ParkedState = StateOf<"parked" | "resuming">;

export interface LeaseStep {
  readonly state: LeaseState;
  readonly effects: readonly LeaseEffect[];
}

/** Before anything was read. `floorEpoch`: an epoch that was in use and must not come again. */
export function initialLease(floorEpoch = 0): LeaseState {
  return { name: "idle", highestEpoch: floorEpoch, triedEpoch: 0 };
}

/** Monotonic time up to which the holder may write. */
export function heldUntilMs(rules: LeaseRules, held: Moment): number {
  return held.atMs + rules.ttlMs - rules.marginMs;
}

/** Why a tenure does not count at `now`; `undefined` while it does. */
export function lapse(rules: LeaseRules, held: Moment, now: Moment): LostReason | undefined {
  if (now.atMs >= heldUntilMs(rules, held)) return "expired";
  const unseenMs = now.wallMs - held.wallMs - (now.atMs - held.atMs);
  return unseenMs > rules.marginMs ? "clock" : undefined;
}

/** The tenure of a state that has one. */
export function tenureOf(state: LeaseState): Tenure | undefined {
  return "tenure" in state ? state.tenure : undefined;
}

/** The next state. An event that cannot occur in a state changes nothing. */
export function leaseStep(rules: LeaseRules, state: LeaseState, event: LeaseEvent): LeaseStep {
  if (event.type === "release") return release(state);
  switch (state.name) {
    case "idle":
    case "waiting":
      return event.type === "tick" ? look(state) : stay(state);
    case "looking":
      return looked(rules, state, event);
    case "taking":
      return taken(rules, state, event);
    case "held":
    case "renewing":
    case "late":
    case "checking":
      return holding(rules, state, event);
    case "parked":
      return event.type === "resume" ? resume(rules, state, event) : stay(state);
    case "resuming":
      return resumed(rules, state, event);
    case "releasing":
      return releasing(rules, state, event);
    case "released":
      break;
  }
  return stay(state);
}

function holding(rules: LeaseRules, state: HoldingState, event: LeaseEvent): LeaseStep {
  const why = lapse(rules, state.tenure, event);
  // An answer that comes when the claim is over is not believed: others may act by now.
  if (why !== undefined) return lose(state, why);
  switch (state.name) {
    case "held":
      if (event.type === "park") return stay({ ...state, name: "parked" });
      return event.type === "tick" ? renew(rules, state, state.tenure, event) : stay(state);
    case "late":
      return event.type === "tick"
        ? { state: { ...state, name: "checking" }, effects: [{ type: "read" }] }
        : stay(state);
    case "renewing":
      if (event.type === "written")
        return hold(state, { ...state.attempt, version: event.version }, []);
      if (event.type === "conflict") return lose(state, "taken");
      return event.type === "failed" ? stay({ ...state, name: "late" }) : stay(state);
    case "checking":
      if (event.type === "read") return checked(rules, state, event.reading, event);
      if (event.type === "failed") return stay({ ...state, name: "late" });
      break;
  }
  return stay(state);
}

function looked(rules: LeaseRules, state: StateOf<"looking">, event: LeaseEvent): LeaseStep {
  if (event.type === "failed") return stay(rest(state, state.seen));
  if (event.type !== "read") return stay(state);
  const { reading } = event;
  if (reading === undefined) return take(rules, state, undefined, event);
  const isSame = state.seen?.reading.version === reading.version;
  const seen = isSame && state.seen !== undefined ? state.seen : { reading, sinceMs: event.atMs };
  const { record } = reading;
  const isSilent = event.atMs - seen.sinceMs >= record.ttlMs;
  if (isReleased(record) || isOwn(rules, state, record) || isSilent)
    return take(rules, state, seen, event);
  const next: LeaseState = { ...remember(state, record), name: "waiting", seen };
  const before = state.seen?.reading.record;
  const isNews = before?.owner !== record.owner || before.epoch !== record.epoch;
  return { state: next, effects: isNews ? [{ type: "waiting", record }] : [] };
}

function taken(rules: LeaseRules, state: StateOf<"taking">, event: LeaseEvent): LeaseStep {
  if (event.type === "written") {
    if (lapse(rules, state.attempt, event) !== undefined) return look(rest(state, undefined));
    const { epoch } = state.attempt.record;
    const tenure = { ...state.attempt, version: event.version };
    return hold(state, tenure, [{ type: "acquired", epoch }]);
  }
  // Somebody is alive: whatever was seen is old, and the count begins anew.
  if (event.type === "conflict") return stay(rest(state, undefined));
  return stay(event.type === "failed" ? rest(state, state.seen) : state);
}

/** What became of the renewal that got no answer. */
function checked(
  rules: LeaseRules,
  state: StateOf<"checking">,
  reading: LeaseReading | undefined,
  now: Moment,
): LeaseStep {
  const { tenure, attempt } = state;
  const { epoch, owner, renewals } = reading?.record ?? {};
  if (reading === undefined || owner !== rules.owner || epoch !== tenure.record.epoch)
    return lose(state, "taken");
  if (renewals === attempt.record.renewals)
    return hold(state, { ...attempt, version: reading.version }, []);
  return renew(rules, state, { ...tenure, version: reading.version }, now);
}

function resumed(rules: LeaseRules, state: StateOf<"resuming">, event: LeaseEvent): LeaseStep {
  if (event.type === "conflict") return lose(state, "taken");
  if (event.type === "failed") return look(rest(state, undefined));
  if (event.type !== "written") return stay(state);
  if (lapse(rules, state.attempt, event) !== undefined) return look(rest(state, undefined));
  return hold(state, { ...state.attempt, version: event.version }, []);
}

function releasing(rules: LeaseRules, state: StateOf<"releasing">, event: LeaseEvent): LeaseStep {
  switch (event.type) {
    case "read": {
      const { reading } = event;
      const isOurs = reading !== undefined && isOwn(rules, state, reading.record);
      if (!isOurs || isReleased(reading.record)) return end(state);
      return { state, effects: [giveBack(reading.record, reading.version)] };
    }
    case "conflict":
      return { state, effects: [{ type: "read" }] };
    case "written":
    case "failed": // The TTL frees what could not be given back.
      return end(state);
    case "tick":
    case "park":
    case "resume":
    case "release":
      break;
  }
  return stay(state);
}

function release(state: LeaseState): LeaseStep {
  if (state.name === "releasing" || state.name === "released") return stay(state);
  if (state.triedEpoch === 0) return end(state);
  const next: LeaseState = { ...memoryOf(state), name: "releasing" };
  if (state.name !== "held" && state.name !== "parked")
    return { state: next, effects: [{ type: "read" }] };
  const { record, version } = state.tenure;
  return { state: next, effects: [giveBack(record, version)] };
}

function take(
  rules: LeaseRules,
  from: LeaseState,
  seen: Sighting | undefined,
  now: Moment,
): LeaseStep {
  const memory = remember(from, seen?.reading.record);
  const epoch = memory.highestEpoch + 1;
  const record = recordOf(rules, now, { epoch, renewals: 0 });
  const { atMs, wallMs } = now;
  return {
    state: {
      highestEpoch: epoch,
      triedEpoch: epoch,
      name: "taking",
      seen,
      attempt: { record, atMs, wallMs },
    },
    effects: [{ type: "write", record, expected: seen?.reading.version ?? "absent" }],
  };
}

function renew(rules: LeaseRules, from: LeaseState, tenure: Tenure, now: Moment): LeaseStep {
  const { attempt, effects } = renewal(rules, tenure, now);
  return { state: { ...memoryOf(from), name: "renewing", tenure, attempt }, effects };
}

function resume(rules: LeaseRules, from: StateOf<"parked">, now: Moment): LeaseStep {
  const { attempt, effects } = renewal(rules, from.tenure, now);
  return { state: { ...from, name: "resuming", attempt }, effects };
}

function renewal(
  rules: LeaseRules,
  { record: last, version }: Tenure,
  { atMs, wallMs }: Moment,
): { readonly attempt: Attempt; readonly effects: readonly LeaseEffect[] } {
  const { epoch, renewals } = last;
  const record = recordOf(rules, { atMs, wallMs }, { epoch, renewals: renewals + 1 });
  return {
    attempt: { record, atMs, wallMs },
    effects: [{ type: "write", record, expected: version }],
  };
}

function lose(state: HoldingState | ParkedState, reason: LostReason): LeaseStep {
  const lost: LeaseEffect = { type: "lost", epoch: state.tenure.record.epoch, reason };
  const { state: next, effects } = look(rest(state, undefined));
  return { state: next, effects: [lost, ...effects] };
}

function hold(from: LeaseState, tenure: Tenure, effects: readonly LeaseEffect[]): LeaseStep {
  return { state: { ...memoryOf(from), name: "held", tenure }, effects };
}

function look(state: LeaseState): LeaseStep {
  const seen = "seen" in state ? state.seen : undefined;
  return { state: { ...memoryOf(state), name: "looking", seen }, effects: [{ type: "read" }] };
}

function rest(from: LeaseState, seen: Sighting | undefined): LeaseState {
  const memory = memoryOf(from);
  return seen === undefined ? { ...memory, name: "idle" } : { ...memory, name: "waiting", seen };
}

function stay(state: LeaseState): LeaseStep {
  return { state, effects: [] };
}

function end(state: LeaseState): LeaseStep {
  return { state: { ...memoryOf(state), name: "released" }, effects: [{ type: "released" }] };
}

/**
 * A record of ours from an earlier life, or from an attempt of this one. One with our name and an epoch that this
 * machine never tried was written by somebody who was given the same name, and is treated as anybody's.
 */
function isOwn(rules: LeaseRules, memory: Memory, record: LeaseRecord): boolean {
  if (record.owner !== rules.owner) return false;
  return memory.triedEpoch === 0 || record.epoch <= memory.triedEpoch;
}

function recordOf(
  rules: LeaseRules,
  now: Moment,
  fields: Pick<LeaseRecord, "epoch" | "renewals">,
): LeaseRecord {
  const { owner, ttlMs } = rules;
  return { ...fields, owner, expiresAtMs: now.wallMs + ttlMs, ttlMs };
}

function giveBack(record: LeaseRecord, expected: LeaseVersion): LeaseEffect {
  return { type: "write", record: { ...record, expiresAtMs: 0 }, expected };
}

function remember(state: Memory, record: LeaseRecord | undefined): Memory {
  const { highestEpoch, triedEpoch } = state;
  return { highestEpoch: Math.max(highestEpoch, record?.epoch ?? 0), triedEpoch };
}

function memoryOf(state: Memory): Memory {
  return remember(state, undefined);
}
