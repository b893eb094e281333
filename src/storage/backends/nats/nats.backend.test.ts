/** Objects in NATS against a real server: the contract, and that the official client reads and writes the same. */
import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { after, before, describe, it } from "node:test";
import { jetstreamManager } from "@nats-io/jetstream";
import { Objm, type ObjectStore as OfficialStore } from "@nats-io/obj";
import { connect, type NatsConnection } from "@nats-io/transport-node";
import { systemClock, systemRandom } from "../../../platform/clock.ts";
import { freshPlace } from "../../../testing/fresh-place.ts";
import { absence, present, service } from "../../../testing/services.ts";
import { storageConformance } from "../../conformance/suite.ts";
import {
  assertBytes,
  assertFails,
  cut,
  keysOf,
  pattern,
  streamOf,
} from "../../conformance/support.ts";
import type { ObjectStore } from "../../contract.ts";
import { parseReplicaUrl } from "../../replica-url/replica-url.ts";
import { CHUNK_BYTES } from "./nats-format.ts";
import { openNatsStore } from "./nats.ts";

const found = await service("nats");
const skip = absence(found);
const BUCKET = `test-${randomUUID()}`;
const KEY = "ltx/0/0000000000000001-0000000000000001.ltx";
const CREATED_AT_MS = 1_700_000_000_123;

let connection: NatsConnection;
let official: OfficialStore;

before(async () => {
  if (skip !== undefined) return;
  connection = await connect({ servers: present(found).url });
  official = await new Objm(connection).create(BUCKET);
});

after(async () => {
  if (skip !== undefined) return;
  await official.destroy();
  await connection.close();
});

async function open(path: string): Promise<ObjectStore> {
  const target = parseReplicaUrl({ url: `${present(found).url}/${path}` });
  assert.ok(target.scheme === "nats");
  return openNatsStore(target, { clock: systemClock, random: systemRandom, env: {} });
}

/** Runs `check` with a store that is alone in the bucket, and empties it. */
async function alone(check: (store: ObjectStore) => Promise<void>): Promise<void> {
  await using store = await open(BUCKET);
  try {
    await check(store);
  } finally {
    await store.delete(await keysOf(store));
  }
}

/** How many messages with chunks are in the bucket. */
async function countChunks(): Promise<number> {
  const manager = await jetstreamManager(connection);
  const options = { subjects_filter: `$O.${BUCKET}.C.>` };
  const { state } = await manager.streams.info(`OBJ_${BUCKET}`, options);
  return Object.values(state.subjects ?? {}).reduce((sum, count) => sum + count, 0);
}

function readable(...chunks: readonly Uint8Array[]): ReadableStream<Uint8Array> {
  return ReadableStream.from(chunks);
}

storageConformance("nats", async () => freshPlace((prefix) => open(`${BUCKET}/${prefix}`)), {
  unavailable: skip,
});

/** A stream whose messages cannot be asked for without its leader, as some buckets of old are. */
storageConformance(
  "nats-without-direct-get",
  async () => {
    const bucket = `test-${randomUUID()}`;
    const objects = await new Objm(connection).create(bucket);
    const manager = await jetstreamManager(connection);
    await manager.streams.update(`OBJ_${bucket}`, { allow_direct: false });
    return {
      connect: () => open(bucket),
      [Symbol.asyncDispose]: async () => void (await objects.destroy()),
    };
  },
  { unavailable: skip },
);

