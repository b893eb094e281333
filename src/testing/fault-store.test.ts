/** The fault store: without faults it is its inner store; with them it does what its fault model says. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { Clock } from "../base/clock.ts";
import { isMillraceError } from "../errors.ts";
import { systemClock } from "../platform/clock.ts";
import { MemoryObjects, openMemoryStore } from "../storage/backends/memory/memory.ts";
import { storageConformance } from "../storage/conformance/suite.ts";
import {
  assertBytes,
  assertFails,
  assertThrows,
  collect,
  cut,
  keysOf,
  pattern,
  read,
  streamOf,
} from "../storage/conformance/support.ts";
import {
  allFail,
  type Fault,
  type FaultPlan,
  scriptedFaults,
  seededFaults,
  type StoreOperation,
} from "./fault-store-plan.ts";
import { FaultStore } from "./fault-store.ts";

storageConformance("fault-store", async () => {
  const objects = new MemoryObjects();
  return {
    connect: async () => new FaultStore(openMemoryStore({ clock: systemClock, objects })),
    [Symbol.asyncDispose]: async () => {},
  };
});

function open(plan?: FaultPlan, clock?: Clock): FaultStore {
  return new FaultStore(openMemoryStore({ clock: systemClock }), { plan, clock });
}

function once(operation: StoreOperation, fault: Fault): FaultPlan {
  return scriptedFaults([{ operation, fault }]);
}

describe("FaultStore faults", () => {
  it("before: nothing happened", async () => {
    await using store = open();
    await store.put("a", pattern(10));
    const calls = {
      get: () => store.get("a"),
      head: () => store.head("a"),
      put: () => store.put("b", pattern(1)),
      list: () => keysOf(store),
      delete: () => store.delete(["a"]),
    };
    for (const [operation, call] of Object.entries(calls)) {
      store.plan = once(operation as StoreOperation, { kind: "before" });
      await assertFails("storage/unavailable", call, operation);
      assert.deepEqual(await keysOf(store), ["a"]);
    }
    assert.equal(store.countFaults, 5);
  });

  it("before: with the code of the plan", async () => {
    await using store = open(once("put", { kind: "before", code: "storage/permission" }));
    await assertFails("storage/permission", () => store.put("a", pattern(1)));
  });

  it("after: the put or delete happened, and a conditional retry finds out", async () => {
    await using store = open(once("put", { kind: "after" }));
    await assertFails("storage/unavailable", () => store.put("a", pattern(10), { ifAbsent: true }));
    await assertFails("storage/exists", () => store.put("a", pattern(10), { ifAbsent: true }));
    store.plan = once("delete", { kind: "after" });
    await assertFails("storage/unavailable", () => store.delete(["a"]));
    assert.deepEqual(await keysOf(store), []);
  });

  it("reset and truncate: a get delivers some bytes and then fails", async () => {
    await using store = open();
    const whole = pattern(1_000_000);
    await store.put("a", whole);
    for (const [kind, code] of [
      ["reset", "storage/unavailable"],
      ["truncate", "storage/truncated"],
    ] as const) {
      for (const after of [0, 1, 300_000, 999_999, 1_000_000]) {
        store.plan = once("get", { kind, after });
        const parts: Uint8Array[] = [];
        await assertFails(code, async () => {
          for await (const chunk of await store.get("a")) parts.push(chunk);
        });
        assertBytes(Buffer.concat(parts), whole.slice(0, after));
        store.plan = once("get", { kind, after });
        await assertFails(code, () => read(store, "a"));
      }
    }
  });

  it("reset and disk-full: a put takes some bytes, closes its source and stores nothing", async () => {
    for (const [kind, code] of [
      ["reset", "storage/unavailable"],
      ["disk-full", "fs/disk-full"],
    ] as const) {
      await using store = open(once("put", { kind, after: 25_000 }));
      let countTaken = 0;
      let isClosed = false;
      const source = {
        sizeBytes: 100_000,
        open: async function* () {
          try {
            for (const chunk of cut(pattern(100_000), 10_000)) {
              countTaken += chunk.length;
              yield await Promise.resolve(chunk);
            }
          } finally {
            isClosed = true;
          }
        },
      };
      await assertFails(code, () => store.put("a", source));
      assert.deepEqual([countTaken, isClosed, await keysOf(store)], [30_000, true, []]);
    }
  });

  it("reset: a list delivers some items, a delete deletes some keys", async () => {
    await using store = open();
    for (const key of ["a", "b", "c"]) await store.put(key, pattern(1));
    store.plan = once("list", { kind: "reset", after: 2 });
    const seen: string[] = [];
    await assertFails("storage/unavailable", async () => {
      for await (const { key } of store.list("")) seen.push(key);
    });
    assert.deepEqual(seen, ["a", "b"]);
    store.plan = once("delete", { kind: "reset", after: 1 });
    await assertFails("storage/unavailable", () => store.delete(["b", "c"]));
    assert.deepEqual(await keysOf(store), ["a", "c"]);
  });

  it("short: a get ends early without a word", async () => {
    await using store = open();
    await store.put("a", pattern(1_000));
    store.plan = once("get", { kind: "short", after: 400 });
    assertBytes(await collect(await store.get("a")), pattern(1_000).slice(0, 400));
  });

  it("flip: one bit is wrong, in what is delivered or in what is stored", async () => {
    await using store = open();
    const whole = pattern(600_000);
    const wrong = whole.slice();
    wrong[500_000] = (wrong[500_000] ?? 0) ^ 1;
    await store.put("a", whole);
    store.plan = once("get", { kind: "flip", after: 500_000 });
    assertBytes(await read(store, "a"), wrong);
    assertBytes(await read(store, "a"), whole);
    for (const body of [whole, streamOf(cut(whole, 70_000))]) {
      store.plan = once("put", { kind: "flip", after: 500_000 });
      await store.put("b", body);
      assertBytes(await read(store, "b"), wrong);
    }
    assertBytes(whole, pattern(600_000), "the caller's buffer");
  });

  it("hang: ends when aborted, and when the store closes", async () => {
    const store = open(allFail({ kind: "hang" }));
    const controller = new AbortController();
    const reason = new Error("enough");
    const aborted = assertThrows(reason, () => store.get("a", { signal: controller.signal }));
    const closed = assertFails("storage/closed", () => store.put("a", pattern(1)));
    const listing = assertFails("storage/closed", () => keysOf(store));
    controller.abort(reason);
    await aborted;
    await store[Symbol.asyncDispose]();
    await Promise.all([closed, listing]);
  });

  it("delay: takes its time on the given clock, and can be aborted meanwhile", async () => {
    const delays: number[] = [];
    const clock: Clock = {
      ...systemClock,
      schedule(delayMs, run) {
        delays.push(delayMs);
        if (delayMs === 70) queueMicrotask(run);
        return { [Symbol.dispose]: () => {} };
      },
    };
    await using store = open(once("put", { kind: "delay", delayMs: 70 }), clock);
    await store.put("a", pattern(1));
    store.plan = once("get", { kind: "delay", delayMs: 1_000_000 });
    const controller = new AbortController();
    const reason = new Error("enough");
    const getting = assertThrows(reason, () => store.get("a", { signal: controller.signal }));
    controller.abort(reason);
    await getting;
    assert.deepEqual(delays, [70, 1_000_000]);
  });

  it("a fault that does not apply is a bug of the test", async () => {
    await using store = open(once("head", { kind: "disk-full" }));
    await assertFails("internal/bug", () => store.head("a"));
  });
});

describe("FaultStore counters", () => {
  it("count every request that reaches the store, and nothing while idle", async () => {
    await using store = open();
    await store.put("a", pattern(1));
    await store.put("b", pattern(1));
    await read(store, "a");
    await store.head("a");
    await keysOf(store);
    await store.delete(["a", "b"]);
    await assertFails("storage/not-found", () => store.get("a"));
    const unused = store.list("");
    assert.ok(unused);
    assert.deepEqual(store.counts, { get: 2, head: 1, put: 2, list: 1, delete: 1 });
    assert.equal(store.countRequests, 7);
    assert.equal(store.countFaults, 0);
  });

  it("do not count calls that are aborted before or made when closed", async () => {
    const store = open();
    await assert.rejects(() => store.head("a", { signal: AbortSignal.abort() }));
    await store[Symbol.asyncDispose]();
    await assertFails("storage/closed", () => store.head("a"));
    assert.equal(store.countRequests, 0);
  });

  it("know how many requests ran at once", async () => {
    await using store = open();
    await Promise.all(["a", "b", "c"].map((key) => store.put(key, pattern(1))));
    await store.put("d", pattern(1));
    assert.equal(store.maxRunning, 3);
  });
});

describe("scriptedFaults()", () => {
  it("breaks the requests that its rules name, in order", async () => {
    const plan = scriptedFaults([
      { operation: "put", key: /^a/, skip: 1, times: 2, fault: { kind: "before" } },
      { operation: "put", key: /^a/, fault: { kind: "after" } },
    ]);
    const outcomes = ["a1", "b", "a2", "a3", "a4", "a5"].map((key) => {
      return plan({ operation: "put", key, attempt: 0 })?.kind;
    });
    assert.deepEqual(outcomes, ["after", undefined, "before", "before", undefined, undefined]);
  });
});

describe("seededFaults()", () => {
  const request = (key: string, attempt = 0): Parameters<FaultPlan>[0] => ({
    operation: "put",
    key,
    attempt,
  });
  const keys = Array.from({ length: 2_000 }, (_, index) => `ltx/0/${index}`);

  it("gives the same faults for the same seed, in any order", () => {
    const draw = (seed: number, order: readonly string[]): Map<string, Fault | undefined> => {
      const plan = seededFaults({ seed, rate: 0.3 });
      return new Map(order.map((key) => [key, plan(request(key))]));
    };
    const first = draw(7, keys);
    const again = draw(7, keys.toReversed());
    for (const key of keys) assert.deepEqual(again.get(key), first.get(key));
    assert.notDeepEqual([...draw(8, keys).values()], [...first.values()]);
  });

  it("breaks about as many requests as its rate says, with every kind that applies", () => {
    const plan = seededFaults({ seed: 1, rate: 0.25 });
    const faults = keys.map((key) => plan(request(key))).filter((fault) => fault !== undefined);
    assert.ok(faults.length > 400 && faults.length < 600, `${faults.length} of 2000`);
    const kinds = new Set(faults.map(({ kind }) => kind));
    assert.deepEqual([...kinds].sort(), ["after", "before", "delay", "disk-full", "reset"]);
  });

  it("leaves a key alone after some attempts", () => {
    const plan = seededFaults({ seed: 1, rate: 1, maxAttempts: 3 });
    for (const attempt of [0, 1, 2]) assert.ok(plan(request("a", attempt)) !== undefined);
    assert.equal(plan(request("a", 3)), undefined);
  });

  it("lets a caller that retries get everything through", async () => {
    const clock: Clock = {
      ...systemClock,
      schedule: (_, run) => {
        queueMicrotask(run);
        return { [Symbol.dispose]: () => {} };
      },
    };
    await using store = open(seededFaults({ seed: 3, rate: 0.5 }), clock);
    const retry = async <T>(action: () => Promise<T>): Promise<T> => {
      for (;;) {
        try {
          return await action();
        } catch (error) {
          if (!isMillraceError(error) || error.retry !== "backoff") throw error;
        }
      }
    };
    for (let index = 0; index < 60; index += 1) {
      await retry(() => store.put(`k${index}`, streamOf(cut(pattern(9_000, index), 1_000))));
    }
    for (let index = 0; index < 60; index += 1) {
      assertBytes(await retry(() => read(store, `k${index}`)), pattern(9_000, index));
    }
    assert.equal((await retry(() => keysOf(store))).length, 60);
    assert.ok(store.countFaults > 30, `${store.countFaults} faults`);
  });
});
