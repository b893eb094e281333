/** [D8] Shipping under a permit: who has none writes nothing, who gets one looks first. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { Signal } from "../base/async.ts";
import { MillraceError } from "../errors.ts";
import { ManualClock } from "../testing/manual-clock.ts";
import { answer, Destination, ShipHarness, until } from "../testing/ship-harness.ts";
import type { WritePermit } from "./permit.ts";

/** One token that passes between processes. */
class Token {
  #holder: string | undefined;
  #epoch = 0;
  readonly #changed = new Signal();
  /** Uses in progress. */
  uses = 0;

  give(holder: string | undefined): void {
    this.#holder = holder;
    this.#epoch += 1;
    this.#changed.notify();
  }

  permitFor(name: string): WritePermit {
    const isHeld = (): boolean => this.#holder === name;
    const holder = (): string => this.#holder ?? "nobody";
    const ensure = async (signal: AbortSignal | undefined): Promise<number> => {
      while (!isHeld()) await this.#changed.wait({ signal });
      return this.#epoch;
    };
    return {
      ensure,
      check: () => {
        if (!isHeld()) throw new MillraceError("lease/lost", "check lease: it is not held now");
      },
      use: () => {
        this.uses += 1;
        return { [Symbol.dispose]: () => void (this.uses -= 1) };
      },
      get problem() {
        return isHeld()
          ? undefined
          : new MillraceError("lease/held", `take lease: "${holder()}" holds it`);
      },
      isExclusive: true,
    };
  }
}

describe("a shipper with a permit", () => {
  test("waits without a request until it has it, and says who has it instead", async () => {
    const token = new Token();
    token.give("other");
    await using ship = new ShipHarness({ permit: token.permitFor("me") });
    ship.commit(2);
    ship.run();
    await until(() => ship.shipper.position().state === "standby", "it waits");
    assert.equal(ship.shipper.position().error?.code, "lease/held");
    assert.equal(ship.store.countRequests, 0);
    token.give("me");
    await ship.shipper.drain();
    assert.equal(await ship.destination.names(), "1 2");
    assert.equal(token.uses, 0);
  });

  test("that loses it in the middle writes nothing more, and goes on when it has it again", async () => {
    const token = new Token();
    token.give("me");
    await using ship = new ShipHarness({ permit: token.permitFor("me") });
    ship.commit(1);
    await ship.settle();
    token.give("other");
    ship.commit(1);
    ship.run();
    await until(() => ship.shipper.position().state === "standby", "it waits");
    assert.equal(await ship.destination.names(), "1");
    token.give("me");
    await ship.shipper.drain();
    assert.equal(await ship.destination.names(), "1 2");
    await ship.assertRestores();
  });

  test("that loses it after it waited is stopped by the check before the write", async () => {
    const token = new Token();
    token.give("me");
    const permit = token.permitFor("me");
    let isLosing = false;
    const late: WritePermit = {
      ...permit,
      isExclusive: true,
      problem: undefined,
      use: () => {
        if (isLosing) token.give("other");
        return permit.use();
      },
    };
    await using ship = new ShipHarness({ permit: late });
    ship.commit(1);
    await ship.settle();
    isLosing = true;
    ship.commit(1);
    assert.deepEqual(await ship.shipper.step(), { kind: "worked" });
    assert.equal(await ship.destination.names(), "1");
  });

  test("looks again at a destination that another one had meanwhile, and goes on after it", async () => {
    const token = new Token();
    const destination = new Destination(new ManualClock());
    await using first = new ShipHarness({ destination, permit: token.permitFor("first") });
    token.give("first");
    first.commit(3);
    await first.settle();
    const maker = first.maker.fork({ directory: `${first.maker.directory}/second`, seed: 77 });
    await using second = new ShipHarness({
      destination,
      maker,
      permit: token.permitFor("second"),
      line: { anchor: { txid: maker.txid, checksum: maker.checksum } },
    });
    token.give("second");
    second.commit(2);
    await second.settle();
    assert.equal(await destination.names(), "1 2 3 4 5");
    first.commit(1);
    token.give("first");
    await first.settle();
    const [ahead] = first.told("remote-ahead");
    assert.ok(ahead?.type === "remote-ahead" && ahead.remoteMaxTxid === 5n);
    assert.equal(first.told("conflict").length, 0);
  });

  test("forgives the last file of the one before, but nobody who goes on writing", async () => {
    const token = new Token();
    token.give("me");
    await using ship = new ShipHarness({ permit: token.permitFor("me") });
    ship.commit(1);
    await ship.settle();
    const stray = ship.maker.fork({ directory: `${ship.maker.directory}/stray`, seed: 5 });
    const outcomes: string[] = [];
    for (let round = 0; round < 5 && !ship.shipper.stopped; round += 1) {
      stray.moveTo(ship.maker.txid);
      await ship.destination.put(stray, stray.commit());
      ship.commit(1);
      outcomes.push((await ship.settle()).kind);
      answer(ship);
      await ship.settle();
    }
    assert.deepEqual(outcomes, ["waiting", "waiting", "waiting", "stopped"]);
    assert.equal(ship.told("conflict").length, 1);
  });
});