describe("nats with the official client", { skip: skip ?? false }, () => {
  it("reads what put() wrote, with the timestamp as a header", async () => {
    await alone(async (store) => {
      const bytes = pattern(3 * CHUNK_BYTES + 5);
      await store.put(KEY, streamOf(cut(bytes, 50_000)), { createdAtMs: CREATED_AT_MS });
      const info = await official.info(KEY);
      assert.equal(info?.size, bytes.length);
      assert.equal(info.chunks, 4);
      assert.equal(info.options?.max_chunk_size, CHUNK_BYTES);
      assert.equal(info.headers?.get("Litestream-Timestamp"), "2023-11-14T22:13:20.123Z");
      assertBytes((await official.getBlob(KEY)) ?? new Uint8Array(0), bytes);
      assert.deepEqual(
        (await official.list()).map(({ name }) => name),
        [KEY],
      );
    });
  });

  it("writes what get() reads, also in ranges, with chunks of any size", async () => {
    await alone(async (store) => {
      const bytes = pattern(3_000_000);
      const name = "other/object";
      await official.put(
        { name, options: { max_chunk_size: 70_000 } },
        readable(bytes.slice(0, 100), bytes.slice(100, 999_999), bytes.slice(999_999)),
      );
      assertBytes(await (await store.get(name)).bytes(), bytes);
      for (const [offset, sizeBytes] of [
        [0, 10],
        [2_999_990, 100],
        [1_234_567, 456_789],
        [70_000, 70_000],
      ] as const) {
        const range = await (await store.get(name, { offset, sizeBytes })).bytes();
        assertBytes(range, bytes.slice(offset, offset + sizeBytes), `${offset}+${sizeBytes}`);
      }
    });
  });

  it("put() takes the place of what it deleted, and of what it wrote", async () => {
    await alone(async (store) => {
      await official.putBlob({ name: KEY }, pattern(300_000, 1));
      await assertFails("storage/exists", () => store.put(KEY, pattern(1), { ifAbsent: true }));
      await official.delete(KEY);
      await assertFails("storage/not-found", () => store.head(KEY));
      assert.deepEqual(await keysOf(store), []);
      await store.put(KEY, pattern(200_000, 2), { ifAbsent: true });
      await official.putBlob({ name: KEY }, pattern(100_000, 3));
      await store.put(KEY, pattern(50_000, 4));
      assertBytes((await official.getBlob(KEY)) ?? new Uint8Array(0), pattern(50_000, 4));
      assert.equal(await countChunks(), 1);
      await store.delete([KEY]);
      assert.equal(await official.info(KEY), null);
    });
  });
});

