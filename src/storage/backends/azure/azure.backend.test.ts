/** Azure Blob Storage against Azurite: the conformance suite, and what is special about it. */
import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { describe, it } from "node:test";
import {
  ContainerClient,
  ContainerSASPermissions,
  generateBlobSASQueryParameters,
  StorageSharedKeyCredential,
} from "@azure/storage-blob";
import { systemClock } from "../../../platform/clock.ts";
import { absence, present, service } from "../../../testing/services.ts";
import { assertNoSecret, thrownBy } from "../../../testing/thrown.ts";
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
import type { AzureTarget } from "../../replica-url/target.ts";
import { BLOCK_BYTES } from "./azure-upload.ts";
import { openAzureStore } from "./azure.ts";

const server = await service("azure");

function sharedKey(): StorageSharedKeyCredential {
  const { accountName, accountKey } = present(server);
  return new StorageSharedKeyCredential(accountName, accountKey);
}

function containerClient(container: string): ContainerClient {
  return new ContainerClient(`${present(server).endpoint}/${container}`, sharedKey());
}

async function createContainer(): Promise<ContainerClient> {
  const client = containerClient(`test-${randomUUID()}`);
  await client.create();
  return client;
}

function connect(
  container: string,
  prefix = "",
  more: AzureTarget["settings"] = {},
): Promise<ObjectStore> {
  const { endpoint, accountName, accountKey } = present(server);
  const settings = { endpoint, accountName, accountKey, ...more };
  const context = { clock: systemClock, random: Math.random, env: {} };
  return openAzureStore({ scheme: "abs", container, prefix, settings }, context);
}

async function target(): Promise<ConformanceTarget> {
  const client = await createContainer();
  return {
    connect: () => connect(client.containerName),
    [Symbol.asyncDispose]: async () => {
      await client.delete();
    },
  };
}

storageConformance("azure", target, { unavailable: absence(server) });

/** A token for a container, as a portal makes it. */
function token(containerName: string, permissions: string): string {
  const values = {
    containerName,
    permissions: ContainerSASPermissions.parse(permissions),
    expiresOn: new Date(Date.now() + 3_600_000),
  };
  return generateBlobSASQueryParameters(values, sharedKey()).toString();
}

