/** Stores over a bad network: what is tried again, what is not, and what ends. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { isMillraceError, MillraceError } from "../../errors.ts";
import { systemClock, systemRandom } from "../../platform/clock.ts";
import { FaultStore } from "../../testing/fault-store.ts";
import {
  allFail,
  type FaultPlan,
  NO_FAULTS,
  scriptedFaults,
  seededFaults,
} from "../../testing/fault-store-plan.ts";
import { ManualClock } from "../../testing/manual-clock.ts";
import { asBackend } from "../../testing/store-backend.ts";
import { MemoryObjects, openMemoryStore } from "../backends/memory/memory.ts";
import { storageConformance } from "../conformance/suite.ts";
import { assertBytes, assertFails, keysOf, pattern, read } from "../conformance/support.ts";
import type { ByteSource, ObjectStore } from "../contract.ts";
import { RequestMeter } from "../meter.ts";
import { REMOTE_ATTEMPTS, REMOTE_IDLE_MS } from "./attempts.ts";
import { openRemoteStore } from "./remote-store.ts";

const KEY = "ltx/0/object";

storageConformance("memory-remote", async () => {
  const objects = new MemoryObjects();
  return {
    connect: async () => {
      const meter = new RequestMeter();
      const inner = asBackend(openMemoryStore({ clock: systemClock, objects }), meter);
      return openRemoteStore(inner, {
        clock: systemClock,
        random: systemRandom,
        meter,
        where: "memory",
      });
    },
    [Symbol.asyncDispose]: async () => {},
  };
});

/** A remote store whose server fails as planned, on a clock that runs to the next timer by itself. */
class Scene implements AsyncDisposable {
  readonly clock = new ManualClock();
  readonly meter = new RequestMeter();
  readonly objects = new MemoryObjects();
  readonly faults: FaultStore;
  readonly store: ObjectStore;

  constructor(plan: FaultPlan = NO_FAULTS) {
    const inner = openMemoryStore({ clock: this.clock, objects: this.objects });
    this.faults = new FaultStore(inner, { plan, clock: this.clock });
    this.store = openRemoteStore(asBackend(this.faults, this.meter), {
      clock: this.clock,
      random: () => 0.5,
      meter: this.meter,
      where: "the test store",
    });
  }

  /** Lets time pass whenever nothing else happens, until `running` settles. */
  async settle<T>(running: Promise<T>): Promise<T> {
    const state = { isSettled: false };
    const settled = running.finally(() => (state.isSettled = true));
    settled.catch(() => {});
    for (let turn = 0; !state.isSettled && turn < 100_000; turn += 1) {
      for (let rest = 0; rest < 20 && !state.isSettled; rest += 1) await new Promise(setImmediate);
      if (!state.isSettled && this.clock.nextMs !== undefined)
        this.clock.advance(this.clock.nextMs);
    }
    return settled;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.store[Symbol.asyncDispose]();
  }
}

