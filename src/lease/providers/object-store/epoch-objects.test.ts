/** Holder and taker on a store that does not compare, their steps put in every order that matters. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { isMillraceError } from "../../../errors.ts";
import { systemClock } from "../../../platform/clock.ts";
import { MemoryObjects, openMemoryStore } from "../../../storage/backends/memory/memory.ts";
import type { ObjectStore } from "../../../storage/contract.ts";
import { recordOf } from "../../conformance/cells.ts";
import type { LeaseCell } from "../../contract.ts";
import { epochName } from "./epoch-objects.ts";
import { openObjectStoreCell } from "./object-store.ts";

type Step = "put" | "list";

/** A store whose next request of one kind first lets something else happen. */
class PausedStore {
  readonly store: ObjectStore;
  #pause: { readonly step: Step; readonly meanwhile: () => Promise<unknown> } | undefined;

  constructor(objects: MemoryObjects) {
    const inner = openMemoryStore({
      clock: systemClock,
      objects,
      capabilities: { conditionalReplace: false },
    });
    const reached = (step: Step): Promise<unknown> => this.#reached(step);
    this.store = {
      type: inner.type,
      capabilities: inner.capabilities,
      get: (key, options) => inner.get(key, options),
      head: (key, options) => inner.head(key, options),
      put: async (key, body, options) => {
        await reached("put");
        return inner.put(key, body, options);
      },
      list: async function* (prefix, options) {
        await reached("list");
        yield* inner.list(prefix, options);
      },
      delete: (keys, options) => inner.delete(keys, options),
      [Symbol.asyncDispose]: () => inner[Symbol.asyncDispose](),
    };
  }

  /** `skip` requests of the kind pass before. */
  before(step: Step, meanwhile: () => Promise<unknown>, skip = 0): void {
    const later = skip === 0 ? meanwhile : async () => this.before(step, meanwhile, skip - 1);
    this.#pause = { step, meanwhile: later };
  }

  async #reached(step: Step): Promise<void> {
    const pause = this.#pause;
    if (pause?.step !== step) return;
    this.#pause = undefined;
    await pause.meanwhile();
  }
}

interface Scene {
  readonly objects: MemoryObjects;
  readonly holder: LeaseCell;
  readonly taker: LeaseCell;
  readonly takersStore: PausedStore;
  readonly holdersStore: PausedStore;
}

function scene(): Scene {
  const objects = new MemoryObjects();
  const holdersStore = new PausedStore(objects);
  const takersStore = new PausedStore(objects);
  const holder = openObjectStoreCell({ store: holdersStore.store });
  const taker = openObjectStoreCell({ store: takersStore.store });
  return { objects, holder, taker, takersStore, holdersStore };
}

const isConflict = (error: unknown): boolean => isMillraceError(error, "lease/conflict");