describe("azure", { skip: absence(server) ?? false }, () => {
  it("writes names and metadata as Litestream reads them", async () => {
    const client = await createContainer();
    await using store = await connect(client.containerName, "db/app");
    for (const sizeBytes of [10, BLOCK_BYTES + 1]) {
      const key = `ltx/0/${sizeBytes}.ltx`;
      await store.put(key, pattern(sizeBytes), { createdAtMs: CREATED_AT_MS });
      const found = await client.getBlobClient(`db/app/${key}`).getProperties();
      assert.deepEqual(found.metadata, { litestreamtimestamp: "2023-11-14T22:13:20.123Z" });
      assert.equal(found.contentType, "application/octet-stream");
      assert.equal(found.accessTier, "Hot");
      assert.equal(found.contentLength, sizeBytes);
    }
  });

  it("sees nothing beside its prefix", async () => {
    const { containerName } = await createContainer();
    await using whole = await connect(containerName);
    await using store = await connect(containerName, "app");
    for (const key of ["app2/a", "ap", "app-x", "b/app/a"]) await whole.put(key, pattern(1));
    assert.deepEqual(await keysOf(store), []);
    await store.put("a", pattern(1));
    assert.deepEqual(await keysOf(store), ["a"]);
    assert.deepEqual(await keysOf(whole, "app/"), ["app/a"]);
  });

  it("counts each request", async () => {
    const { containerName } = await createContainer();
    await using store = await connect(containerName, "app");
    await store.put("a", pattern(10));
    await store.put("b", pattern(2 * BLOCK_BYTES + 1));
    assertBytes(await read(store, "b"), pattern(2 * BLOCK_BYTES + 1));
    await store.head("a");
    assert.deepEqual(await keysOf(store, "", { startAfter: "a" }), ["b"]);
    await store.delete(["a", "b", "c"]);
    const { requests, retries } = store.usage?.() ?? {};
    assert.deepEqual(requests, { get: 1, head: 1, put: 1 + 4, list: 1, delete: 3 });
    assert.equal(retries, 0);
  });

  it("begins a listing in the middle by asking for the middle", async () => {
    const { containerName } = await createContainer();
    await using store = await connect(containerName, "app");
    const keys = Array.from({ length: 1_100 }, (_, index) => `k${String(index).padStart(5, "0")}`);
    for (let index = 0; index < keys.length; index += 50)
      await Promise.all(keys.slice(index, index + 50).map((key) => store.put(key, pattern(1))));
    assert.deepEqual(await keysOf(store, "k", { startAfter: "k01089" }), keys.slice(1_090));
    assert.equal(store.usage?.()?.requests.list, 1);
  });

  it("does not mix the blocks of two uploads", async () => {
    const { containerName } = await createContainer();
    await using store = await connect(containerName);
    const bodies = [1, 2, 3].map((seed) => pattern(3 * BLOCK_BYTES, seed));
    const results = await Promise.allSettled(
      bodies.map((body) => store.put("a", body, { ifAbsent: true })),
    );
    const winners = results.flatMap(({ status }, index) => (status === "fulfilled" ? [index] : []));
    assert.equal(winners.length, 1);
    assertBytes(await read(store, "a"), bodies[winners[0] ?? 0] ?? new Uint8Array(0));
  });

  it("says that the container is missing", async () => {
    await using store = await connect(`absent-${randomUUID()}`);
    const wanted = "storage/no-bucket";
    await assertFails(wanted, () => keysOf(store));
    await assertFails(wanted, () => store.head("a"));
    await assertFails(wanted, () => store.put("a", pattern(1)));
    await assertFails(wanted, () => store.put("a", pattern(BLOCK_BYTES + 1), { ifAbsent: true }));
    await assertFails(wanted, () => store.delete(["a"]));
  });

  it("works by a SAS token alone, as far as it reaches", async () => {
    const { containerName } = await createContainer();
    const none = { accountName: undefined, accountKey: undefined };
    const all = { ...none, sasToken: `?${token(containerName, "rcwdl")}` };
    await using writer = await connect(containerName, "app", all);
    await writer.put("a", pattern(10), { ifAbsent: true });
    await writer.put("b", pattern(BLOCK_BYTES + 1));
    await writer.delete(["b"]);
    const sasToken = token(containerName, "rl");
    await using reader = await connect(containerName, "app", { ...none, sasToken });
    assertBytes(await read(reader, "a"), pattern(10));
    assert.deepEqual(await keysOf(reader), ["a"]);
    const writes = [() => reader.put("c", pattern(1)), () => reader.delete(["a"])];
    for (const write of writes) {
      const error = await thrownBy(write);
      assert.equal(error.code, "storage/permission");
      assertNoSecret(error, [sasToken, new URLSearchParams(sasToken).get("sig") ?? "none"]);
    }
    assert.deepEqual(await keysOf(reader), ["a"]);
  });

  it("says that the key is wrong, and does not show it", async () => {
    const { containerName } = await createContainer();
    const accountKey = Buffer.from("a wrong and secret key").toString("base64");
    await using store = await connect(containerName, "", { accountKey });
    for (const call of [() => keysOf(store), () => store.put("a", pattern(1))]) {
      const error = await thrownBy(call);
      assert.equal(error.code, "storage/permission");
      assertNoSecret(error, [accountKey]);
    }
  });
});

describe("azure that cannot be reached", () => {
  it("is said so within seconds", async () => {
    const settings = {
      endpoint: "http://127.0.0.1:1/acct",
      accountName: "acct",
      accountKey: "c2VjcmV0",
    };
    const context = { clock: systemClock, random: Math.random, env: {} };
    const unreachable = { scheme: "abs", container: "c", prefix: "", settings } as const;
    await using store = await openAzureStore(unreachable, context);
    const begun = performance.now();
    await assertFails("storage/unavailable", () => keysOf(store));
    await assertFails("storage/unavailable", () => store.put("a", pattern(1), { ifAbsent: true }));
    assert.ok(performance.now() - begun < 15_000);
  });
});