describe("openRemoteStore()", () => {
  it("tries again what fails in passing, and counts every request", async () => {
    for (const code of ["storage/unavailable", "storage/throttled"] as const) {
      await using scene = new Scene();
      await scene.settle(scene.store.put(KEY, pattern(10)));
      const before = scene.meter.usage();
      scene.faults.plan = scriptedFaults([
        { operation: "head", times: 2, fault: { kind: "before", code } },
      ]);
      assert.equal((await scene.settle(scene.store.head(KEY))).sizeBytes, 10);
      const { requests, retries } = scene.meter.usage();
      assert.equal(requests.head, 3);
      assert.equal(retries - before.retries, 2);
    }
  });

  it("gives up after enough attempts, with the failure", async () => {
    await using scene = new Scene(allFail({ kind: "before" }));
    await assertFails("storage/unavailable", () => scene.settle(scene.store.head(KEY)));
    assert.equal(scene.meter.usage().requests.head, REMOTE_ATTEMPTS);
  });

  it("does not try again what will not pass", async () => {
    for (const code of [
      "storage/permission",
      "storage/no-bucket",
      "storage/misconfigured",
    ] as const) {
      await using scene = new Scene(allFail({ kind: "before", code }));
      await assertFails(code, () => scene.settle(scene.store.head(KEY)));
      assert.equal(scene.meter.usage().requests.head, 1);
    }
  });

  it("does not repeat a conditional put whose answer was lost", async () => {
    await using scene = new Scene(allFail({ kind: "after" }, ["put"]));
    const put = scene.store.put(KEY, pattern(10), { ifAbsent: true });
    await assertFails("storage/unavailable", () => scene.settle(put));
    assert.equal(scene.meter.usage().requests.put, 1);
    assertBytes(await scene.settle(read(scene.store, KEY)), pattern(10));
  });

  it("repeats a conditional put that certainly did nothing", async () => {
    const fault = { kind: "before", code: "storage/throttled" } as const;
    await using scene = new Scene(scriptedFaults([{ operation: "put", times: 3, fault }]));
    await scene.settle(scene.store.put(KEY, pattern(10), { ifAbsent: true }));
    assert.equal(scene.meter.usage().requests.put, 4);
  });

  it("repeats a put without a condition, source and all", async () => {
    const fault = { kind: "reset", after: 300_000 } as const;
    await using scene = new Scene(scriptedFaults([{ operation: "put", times: 2, fault }]));
    let opened = 0;
    const bytes = pattern(900_000);
    const source = {
      sizeBytes: bytes.length,
      open: async function* () {
        opened += 1;
        for (let at = 0; at < bytes.length; at += 100_000) yield bytes.slice(at, at + 100_000);
      },
    };
    await scene.settle(scene.store.put(KEY, source));
    assert.equal(opened, 3);
    assertBytes(await scene.settle(read(scene.store, KEY)), bytes);
  });

  it("waits as long as the store asks for, and not at all when that is too long", async () => {
    for (const [retryAfterMs, attempts] of [
      [15_000, 2],
      [60_000, 1],
    ] as const) {
      await using scene = new Scene();
      const inner = asBackend(openMemoryStore({ clock: scene.clock, objects: scene.objects }));
      let calls = 0;
      const head = async (): Promise<never> => {
        calls += 1;
        const code = calls === 1 ? "storage/throttled" : "storage/not-found";
        throw new MillraceError(code, "head: too many", { details: { retryAfterMs } });
      };
      const { clock, meter } = scene;
      await using store = openRemoteStore(
        { ...inner, head },
        { clock, random: () => 0, meter, where: "here" },
      );
      const begunMs = clock.now();
      await scene.settle(store.head(KEY)).catch((error: unknown) => {
        assert.ok(
          isMillraceError(error, attempts === 1 ? "storage/throttled" : "storage/not-found"),
        );
      });
      assert.equal(calls, attempts);
      assert.equal(clock.now() - begunMs, attempts === 1 ? 0 : retryAfterMs);
    }
  });

  it("ends a call that gets no answer, and tries again", async () => {
    await using scene = new Scene();
    await scene.settle(scene.store.put(KEY, pattern(10)));
    scene.faults.plan = scriptedFaults([{ operation: "head", fault: { kind: "hang" } }]);
    const begunMs = scene.clock.now();
    assert.equal((await scene.settle(scene.store.head(KEY))).sizeBytes, 10);
    assert.ok(scene.clock.now() - begunMs >= REMOTE_IDLE_MS);
    scene.faults.plan = allFail({ kind: "hang" });
    await assert.rejects(scene.settle(scene.store.head(KEY)), /the test store: no answer for 30 s/);
  });

  it("reports the caller's abort at once, whatever hangs", async () => {
    await using scene = new Scene(allFail({ kind: "hang" }));
    const controller = new AbortController();
    const reason = new Error("enough");
    const calls = [
      scene.store.head(KEY, { signal: controller.signal }),
      scene.store.get(KEY, { signal: controller.signal }),
      scene.store.put(KEY, pattern(1), { signal: controller.signal }),
      scene.store.delete([KEY], { signal: controller.signal }),
      keysOf(scene.store, "", { signal: controller.signal }),
    ];
    await new Promise(setImmediate);
    controller.abort(reason);
    for (const call of calls) await assert.rejects(call, (error) => error === reason);
  });
});

describe("readings", () => {
  it("go on where the connection broke off, every byte once", async () => {
    const bytes = pattern(1_500_000);
    for (const kind of ["reset", "truncate", "short"] as const) {
      await using scene = new Scene();
      await scene.settle(scene.store.put(KEY, bytes));
      const fault = { kind, after: 400_000 };
      scene.faults.plan = scriptedFaults([{ operation: "get", times: 2, fault }]);
      assertBytes(await scene.settle(read(scene.store, KEY)), bytes, kind);
      const { requests, receivedBytes } = scene.meter.usage();
      assert.equal(requests.get, 3);
      assert.equal(receivedBytes, bytes.length);
    }
  });

  it("of a range stay inside it", async () => {
    const bytes = pattern(1_500_000);
    await using scene = new Scene();
    await scene.settle(scene.store.put(KEY, bytes));
    const fault = { kind: "reset", after: 300_000 } as const;
    scene.faults.plan = scriptedFaults([{ operation: "get", fault }]);
    const options = { offset: 200_000, sizeBytes: 1_000_000 };
    const range = scene.settle(scene.store.get(KEY, options).then((body) => body.bytes()));
    assertBytes(await range, bytes.slice(200_000, 1_200_000));
  });

  it("fail when the object was replaced meanwhile", async () => {
    await using scene = new Scene();
    await scene.settle(scene.store.put(KEY, pattern(1_500_000, 1)));
    const fault = { kind: "reset", after: 400_000 } as const;
    scene.faults.plan = scriptedFaults([{ operation: "get", fault }]);
    const body = await scene.settle(scene.store.get(KEY));
    const reading = body[Symbol.asyncIterator]();
    await scene.settle(reading.next());
    await scene.settle(scene.store.put(KEY, pattern(1_500_000, 2)));
    const rest = async (): Promise<void> => {
      while ((await reading.next()).done !== true);
    };
    await assert.rejects(scene.settle(rest()), /it was replaced while it was read/);
  });

  it("are not ended because their receiver is slow", async () => {
    await using scene = new Scene();
    const bytes = pattern(1_000_000);
    await scene.settle(scene.store.put(KEY, bytes));
    const chunks: Uint8Array[] = [];
    for await (const chunk of await scene.settle(scene.store.get(KEY))) {
      scene.clock.advance(10 * REMOTE_IDLE_MS);
      chunks.push(chunk);
    }
    assertBytes(Buffer.concat(chunks), bytes);
    assert.equal(scene.clock.countTimers, 0);
  });
});

