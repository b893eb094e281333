/** Google Cloud Storage against fake-gcs-server: the conformance suite, and what is special about it. */
import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { describe, it } from "node:test";
import { systemClock } from "../../../platform/clock.ts";
import { absence, present, service } from "../../../testing/services.ts";
import type { ConformanceTarget } from "../../conformance/context.ts";
import { storageConformance } from "../../conformance/suite.ts";
import {
  assertBytes,
  assertFails,
  CREATED_AT_MS,
  keysOf,
  pattern,
  read,
} from "../../conformance/support.ts";
import type { ObjectStore } from "../../contract.ts";
import { PART_BYTES } from "./gcs-upload.ts";
import { openGcsStore } from "./gcs.ts";

const server = await service("gcs");

async function createBucket(): Promise<string> {
  const { endpoint, projectId } = present(server);
  const bucket = `test-${randomUUID()}`;
  const response = await fetch(`${endpoint}/storage/v1/b?project=${projectId}`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ name: bucket }),
  });
  if (!response.ok) throw new Error(`create bucket: ${response.status}`);
  return bucket;
}

function connect(bucket: string, prefix = ""): Promise<ObjectStore> {
  const settings = { endpoint: present(server).endpoint };
  const context = { clock: systemClock, random: Math.random, env: {} };
  return openGcsStore({ scheme: "gs", bucket, prefix, settings }, context);
}

async function target(): Promise<ConformanceTarget> {
  const bucket = await createBucket();
  return {
    connect: () => connect(bucket),
    [Symbol.asyncDispose]: async () => {
      await using store = await connect(bucket);
      const keys: string[] = [];
      for await (const { key } of store.list("")) keys.push(key);
      await store.delete(keys);
      await fetch(`${present(server).endpoint}/storage/v1/b/${bucket}`, { method: "DELETE" });
    },
  };
}

storageConformance("gcs", target, { unavailable: absence(server) });

/** What the store knows of an object, as Litestream would ask. */
async function rawObject(bucket: string, name: string): Promise<Record<string, unknown>> {
  const path = `/storage/v1/b/${bucket}/o/${encodeURIComponent(name)}`;
  const response = await fetch(present(server).endpoint + path);
  assert.ok(response.ok, `${name}: ${response.status}`);
  return (await response.json()) as Record<string, unknown>;
}

describe("gcs", { skip: absence(server) ?? false }, () => {
  it("writes names and metadata as Litestream reads them", async () => {
    const bucket = await createBucket();
    await using store = await connect(bucket, "db/app");
    for (const sizeBytes of [10, PART_BYTES + 1]) {
      const key = `ltx/0/${sizeBytes}.ltx`;
      await store.put(key, pattern(sizeBytes), { createdAtMs: CREATED_AT_MS });
      const { metadata, contentType, size } = await rawObject(bucket, `db/app/${key}`);
      assert.deepEqual(metadata, { "litestream-timestamp": "2023-11-14T22:13:20.123Z" });
      assert.equal(contentType, "application/octet-stream");
      assert.equal(size, String(sizeBytes));
    }
  });

  it("sees nothing beside its prefix", async () => {
    const bucket = await createBucket();
    await using whole = await connect(bucket);
    await using store = await connect(bucket, "app");
    for (const key of ["app2/a", "ap", "app-x", "b/app/a"]) await whole.put(key, pattern(1));
    assert.deepEqual(await keysOf(store), []);
    await store.put("a", pattern(1));
    assert.deepEqual(await keysOf(store), ["a"]);
    assert.deepEqual(await keysOf(whole, "app/"), ["app/a"]);
  });

  it("counts each request", async () => {
    const bucket = await createBucket();
    await using store = await connect(bucket, "app");
    await store.put("a", pattern(10));
    await store.put("b", pattern(2 * PART_BYTES + 1));
    assertBytes(await read(store, "b"), pattern(2 * PART_BYTES + 1));
    await store.head("a");
    assert.deepEqual(await keysOf(store, "", { startAfter: "a" }), ["b"]);
    await store.delete(["a", "b", "c"]);
    const { requests, retries } = store.usage?.() ?? {};
    assert.deepEqual(requests, { get: 1, head: 1, put: 1 + 4, list: 1, delete: 3 });
    assert.equal(retries, 0);
  });

  it("says that the bucket is missing", async () => {
    await using store = await connect(`absent-${randomUUID()}`);
    await assertFails("storage/no-bucket", () => keysOf(store));
    await assertFails("storage/no-bucket", () => store.put("a", pattern(1)));
    await assertFails("storage/no-bucket", () => store.put("a", pattern(PART_BYTES + 1)));
  });
});

describe("gcs that cannot be reached", () => {
  it("is said so within seconds", async () => {
    const settings = { endpoint: "http://127.0.0.1:1" };
    const context = { clock: systemClock, random: Math.random, env: {} };
    const target = { scheme: "gs", bucket: "b", prefix: "", settings } as const;
    await using store = await openGcsStore(target, context);
    const begun = performance.now();
    await assertFails("storage/unavailable", () => keysOf(store));
    await assertFails("storage/unavailable", () => store.put("a", pattern(1), { ifAbsent: true }));
    assert.ok(performance.now() - begun < 15_000);
  });
});