describe("EpochObjects", () => {
  it("write() of a taker yields when the holder renewed before the create", async () => {
    const { objects, holder, taker, takersStore } = scene();
    const version = await holder.write(recordOf(1, "a"), { expected: "absent" });
    let isRenewed = false;
    takersStore.before("put", async () => {
      await holder.write(recordOf(1, "a", 1), { expected: version });
      isRenewed = true;
    });
    await assert.rejects(taker.write(recordOf(2, "b"), { expected: version }), isConflict);
    assert.ok(isRenewed, "the renewal was confirmed");
    assert.deepEqual(objects.keys, [`lease/${epochName(1)}`], "the taker's epoch was taken back");
  });

  it("write() of holder or taker yields when their steps cross", async () => {
    const { holder, taker, holdersStore, takersStore } = scene();
    const version = await holder.write(recordOf(1, "a"), { expected: "absent" });
    // Rewritten but not looked yet; then the taker, who has looked before, does everything.
    let renewal: Promise<unknown> = Promise.resolve();
    takersStore.before("put", async () => {
      const paused = Promise.withResolvers<void>();
      const resumed = Promise.withResolvers<void>();
      holdersStore.before(
        "list",
        async () => {
          paused.resolve();
          await resumed.promise;
        },
        1,
      );
      renewal = holder.write(recordOf(1, "a", 1), { expected: version });
      renewal.catch(() => {});
      await paused.promise;
      takersStore.before("list", async () => resumed.resolve());
    });
    const taking = taker.write(recordOf(2, "b"), { expected: version });
    const outcomes = await Promise.allSettled([taking, renewal.then(() => taking).catch(() => {})]);
    const [taken] = outcomes;
    const [renewed] = await Promise.allSettled([renewal]);
    const winners = [taken, renewed].filter(({ status }) => status === "fulfilled");
    assert.ok(winners.length <= 1, "both believe to have the lease");
  });

  it("write() of a holder yields when a taker was through before it", async () => {
    const { holder, taker, holdersStore } = scene();
    const version = await holder.write(recordOf(1, "a"), { expected: "absent" });
    holdersStore.before("put", async () => {
      await taker.write(recordOf(2, "b"), { expected: version });
    });
    await assert.rejects(holder.write(recordOf(1, "a", 1), { expected: version }), isConflict);
    assert.equal((await taker.read())?.record.owner, "b");
  });

  it("write() of a contender who slept through two successions yields", async () => {
    const { objects, holder, taker, takersStore } = scene();
    const version = await holder.write(recordOf(1, "a"), { expected: "absent" });
    takersStore.before("put", async () => {
      const next = await holder.write(recordOf(2, "a"), { expected: version });
      await holder.write(recordOf(3, "a"), { expected: next });
      assert.deepEqual(objects.keys, [`lease/${epochName(3)}`], "old epochs are deleted");
    });
    await assert.rejects(taker.write(recordOf(2, "b"), { expected: version }), isConflict);
    assert.equal((await taker.read())?.record.epoch, 3);
  });

  it("write() with a floor yields to a lease that began below it", async () => {
    const { holder, taker, takersStore } = scene();
    takersStore.before("put", () => holder.write(recordOf(1, "a"), { expected: "absent" }));
    await assert.rejects(taker.write(recordOf(9, "b"), { expected: "absent" }), isConflict);
    assert.equal((await holder.read())?.record.epoch, 1);
  });

  it("read() takes back an acquisition that broke off while the holder renewed", async () => {
    const { objects, holder, taker, takersStore } = scene();
    const version = await holder.write(recordOf(1, "a"), { expected: "absent" });
    takersStore.before("put", async () => {
      await holder.write(recordOf(1, "a", 1), { expected: version });
      takersStore.before("list", () => Promise.reject(new Error("the connection broke")));
    });
    await assert.rejects(taker.write(recordOf(2, "b"), { expected: version }), /broke/);
    assert.equal(objects.keys.length, 2, "the taker's object is there");
    assert.deepEqual((await taker.read())?.record, recordOf(1, "a", 1));
    assert.deepEqual(objects.keys, [`lease/${epochName(1)}`]);
  });

  it("read() finishes an acquisition that broke off when nobody objected", async () => {
    const { objects, holder, taker, takersStore } = scene();
    const version = await holder.write(recordOf(1, "a"), { expected: "absent" });
    takersStore.before("put", async () =>
      takersStore.before("list", () => Promise.reject(new Error("the connection broke"))),
    );
    await assert.rejects(taker.write(recordOf(2, "b"), { expected: version }), /broke/);
    assert.deepEqual((await taker.read())?.record, recordOf(2, "b"));
    assert.deepEqual(objects.keys, [`lease/${epochName(2)}`]);
  });

  it("read() ignores objects of other names", async () => {
    const { holder, holdersStore } = scene();
    await holdersStore.store.put("lease/README.json", new Uint8Array([1]));
    await holdersStore.store.put("lease/00000000000000FF.json", new Uint8Array([1]));
    assert.equal(await holder.read(), undefined);
  });
});