describe("nats", { skip: skip ?? false }, () => {
  it("put() and delete() leave no chunks behind, however they end", async () => {
    await alone(async (store) => {
      const bytes = pattern(2_000_000);
      const results = await Promise.allSettled(
        Array.from({ length: 12 }, (_, index) =>
          store.put(KEY, streamOf(cut(bytes, 70_000)), { ifAbsent: index % 2 === 0 }),
        ),
      );
      assert.ok(results.some(({ status }) => status === "fulfilled"));
      const failing = {
        sizeBytes: bytes.length,
        open: async function* () {
          yield bytes.slice(0, 1_000_000);
          await Promise.resolve();
          throw new Error("broke");
        },
      };
      await assert.rejects(store.put("a", failing), /^Error: broke$/);
      assert.equal(await countChunks(), Math.ceil(bytes.length / CHUNK_BYTES));
      await store.delete([KEY]);
      assert.equal(await countChunks(), 0);
    });
  });

  it("get() of a range asks only for the chunks of it, also when uploads ran at once", async () => {
    await alone(async (store) => {
      const bytes = pattern(40 * CHUNK_BYTES);
      const slow = (seed: number) => store.put(`k${seed}`, streamOf(cut(bytes, 100_000)));
      await Promise.all([slow(0), slow(1), slow(2)]);
      await using fresh = await open(BUCKET);
      const sizeBytes = 1000;
      for (const offset of [39 * CHUNK_BYTES + 7, 20 * CHUNK_BYTES, 5 * CHUNK_BYTES - 500]) {
        const range = await (await fresh.get("k1", { offset, sizeBytes })).bytes();
        assertBytes(range, bytes.slice(offset, offset + sizeBytes), `at ${offset}`);
      }
      // For each: where it is, and its one or two chunks.
      assert.equal(fresh.usage?.()?.requests.get, 6);
    });
  });

  it("get() finds chunks whose messages have other numbers than recorded", async () => {
    await alone(async (store) => {
      const bytes = pattern(5 * CHUNK_BYTES);
      await store.put(KEY, bytes);
      const manager = await jetstreamManager(connection);
      const name = `test-${randomUUID()}`;
      const copy = await new Objm(connection).create(name);
      await copy.putBlob({ name: "before" }, pattern(10));
      const origin = { name: `OBJ_${BUCKET}` };
      const transforms = [{ src: `$O.${BUCKET}.>`, dest: `$O.${name}.>` }];
      await manager.streams.update(`OBJ_${name}`, {
        sources: [{ ...origin, subject_transforms: transforms }],
      });
      await using copied = await open(name);
      const deadline = performance.now() + 20_000;
      while (!(await keysOf(copied)).includes(KEY)) assert.ok(performance.now() < deadline);
      const range = { offset: 3 * CHUNK_BYTES + 1, sizeBytes: 77 };
      assertBytes(
        await (await copied.get(KEY, range)).bytes(),
        bytes.slice(range.offset, range.offset + range.sizeBytes),
      );
      assertBytes(await (await copied.get(KEY)).bytes(), bytes);
      await copy.destroy();
    });
  });

  it("get() refuses content that is not what its digest says", async () => {
    await alone(async (store) => {
      await official.putBlob({ name: KEY }, pattern(1000));
      const manager = await jetstreamManager(connection);
      const subject = `$O.${BUCKET}.M.${Buffer.from(KEY).toString("base64url").padEnd(60, "=")}`;
      const stored = await manager.streams.getMessage(`OBJ_${BUCKET}`, { last_by_subj: subject });
      assert.ok(stored !== null);
      const text = stored.string().replace(/"digest":"SHA-256=.../, '"digest":"SHA-256=AAA');
      await connection.request(subject, text);
      await assertFails("storage/corrupt", async () => (await store.get(KEY)).bytes());
    });
  });

  it("counts its requests", async () => {
    await alone(async (store) => {
      await store.put(KEY, pattern(10), { ifAbsent: true });
      await store.put("big", pattern(3 * CHUNK_BYTES), { ifAbsent: true });
      await (await store.get(KEY)).bytes();
      await store.head(KEY);
      await keysOf(store);
      await store.delete([KEY]);
      const { requests, sentBytes, receivedBytes } = store.usage?.() ?? assert.fail();
      // A chunk and what makes it visible; a question, three chunks and the same.
      assert.deepEqual(requests, { put: 2 + 5, get: 2, head: 1, list: 2, delete: 3 });
      assert.equal(sentBytes, 10 + 3 * CHUNK_BYTES);
      assert.equal(receivedBytes, 10);
    });
  });

  it("says how to create a bucket that is not there, and when it is gone", async () => {
    const bucket = `test-${randomUUID()}`;
    const check = async (store: ObjectStore): Promise<void> => {
      for (const call of [
        () => store.put(KEY, pattern(1)),
        () => store.put(KEY, pattern(1), { ifAbsent: true }),
        () => store.head(KEY),
        () => keysOf(store),
        () => store.delete([KEY]),
      ]) {
        await assert.rejects(call, (error: Error & { code: string; hint: string }) => {
          assert.equal(error.code, "storage/no-bucket", error.message);
          assert.equal(error.hint, `create it: nats object add ${bucket}`);
          return true;
        });
      }
    };
    await using never = await open(bucket);
    await check(never);
    const objects = await new Objm(connection).create(bucket);
    await never.put(KEY, pattern(1));
    await objects.destroy();
    await check(never);
  });

  it("says that a bucket is full", async () => {
    const bucket = `test-${randomUUID()}`;
    const objects = await new Objm(connection).create(bucket, { max_bytes: 1_000_000 });
    await using store = await open(bucket);
    await store.put("small", pattern(500_000), { ifAbsent: true });
    const error = await store.put("large", pattern(800_000)).catch((reason: unknown) => reason);
    assert.match(String(error), /the object store is full \(.*maximum bytes/);
    assert.deepEqual(await keysOf(store), ["small"]);
    await store.put("more", pattern(100_000));
    await objects.destroy();
  });

  it("refuses a bucket's name that NATS does not take", async () => {
    await assertFails("storage/misconfigured", () => open("a.b"));
  });

  it("holds keys that several databases share a bucket with apart", async () => {
    await using one = await open(`${BUCKET}/one`);
    await using other = await open(`${BUCKET}/one-more`);
    await one.put(KEY, pattern(1, 1));
    await other.put(KEY, pattern(1, 2));
    assert.deepEqual(await keysOf(one), [KEY]);
    assert.deepEqual(await keysOf(other), [KEY]);
    assert.equal((await official.info(`one/${KEY}`))?.size, 1);
    await one.delete([KEY]);
    assert.deepEqual(await keysOf(other), [KEY]);
    await other.delete([KEY]);
  });
});