describe("uploads", () => {
  it("over a slow but moving line are not ended, those that stand still are", async () => {
    for (const [stepMs, isFine] of [
      [5_000, true],
      [70_000, false],
    ] as const) {
      await using scene = new Scene();
      const { clock, meter } = scene;
      const inner = asBackend(openMemoryStore({ clock, objects: scene.objects }));
      const slow: typeof inner.put = async (key, source, call) => {
        for await (const chunk of source.open()) {
          void chunk;
          clock.advance(stepMs);
          call.signal.throwIfAborted();
        }
        return { key, sizeBytes: source.sizeBytes, createdAtMs: 0 };
      };
      const backend = { ...inner, put: slow };
      const options = { clock, random: () => 0, meter, where: "here", attempts: 1 };
      await using store = openRemoteStore(backend, options);
      const put = scene.settle(store.put(KEY, chunked(20, 128 * 1024)));
      if (isFine) await put;
      else await assertFails("storage/unavailable", () => put);
    }
  });

  it("are not ended because their source is slow", async () => {
    await using scene = new Scene();
    const source = chunked(5, 1000, () => scene.clock.advance(10 * REMOTE_IDLE_MS));
    await scene.settle(scene.store.put(KEY, source));
    assert.equal(scene.meter.usage().sentBytes, 5000);
  });
});

describe("listings and deletions", () => {
  it("a listing goes on after the last key that came", async () => {
    await using scene = new Scene();
    const keys = Array.from({ length: 30 }, (_, index) => `a/${String(index).padStart(2, "0")}`);
    for (const key of keys) await scene.settle(scene.store.put(key, pattern(1)));
    const fault = { kind: "reset", after: 9 } as const;
    scene.faults.plan = scriptedFaults([{ operation: "list", times: 3, fault }]);
    assert.deepEqual(await scene.settle(keysOf(scene.store, "a/")), keys);
    assert.equal(scene.meter.usage().requests.list, 4);
  });

  it("a deletion of many keys is cut into requests, and repeated where it broke off", async () => {
    await using scene = new Scene();
    const keys = Array.from({ length: 2_500 }, (_, index) => `a/${index}`);
    for (const key of keys.slice(0, 50)) await scene.settle(scene.store.put(key, pattern(1)));
    const fault = { kind: "reset", after: 10 } as const;
    scene.faults.plan = scriptedFaults([{ operation: "delete", fault }]);
    await scene.settle(scene.store.delete(keys));
    assert.deepEqual(await scene.settle(keysOf(scene.store)), []);
    assert.equal(scene.meter.usage().requests.delete, 4);
  });

  it("everything works through random faults", async () => {
    for (let seed = 1; seed <= 20; seed += 1) {
      await using scene = new Scene(
        seededFaults({
          seed,
          rate: 0.4,
          maxAttempts: 3,
          kinds: ["before", "reset", "truncate", "delay"],
        }),
      );
      const bytes = pattern(300_000, seed);
      for (const key of ["x/1", "x/2", "x/3"]) await scene.settle(scene.store.put(key, bytes));
      for (const key of ["x/1", "x/2", "x/3"])
        assertBytes(await scene.settle(read(scene.store, key)), bytes, `seed ${seed}`);
      assert.deepEqual(await scene.settle(keysOf(scene.store)), ["x/1", "x/2", "x/3"]);
      await scene.settle(scene.store.delete(["x/1", "x/3"]));
      assert.deepEqual(await scene.settle(keysOf(scene.store)), ["x/2"]);
    }
  });
});

function chunked(count: number, chunkBytes: number, onChunk: () => void = () => {}): ByteSource {
  return {
    sizeBytes: count * chunkBytes,
    open: async function* () {
      for (let index = 0; index < count; index += 1) {
        onChunk();
        yield await Promise.resolve(pattern(chunkBytes, index));
      }
    },
  };
}
