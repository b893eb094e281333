/** The lease in a store: which form it takes, and life with Litestream's leaser on the same object. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { isMillraceError } from "../../../errors.ts";
import { systemClock } from "../../../platform/clock.ts";
import { MemoryObjects, openMemoryStore } from "../../../storage/backends/memory/memory.ts";
import type { ObjectStore } from "../../../storage/contract.ts";
import { simulated } from "../../../testing/lease-simulated.ts";
import { Simulation, TTL_MS } from "../../conformance/simulation.ts";
import { openObjectStoreCell } from "./object-store.ts";

function litestream(text: Readonly<Record<string, unknown>>): Uint8Array {
  return new TextEncoder().encode(JSON.stringify(text));
}

interface Place extends AsyncDisposable {
  readonly store: ObjectStore;
  readonly simulation: Simulation;
}

function place(): Place {
  const store = openMemoryStore({ clock: systemClock, objects: new MemoryObjects() });
  const connect = async () => openObjectStoreCell({ store, prefix: "db" });
  const target = { connect, [Symbol.asyncDispose]: async () => {} };
  const simulation = new Simulation({ target, boundToProcess: false, ...simulated });
  const dispose = async (): Promise<void> => {
    await simulation[Symbol.asyncDispose]();
    await store[Symbol.asyncDispose]();
  };
  return { store, simulation, [Symbol.asyncDispose]: dispose };
}

describe("openObjectStoreCell()", () => {
  it("refuses a store without conditional creates, and says what to do", () => {
    const capabilities = { conditionalCreate: false, conditionalReplace: false };
    const store = openMemoryStore({ clock: systemClock, capabilities });
    assert.throws(
      () => openObjectStoreCell({ store }),
      (error) =>
        isMillraceError(error, "lease/unsupported") && /lease: none/.test(error.hint ?? ""),
    );
  });

  it("keeps the record in lock.json, where Litestream's leaser looks for it", async () => {
    await using scene = place();
    await scene.simulation.startHolder("one");
    const text = new TextDecoder().decode(await (await scene.store.get("db/lock.json")).bytes());
    const record = JSON.parse(text) as Record<string, unknown>;
    assert.equal(record["generation"], 1);
    assert.equal(record["owner"], "one");
    assert.ok(Date.parse(String(record["expires_at"])) > 0);
  });

  it("goes on above its epoch when Litestream's leaser took the lease and deleted the object", async () => {
    await using scene = place();
    const { store, simulation } = scene;
    const one = await simulation.startHolder("one", { floorEpoch: 6 });
    assert.equal(one.keeper.epoch, 7);
    const foreign = { generation: 8, expires_at: "2026-01-01T00:00:30Z", owner: "host:1" };
    await store.put("db/lock.json", litestream(foreign));
    await simulation.until("the loss", () => simulation.holder === undefined, TTL_MS);
    await simulation.until(
      "a wait",
      () => one.keeper.problem?.details["owner"] === "host:1",
      TTL_MS,
    );
    await store.delete(["db/lock.json"]);
    await simulation.until("one", () => simulation.holder === one, TTL_MS);
    assert.equal(one.keeper.epoch, 9);
  });

  it("waits out a Litestream holder for Litestream's TTL", async () => {
    await using scene = place();
    const { store, simulation } = scene;
    const foreign = { generation: 4, expires_at: "2026-01-01T00:00:30Z", owner: "host:1" };
    await store.put("db/lock.json", litestream(foreign));
    const one = await simulation.startWaiter("one");
    const passedMs = await simulation.until("one", () => simulation.holder === one, 40_000);
    assert.ok(passedMs >= 29_000 && passedMs <= 31_000, `took ${passedMs} ms`);
    assert.equal(one.keeper.epoch, 5);
  });

  it("never overwrites what it cannot read", async () => {
    await using scene = place();
    const { store, simulation } = scene;
    await store.put("db/lock.json", litestream({ generation: "four" }));
    const one = await simulation.start("one");
    const isTold = (): boolean => one.keeper.problem?.code === "lease/invalid";
    await simulation.until("the problem", isTold, TTL_MS);
    await simulation.runFor(5 * TTL_MS);
    assert.equal(one.cell.log.includes("write"), false);
    await store.delete(["db/lock.json"]);
    await simulation.until("one", () => simulation.holder === one, TTL_MS);
  });
});
