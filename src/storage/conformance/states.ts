/** Every operation in every state of its store and its signal. */
import assert from "node:assert/strict";
import type { CallOptions, ObjectStore } from "../contract.ts";
import type { Check } from "./context.ts";
import {
  assertAbsent,
  assertFails,
  assertThrows,
  collect,
  keysOf,
  pattern,
  stalledSource,
  streamOf,
} from "./support.ts";

const PRESENT = "dir/present";
const BODY = pattern(5_000);

/** Every way to call a store; each is complete when its promise settles. */
const OPERATIONS: Readonly<
  Record<string, (store: ObjectStore, options?: CallOptions) => Promise<unknown>>
> = {
  "get()": async (store, options) => (await store.get(PRESENT, options)).bytes(),
  "get() as stream": async (store, options) => collect(await store.get(PRESENT, options)),
  "head()": (store, options) => store.head(PRESENT, options),
  "put()": (store, options) => store.put("dir/new", BODY, options),
  "put() of a stream": (store, options) => store.put("dir/new", streamOf([BODY, BODY]), options),
  "list()": (store, options) => keysOf(store, "dir/", options),
  "delete()": (store, options) => store.delete([PRESENT], options),
  "delete() of nothing": (store, options) => store.delete([], options),
};

export function stateTests(check: Check): void {
  for (const [name, operate] of Object.entries(OPERATIONS)) {
    check(`${name} succeeds when open`, async ({ store }) => {
      await store.put(PRESENT, BODY);
      await operate(store);
      await operate(store, { signal: new AbortController().signal });
    });

    check(`${name} fails when closed`, async ({ store }) => {
      await store.put(PRESENT, BODY);
      await store[Symbol.asyncDispose]();
      await assertFails("storage/closed", () => operate(store));
    });

    check(`${name} fails when closing`, async ({ store, connect }) => {
      await store.put(PRESENT, BODY);
      const closing = store[Symbol.asyncDispose]();
      await assertFails("storage/closed", () => operate(store));
      await closing;
      await assertUnchanged(await connect());
    });

    check(`${name} throws the reason when aborted before`, async ({ store }) => {
      await store.put(PRESENT, BODY);
      const reason = new Error("stop");
      await assertThrows(reason, () => operate(store, { signal: AbortSignal.abort(reason) }));
      await assertUnchanged(store);
    });

    check(`${name} ends with the reason or succeeds when aborted during`, async ({ store }) => {
      await store.put(PRESENT, BODY);
      const controller = new AbortController();
      const reason = new Error("stop");
      const running = operate(store, { signal: controller.signal });
      controller.abort(reason);
      const [result] = await Promise.allSettled([running]);
      if (result.status === "rejected") assert.equal(result.reason, reason);
    });
  }
  abortedPutTests(check);
  abortedReadTests(check);
  closingTests(check);
}

async function assertUnchanged(store: ObjectStore): Promise<void> {
  assert.deepEqual(await keysOf(store), [PRESENT]);
}

function abortedPutTests(check: Check): void {
  check(
    "put() throws the reason and stores nothing when aborted in its source",
    async ({ store }) => {
      const controller = new AbortController();
      const reason = new Error("stop");
      const source = {
        sizeBytes: 2 * BODY.length,
        open: async function* () {
          yield await Promise.resolve(BODY);
          controller.abort(reason);
          yield BODY;
        },
      };
      await assertThrows(reason, () => store.put("dir/a", source, { signal: controller.signal }));
      await assertAbsent(store, "dir/a");
    },
  );

  check("put() throws the reason when aborted while its source stalls", async ({ store }) => {
    const controller = new AbortController();
    const reason = new Error("stop");
    const source = stalledSource(BODY, BODY);
    const putting = store.put("dir/a", source, { signal: controller.signal });
    await source.reached;
    controller.abort(reason);
    await assertThrows(reason, () => putting);
    await assertAbsent(store, "dir/a");
    source.release();
    await source.closed;
  });
}

function abortedReadTests(check: Check): void {
  check("get() throws the reason when aborted between chunks", async ({ store, largeBytes }) => {
    await store.put(PRESENT, pattern(largeBytes));
    const controller = new AbortController();
    const reason = new Error("stop");
    let count = 0;
    await assertThrows(reason, async () => {
      for await (const chunk of await store.get(PRESENT, { signal: controller.signal })) {
        count += chunk.length;
        controller.abort(reason);
      }
    });
    assert.ok(count > 0 && count < largeBytes, `${count} of ${largeBytes} bytes arrived`);
  });

  check("list() throws the reason when aborted between items", async ({ store }) => {
    for (const name of ["a", "b", "c"]) await store.put(name, BODY);
    const controller = new AbortController();
    const reason = new Error("stop");
    const seen: string[] = [];
    await assertThrows(reason, async () => {
      for await (const { key } of store.list("", { signal: controller.signal })) {
        seen.push(key);
        controller.abort(reason);
      }
    });
    assert.deepEqual(seen, ["a"]);
  });

  check("get() leaves no listener on a signal that outlives it", async ({ store }) => {
    await store.put(PRESENT, BODY);
    const { signal } = new AbortController();
    let count = 0;
    const add = signal.addEventListener.bind(signal);
    const remove = signal.removeEventListener.bind(signal);
    signal.addEventListener = (...args: Parameters<typeof add>) => {
      count += 1;
      add(...args);
    };
    signal.removeEventListener = (...args: Parameters<typeof remove>) => {
      count -= 1;
      remove(...args);
    };
    for (const operate of Object.values(OPERATIONS))
      await operate(store, { signal }).catch(() => {});
    assert.equal(count, 0);
  });
}

function closingTests(check: Check): void {
  check("dispose can be repeated, also at the same time", async ({ store }) => {
    await Promise.all([store[Symbol.asyncDispose](), store[Symbol.asyncDispose]()]);
    await store[Symbol.asyncDispose]();
  });

  check(
    "dispose ends a put whose source stalls, and nothing is stored",
    async ({ store, connect }) => {
      const source = stalledSource(BODY, BODY);
      const putting = assertFails("storage/closed", () => store.put("dir/a", source));
      await source.reached;
      await store[Symbol.asyncDispose]();
      await putting;
      source.release();
      await source.closed;
      await assertAbsent(await connect(), "dir/a");
    },
  );

  check("dispose ends a suspended listing", async ({ store }) => {
    for (const name of ["a", "b", "c"]) await store.put(name, BODY);
    const listing = store.list("")[Symbol.asyncIterator]();
    await listing.next();
    await store[Symbol.asyncDispose]();
    await assertFails("storage/closed", () => listing.next());
  });

  check(
    "dispose ends a suspended read and releases an unread one",
    async ({ store, largeBytes }) => {
      await store.put(PRESENT, pattern(largeBytes));
      const chunks = (await store.get(PRESENT))[Symbol.asyncIterator]();
      await chunks.next();
      const unread = await store.get(PRESENT);
      await store[Symbol.asyncDispose]();
      await assertFails("storage/closed", () => chunks.next());
      await assertFails("storage/closed", () => unread.bytes());
    },
  );
}
