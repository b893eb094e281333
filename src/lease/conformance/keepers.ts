/** What keepers on a provider's cells have to do, with time simulated. */
import assert from "node:assert/strict";
import { isMillraceError } from "../../errors.ts";
import type { LeaseCheck } from "./context.ts";
import { Simulation, TTL_MS } from "./simulation.ts";
import type { SimulatedProcess } from "./simulated-process.ts";

/** What the promise of takeover allows on top of the TTL. */
const TAKEOVER_SLACK_MS = 1_000;

const HOUR_MS = 3_600_000;

function lostReasons({ events }: SimulatedProcess): string[] {
  return events.flatMap((event) => (event.type === "lost" ? [event.reason] : []));
}

function assertRefuses(process: SimulatedProcess): void {
  assert.equal(process.keeper.epoch, undefined);
  assert.throws(
    () => process.keeper.check(),
    (error) => isMillraceError(error, "lease/lost"),
  );
}

export function keeperTests(check: LeaseCheck): void {
  check("a lone keeper takes the lease once and keeps it", async (context) => {
    await using simulation = new Simulation(context);
    const one = await simulation.startHolder("one");
    await simulation.runFor(10 * TTL_MS);
    assert.deepEqual(
      simulation.holds.map(({ epoch }) => epoch),
      [1],
    );
    assert.equal(one.keeper.check(), 1);
    assert.equal(await one.keeper.acquired(), 1);
    assert.deepEqual(one.events, [{ type: "acquired", epoch: 1 }]);
  });

  check("the epoch begins above the caller's floor", async (context) => {
    await using simulation = new Simulation(context);
    const one = await simulation.startHolder("one", { floorEpoch: 41 });
    assert.equal(one.keeper.epoch, 42);
  });

  check("a waiter says who holds the lease, and may not write", async (context) => {
    await using simulation = new Simulation(context);
    await simulation.startHolder("one");
    const two = await simulation.startWaiter("two");
    await simulation.runFor(3 * TTL_MS);
    assertRefuses(two);
    assert.deepEqual(
      two.events.map((event) => (event.type === "waiting" ? event.owner : event.type)),
      ["one"],
    );
    assert.equal(two.keeper.problem?.details["owner"], "one");
  });

  check("a released lease is taken within a second, with the next epoch", async (context) => {
    await using simulation = new Simulation(context);
    const one = await simulation.startHolder("one");
    const two = await simulation.startWaiter("two");
    await one.end();
    const passedMs = await simulation.until("two", () => two === simulation.holder, TTL_MS);
    assert.ok(passedMs <= TAKEOVER_SLACK_MS, `took ${passedMs} ms`);
    assert.equal(two.keeper.epoch, 2);
  });

  check(
    "a holder's own successor takes the lease at once, with the next epoch",
    async (context) => {
      await using simulation = new Simulation(context);
      await (await simulation.startHolder("one")).kill();
      const again = await simulation.start("one");
      const passedMs = await simulation.until("one", () => again === simulation.holder, TTL_MS);
      assert.ok(passedMs <= TAKEOVER_SLACK_MS, `took ${passedMs} ms`);
      assert.equal(again.keeper.epoch, 2);
    },
  );

  check("a silent lease is taken after its TTL and within a second more", async (context) => {
    for (const seed of [1, 2, 3, 4]) {
      const simulation = new Simulation(context, seed);
      const one = await simulation.startHolder(`one-${seed}`);
      const two = await simulation.startWaiter(`two-${seed}`);
      await simulation.runFor(TTL_MS * (1 + simulation.random()));
      await one.kill();
      const last = one.cell.written.at(-1)?.sentMs ?? 0;
      await simulation.until("two", () => two === simulation.holder, 2 * TTL_MS);
      const silentMs = simulation.nowMs - last;
      assert.ok(silentMs <= TTL_MS + TAKEOVER_SLACK_MS, `taken ${silentMs} ms after the renewal`);
      if (!context.boundToProcess) assert.ok(silentMs >= TTL_MS, `taken after only ${silentMs} ms`);
      await simulation[Symbol.asyncDispose]();
    }
  });

  check("eight contenders: one writer at any time, epochs strictly grow", async (context) => {
    await using simulation = new Simulation(context, 8);
    const { random } = simulation;
    const names = Array.from({ length: 8 }, (_, index) => `contender-${index}`);
    const running = new Map<string, SimulatedProcess>();
    const start = async (name: string): Promise<void> => {
      const wallOffsetMs = (random() - 0.5) * HOUR_MS;
      running.set(name, await simulation.start(name, { wallOffsetMs }));
    };
    for (const name of names) await start(name);
    for (let round = 0; round < 12; round += 1) {
      await simulation.until("anybody", () => simulation.holder !== undefined, 3 * TTL_MS);
      const { holder } = simulation;
      assert.ok(holder !== undefined);
      await simulation.runFor(TTL_MS * random());
      if (round % 3 === 0) await holder.end();
      else if (round % 3 === 1 || context.boundToProcess) await holder.kill();
      else {
        holder.freeze();
        await simulation.runFor(TTL_MS * (1 + random()));
        holder.thaw();
        simulation.observe();
      }
      if (holder.isEnded) await start(holder.owner);
    }
    assert.ok(simulation.holds.length >= 12, `${simulation.holds.length} changes of holder`);
  });

  for (const slowPart of [0.1, 0.4, 0.7]) {
    check(
      `contenders on a store that is slow in ${slowPart * 100} % of requests`,
      async (context) => {
        await using simulation = new Simulation(context, slowPart * 100);
        const { random } = simulation;
        const processes: SimulatedProcess[] = [];
        for (let index = 0; index < 5; index += 1) {
          const process = await simulation.start(`slow-${index}`);
          // Requests outlive their callers: some arrive when their sender has long given up.
          process.cell.delayMs = () =>
            random() < slowPart ? TTL_MS * random() ** 2 : 50 * random();
          processes.push(process);
        }
        for (let round = 0; round < 24; round += 1) {
          await simulation.runFor(TTL_MS * random());
          const stopped = simulation.holder;
          if (stopped === undefined || context.boundToProcess) continue;
          if (random() < 0.5) stopped.freeze();
          else stopped.cell.fault = "unreachable";
          await simulation.runFor(2 * TTL_MS * random());
          stopped.cell.fault = undefined;
          stopped.thaw();
          simulation.observe();
        }
        for (const { cell } of processes) cell.delayMs = undefined;
        await simulation.until("anybody", () => simulation.holder !== undefined, 4 * TTL_MS);
      },
    );
  }

  check("contenders that rest when idle, on a slow store", async (context) => {
    await using simulation = new Simulation(context, 3);
    const { random } = simulation;
    const processes: SimulatedProcess[] = [];
    for (let index = 0; index < 4; index += 1) {
      const process = await simulation.start(`idle-${index}`, { parkAfterMs: TTL_MS / 3 });
      process.cell.delayMs = () => (random() < 0.2 ? TTL_MS * random() ** 2 : 50 * random());
      processes.push(process);
    }
    for (let round = 0; round < 30; round += 1) {
      const uses = processes.flatMap(({ keeper }) => (random() < 0.4 ? [keeper.use()] : []));
      await simulation.runFor(TTL_MS * random());
      const stopped = context.boundToProcess || random() < 0.7 ? undefined : simulation.holder;
      stopped?.freeze();
      for (const use of uses) use[Symbol.dispose]();
      await simulation.runFor(2 * TTL_MS * random());
      stopped?.thaw();
      simulation.observe();
    }
    const uses = processes.map(({ cell, keeper }) => {
      cell.delayMs = undefined;
      return keeper.use();
    });
    await simulation.until("anybody", () => simulation.holder !== undefined, 4 * TTL_MS);
    for (const use of uses) use[Symbol.dispose]();
    assert.ok(context.boundToProcess || simulation.holds.length >= 3);
  });

  check("a lost answer to an acquisition is resolved", async (context) => {
    await using simulation = new Simulation(context);
    const one = await simulation.start("one");
    one.cell.fault = "lost-answers";
    await simulation.until("a write", () => one.cell.written.length > 0, TTL_MS);
    one.cell.fault = undefined;
    await simulation.until("one", () => one === simulation.holder, TTL_MS);
  });

  check("lost answers to renewals are resolved by reading", async (context) => {
    await using simulation = new Simulation(context);
    const one = await simulation.startHolder("one");
    one.cell.fault = "lost-answers";
    const two = await simulation.startWaiter("two");
    await simulation.runFor(5 * TTL_MS);
    assert.equal(one.keeper.epoch, 1);
    assert.deepEqual(lostReasons(one), []);
    assertRefuses(two);
  });

  for (const fault of ["unreachable", "hanging"] as const) {
    check(
      `a store that is ${fault} ends the claim before the TTL, and nothing else`,
      async (context) => {
        await using simulation = new Simulation(context);
        const one = await simulation.startHolder("one");
        await simulation.runFor(TTL_MS / 2);
        one.cell.fault = fault;
        const lastMs = one.cell.written.at(-1)?.sentMs ?? 0;
        await simulation.until("the loss", () => lostReasons(one).length > 0, TTL_MS);
        assert.ok(simulation.nowMs - lastMs < TTL_MS, "lost before others may take it");
        assertRefuses(one);
        assert.deepEqual(lostReasons(one), ["expired"]);
        await simulation.runFor(3 * TTL_MS);
        assert.equal(one.keeper.problem?.code, "lease/unavailable");
        one.cell.fault = undefined;
        await simulation.until("one", () => one === simulation.holder, TTL_MS);
        assert.equal(one.keeper.epoch, 2);
        assert.equal(one.keeper.problem, undefined);
      },
    );
  }

  check("a claim is over the moment its time is, whatever the loop does", async (context) => {
    await using simulation = new Simulation(context);
    const one = await simulation.startHolder("one");
    one.freeze();
    const lastMs = one.cell.written.at(-1)?.sentMs ?? 0;
    simulation.clock.advance(lastMs + TTL_MS * 0.9 - 1 - simulation.nowMs);
    assert.equal(one.keeper.check(), 1);
    simulation.clock.advance(1);
    assertRefuses(one);
    one.thaw();
  });

  check(
    "a claim counts from before the renewal was sent, however long its answer takes",
    async (context) => {
      await using simulation = new Simulation(context);
      const one = await simulation.startHolder("one");
      one.cell.delayMs = () => TTL_MS / 5;
      const before = one.cell.written.length;
      await simulation.until("a renewal", () => one.cell.written.length > before, TTL_MS);
      const sentMs = one.cell.written.at(-1)?.sentMs ?? 0;
      one.cell.fault = "unreachable";
      await simulation.until("the loss", () => lostReasons(one).length > 0, 2 * TTL_MS);
      assert.ok(simulation.nowMs - sentMs <= TTL_MS * 0.9, `held ${simulation.nowMs - sentMs} ms`);
    },
  );

  check("a process that stood still past its TTL reads before it writes", async (context) => {
    await using simulation = new Simulation(context);
    const one = await simulation.startHolder("one");
    one.freeze();
    await simulation.runFor(2 * TTL_MS);
    one.cell.log.length = 0;
    one.thaw();
    assertRefuses(one);
    await simulation.until("one", () => one === simulation.holder, TTL_MS);
    assert.equal(one.cell.log[0], "read");
    assert.equal(one.keeper.epoch, 2, "nobody took it: it is taken anew");
    assert.deepEqual(lostReasons(one), ["expired"]);
  });

  check("a process that was succeeded while it stood still says by whom", async (context) => {
    if (context.boundToProcess) return;
    await using simulation = new Simulation(context);
    const one = await simulation.startHolder("one");
    const two = await simulation.startWaiter("two");
    one.freeze();
    await simulation.until("two", () => two === simulation.holder, 2 * TTL_MS);
    one.cell.log.length = 0;
    one.thaw();
    assertRefuses(one);
    await simulation.until("one waits", () => one.events.at(-1)?.type === "waiting", TTL_MS);
    assert.deepEqual(one.cell.log, ["read"]);
    assert.equal(one.keeper.problem?.details["owner"], "two");
    await simulation.runFor(3 * TTL_MS);
    assert.equal(two.keeper.epoch, 2);
  });

  check("a suspend that the monotonic clock did not count is noticed", async (context) => {
    await using simulation = new Simulation(context);
    const one = await simulation.startHolder("one");
    const two = await simulation.startWaiter("two");
    one.freeze();
    if (context.boundToProcess) await simulation.runFor(2 * TTL_MS);
    else await simulation.until("two", () => two === simulation.holder, 2 * TTL_MS);
    const suspendedMs = simulation.nowMs - (one.cell.written.at(-1)?.sentMs ?? 0);
    one.cell.log.length = 0;
    one.thaw(suspendedMs);
    assertRefuses(one);
    await simulation.until("the loss", () => lostReasons(one).length > 0, TTL_MS);
    assert.deepEqual(lostReasons(one), ["clock"]);
    await simulation.until("an answer", () => one.cell.log.length > 0, TTL_MS);
    assert.equal(one.cell.log[0], "read");
  });

  check("wall clocks that jump change no holder", async (context) => {
    for (const byMs of [HOUR_MS, -HOUR_MS]) {
      for (const who of ["holder", "waiter"] as const) {
        const name = `${who} ${byMs}`;
        const simulation = new Simulation(context, 5);
        const one = await simulation.startHolder(`one, ${name}`);
        const two = await simulation.startWaiter(`two, ${name}`);
        (who === "holder" ? one : two).clock.wallOffsetMs += byMs;
        await simulation.runFor(4 * TTL_MS);
        assert.equal(simulation.holder, one, name);
        assertRefuses(two);
        // Only a holder whose clock ran ahead has a reason to doubt: it asks, and takes anew what nobody took.
        const isDoubt = who === "holder" && byMs > 0;
        assert.deepEqual(lostReasons(one), isDoubt ? ["clock"] : [], name);
        await simulation[Symbol.asyncDispose]();
      }
    }
  });
}
