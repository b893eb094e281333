/** What a keeper's user meets: disposal, waiting, errors, options. The life of the lease is in the conformance suite. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { type ErrorCode, isMillraceError, MillraceError } from "../errors.ts";
import { ManualClock } from "../testing/manual-clock.ts";
import { type LeaseCell, type LeaseReading, toVersion } from "./contract.ts";
import type { LeaseKeeperEvent, LeaseKeeperOptions } from "./keeper-options.ts";
import { LeaseKeeper } from "./lease-keeper.ts";
import { NOBODY, openStaticCell } from "./providers/static/static.ts";

const SECRET = "not for messages";

interface Bench {
  readonly keeper: LeaseKeeper;
  readonly clock: ManualClock;
  readonly events: LeaseKeeperEvent[];
  readonly stop: AbortController;
  readonly running: Promise<void>;
}

function start(cell: LeaseCell, options: Partial<LeaseKeeperOptions> = {}): Bench {
  const clock = new ManualClock();
  const events: LeaseKeeperEvent[] = [];
  const keeper = new LeaseKeeper({
    cell,
    name: "main",
    owner: "us",
    clock,
    random: () => 0.5,
    onEvent: (event) => events.push(event),
    ...options,
  });
  const stop = new AbortController();
  return { keeper, clock, events, stop, running: keeper.run(stop.signal) };
}

/** Moves the clock from timer to timer until `condition`. */
async function until({ clock }: Bench, condition: () => boolean): Promise<void> {
  for (let turn = 0; turn < 1_000; turn += 1) {
    await new Promise<void>((resolve) => setImmediate(resolve));
    if (condition()) return;
    clock.advance(clock.nextMs ?? 1);
  }
  assert.fail("the condition never held");
}

function fails(code: ErrorCode): (error: unknown) => boolean {
  return (error) => isMillraceError(error, code);
}

/** Answers `openStaticCell("held")` until told to be silent. */
function silentCell(): LeaseCell & { isSilent: boolean; isClosed: boolean } {
  const inner = openStaticCell("held");
  const never = new Promise<never>(() => {});
  return {
    type: "silent",
    isSilent: false,
    isClosed: false,
    read(call) {
      return this.isSilent ? never : inner.read(call);
    },
    write(record, options) {
      return this.isSilent ? never : inner.write(record, options);
    },
    async [Symbol.asyncDispose]() {
      this.isClosed = true;
    },
  };
}

describe("LeaseKeeper", () => {
  it("check() refuses before the lease was asked for, and afterwards", async () => {
    const bench = start(openStaticCell("held"));
    assert.throws(() => bench.keeper.check(), fails("lease/lost"));
    assert.equal(await bench.keeper.acquired(), 1);
    assert.equal(bench.keeper.check(), 1);
    await bench.keeper[Symbol.asyncDispose]();
    assert.throws(() => bench.keeper.check(), fails("lease/lost"));
    assert.deepEqual(
      bench.events.map(({ type }) => type),
      ["acquired", "released"],
    );
  });

  it("check() names the holder", async () => {
    const bench = start(openStaticCell("never"));
    await until(bench, () => bench.keeper.problem?.code === "lease/held");
    assert.throws(
      () => bench.keeper.check(),
      (error) =>
        isMillraceError(error, "lease/lost") &&
        error.details["holder"] === NOBODY &&
        isMillraceError(error.cause, "lease/held"),
    );
    await bench.keeper[Symbol.asyncDispose]();
  });

  it("acquired() rejects when aborted and when the keeper closes", async () => {
    const bench = start(openStaticCell("never"));
    const reason = new Error("enough");
    await assert.rejects(bench.keeper.acquired({ signal: AbortSignal.abort(reason) }), reason);
    const waiting = assert.rejects(bench.keeper.acquired(), fails("lease/lost"));
    await bench.keeper[Symbol.asyncDispose]();
    await waiting;
  });

  it("run() ends with its signal and keeps the lease for the disposal to give back", async () => {
    const cell = openStaticCell("held");
    const bench = start(cell);
    await bench.keeper.acquired();
    bench.stop.abort();
    await bench.running;
    assert.equal((await cell.read())?.record.expiresAtMs === 0, false);
    await bench.keeper[Symbol.asyncDispose]();
    assert.equal((await cell.read())?.record.expiresAtMs, 0);
  });

  it("disposal is bounded in time when the cell is silent, and may be repeated", async () => {
    const cell = silentCell();
    const bench = start(cell, { releaseTimeoutMs: 2_000 });
    await bench.keeper.acquired();
    cell.isSilent = true;
    const startMs = bench.clock.monotonic();
    const closing = Promise.all([
      bench.keeper[Symbol.asyncDispose](),
      bench.keeper[Symbol.asyncDispose](),
    ]);
    await until(bench, () => cell.isClosed);
    await closing;
    assert.ok(bench.clock.monotonic() - startMs <= 2_000);
  });

  it("disposal of a keeper that never ran makes no request", async () => {
    const cell = silentCell();
    cell.isSilent = true;
    const clock = new ManualClock();
    const keeper = new LeaseKeeper({ cell, name: "x", owner: "us", clock, random: () => 0 });
    await keeper[Symbol.asyncDispose]();
    assert.equal(cell.isClosed, true);
  });

  it("reports trouble once, and its end", async () => {
    const inner = openStaticCell("held");
    let isDown = true;
    const down: LeaseCell = {
      type: "down",
      read: (call) => (isDown ? Promise.reject(new Error(SECRET)) : inner.read(call)),
      write: (record, options) => inner.write(record, options),
      [Symbol.asyncDispose]: async () => {},
    };
    const bench = start(down);
    let countTurns = 0;
    await until(bench, () => (countTurns += 1) > 20);
    isDown = false;
    await until(bench, () => bench.keeper.epoch !== undefined);
    assert.deepEqual(
      bench.events.map(({ type }) => type),
      ["failing", "recovered", "acquired"],
    );
    await bench.keeper[Symbol.asyncDispose]();
  });

  it("does not take a reading for the end of trouble with writing", async () => {
    const inner = openStaticCell("held");
    const readOnly: LeaseCell = {
      type: "read-only",
      read: (call) => inner.read(call),
      write: () => Promise.reject(new MillraceError("storage/permission", "write lease: denied")),
      [Symbol.asyncDispose]: async () => {},
    };
    const bench = start(readOnly);
    let countTurns = 0;
    await until(bench, () => (countTurns += 1) > 50);
    assert.deepEqual(
      bench.events.map(({ type }) => type),
      ["failing"],
    );
    assert.equal(bench.keeper.problem?.code, "storage/permission");
    await bench.keeper[Symbol.asyncDispose]();
  });

  it("refuses times that make no sense", () => {
    const cell = openStaticCell("held");
    const base = { cell, name: "x", owner: "us", clock: new ManualClock(), random: () => 0 };
    for (const wrong of [
      { ttlMs: 10 },
      { ttlMs: Number.NaN },
      { ttlMs: 1e12 },
      { ttlMs: 10_000, marginMs: 6_000 },
      { ttlMs: 10_000, marginMs: 0 },
      { owner: "" },
    ])
      assert.throws(() => new LeaseKeeper({ ...base, ...wrong }), fails("config/invalid"));
  });
});

describe("a keeper that parks", () => {
  /** A cell that counts what it is asked. */
  function countingCell(): LeaseCell & { reads: number; writes: number } {
    let stored: LeaseReading | undefined;
    return {
      type: "counting",
      reads: 0,
      writes: 0,
      async read() {
        this.reads += 1;
        return stored;
      },
      async write(record, { expected }) {
        this.writes += 1;
        if ((stored?.version ?? "absent") !== expected)
          throw new MillraceError("lease/conflict", "write lease: it changed");
        stored = { record, version: toVersion(`v${this.writes}-${record.owner}`) };
        return stored.version;
      },
      async [Symbol.asyncDispose]() {},
    };
  }

  async function turns(): Promise<void> {
    for (let turn = 0; turn < 50; turn += 1)
      await new Promise<void>((resolve) => setImmediate(resolve));
  }

  it("asks nothing while nobody uses it, and goes on with the same epoch", async () => {
    const cell = countingCell();
    const bench = start(cell, { parkAfterMs: 10_000 });
    await until(bench, () => bench.keeper.epoch === 1);
    await until(bench, () => bench.clock.nextMs === undefined);
    const asked = cell.reads + cell.writes;
    bench.clock.advance(3_600_000);
    await turns();
    assert.equal(cell.reads + cell.writes, asked);
    assert.throws(() => bench.keeper.check(), fails("lease/lost"));
    const acquired = bench.keeper.acquired();
    await turns();
    assert.equal(await acquired, 1);
    assert.equal(cell.reads + cell.writes, asked + 1);
    bench.keeper.check();
    await bench.keeper[Symbol.asyncDispose]();
  });

  it("keeps renewing while it is used, however long that takes", async () => {
    const cell = countingCell();
    const bench = start(cell, { parkAfterMs: 10_000 });
    await until(bench, () => bench.keeper.epoch === 1);
    const use = bench.keeper.use();
    for (let minute = 0; minute < 60; minute += 1) {
      for (let step = 0; step < 12; step += 1) {
        bench.clock.advance(5_000);
        await turns();
      }
      bench.keeper.check();
    }
    use[Symbol.dispose]();
    await until(bench, () => bench.clock.nextMs === undefined);
    await bench.keeper[Symbol.asyncDispose]();
  });

  it("finds out when somebody took it meanwhile", async () => {
    const cell = countingCell();
    const first = start(cell, { parkAfterMs: 10_000 });
    await until(first, () => first.keeper.epoch === 1);
    await until(first, () => first.clock.nextMs === undefined);
    const second = start(cell, { owner: "them", parkAfterMs: 10_000 });
    const taken = second.keeper.acquired();
    await until(second, () => second.keeper.epoch !== undefined);
    assert.equal(await taken, 2);
    first.clock.advance(60_000);
    const waiting = first.keeper.acquired();
    await turns();
    assert.equal(first.events.at(-1)?.type, "waiting");
    assert.equal(first.keeper.epoch, undefined);
    await second.keeper[Symbol.asyncDispose]();
    await until(first, () => first.keeper.epoch === 3);
    assert.equal(await waiting, 3);
    await first.keeper[Symbol.asyncDispose]();
  });
});
