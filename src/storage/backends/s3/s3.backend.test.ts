/** S3 on two real servers that differ: VersityGW and MinIO. */
import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { createServer } from "node:net";
import type { AddressInfo } from "node:net";
import { describe, it } from "node:test";
import {
  CreateBucketCommand,
  DeleteBucketCommand,
  DeleteObjectCommand,
  HeadObjectCommand,
  ListMultipartUploadsCommand,
  PutObjectCommand,
  S3Client,
} from "@aws-sdk/client-s3";
import { isMillraceError, type ErrorCode, type MillraceError } from "../../../errors.ts";
import { freshPlace } from "../../../testing/fresh-place.ts";
import { absence, present, service, type S3Service } from "../../../testing/services.ts";
import type { ObjectStore } from "../../contract.ts";
import {
  assertAbsent,
  assertBytes,
  cut,
  keysOf,
  pattern,
  read,
  streamOf,
} from "../../conformance/support.ts";
import { storageConformance } from "../../conformance/suite.ts";
import { contextOf, openOn, targetOf } from "../../../testing/s3-store.ts";
import { openS3Store } from "./s3.ts";

const MIB = 1024 * 1024;

for (const name of ["s3", "minio"] as const) {
  const found = await service(name);
  const open = async (prefix: string): Promise<ObjectStore> => openOn(present(found), prefix);
  storageConformance(name, async () => freshPlace(open), {
    // A UUID and a slash stand before each key.
    maxKeyBytes: 1_024 - 42,
    unavailable: absence(found),
  });
  const skip = absence(found) ?? false;
  describe(`S3 on ${name}`, { skip }, () => {
    if (typeof found === "string") return;
    objectTests(found);
    multipartTests(found);
    failureTests(found);
    it(
      "a customer's key is needed to read what was written with it",
      { skip: name === "s3" ? "VersityGW has no SSE-C" : "MinIO wants TLS for SSE-C" },
      () => {},
    );
  });
}

function rawClient({ endpoint, region, accessKeyId, secretAccessKey }: S3Service): S3Client {
  const credentials = { accessKeyId, secretAccessKey };
  return new S3Client({ endpoint, region, credentials, forcePathStyle: true });
}

/** A bucket of its own. */
async function freshBucket(server: S3Service): Promise<S3Service & AsyncDisposable> {
  const client = rawClient(server);
  const bucket = `test-${randomUUID()}`;
  await client.send(new CreateBucketCommand({ Bucket: bucket }));
  return {
    ...server,
    bucket,
    async [Symbol.asyncDispose]() {
      await using store = await openOn({ ...server, bucket }, "");
      await store.delete(await keysOf(store));
      await client.send(new DeleteBucketCommand({ Bucket: bucket }));
      client.destroy();
    },
  };
}

function objectTests(server: S3Service): void {
  it("put() names objects as Litestream does, with its time in the metadata", async () => {
    await using bucket = await freshBucket(server);
    await using store = await openOn(bucket, "db/app");
    await store.put("0000/x.ltx", pattern(100), { createdAtMs: 1_700_000_000_120 });
    const client = rawClient(bucket);
    const Key = "db/app/0000/x.ltx";
    const head = await client.send(new HeadObjectCommand({ Bucket: bucket.bucket, Key }));
    assert.deepEqual(head.Metadata, { "litestream-timestamp": "2023-11-14T22:13:20.12Z" });
    client.destroy();
    await store.delete(["0000/x.ltx"]);
  });

  it("head() reads times of nanoseconds, and the store's own where there is none", async () => {
    await using bucket = await freshBucket(server);
    const client = rawClient(bucket);
    const Bucket = bucket.bucket;
    const Metadata = { "litestream-timestamp": "2023-11-14T22:13:20.123456789Z" };
    await client.send(new PutObjectCommand({ Bucket, Key: "p/a", Body: "a", Metadata }));
    await client.send(new PutObjectCommand({ Bucket, Key: "p/b", Body: "b" }));
    await client.send(new PutObjectCommand({ Bucket, Key: "p/dir/", Body: "" }));
    await using store = await openOn(bucket, "p");
    assert.equal((await store.head("a")).createdAtMs, 1_700_000_000_123);
    assert.ok((await store.head("b")).createdAtMs > 1_700_000_000_123);
    assert.deepEqual(await keysOf(store), ["a", "b"]);
    await client.send(new DeleteObjectCommand({ Bucket, Key: "p/dir/" }));
    client.destroy();
  });

  it("list() finds the objects of a replica without a path", async () => {
    await using bucket = await freshBucket(server);
    await using store = await openOn(bucket, "");
    await store.put("0000/x", pattern(10), { ifAbsent: true });
    assert.deepEqual(await keysOf(store, "0000/"), ["0000/x"]);
    assertBytes(await read(store, "0000/x"), pattern(10));
  });

  it("every request is counted once", async () => {
    await using bucket = await freshBucket(server);
    await using store = await openOn(bucket, "p");
    await store.put("a", pattern(10));
    await store.put("b", pattern(10), { ifAbsent: true });
    await read(store, "a");
    await (await store.get("a", { offset: 2, sizeBytes: 3 })).bytes();
    await store.head("a");
    await keysOf(store);
    await store.delete(["a", "b"]);
    const usage = store.usage?.();
    assert.deepEqual(usage?.requests, { get: 2, head: 1, put: 2, list: 1, delete: 1 });
    assert.deepEqual([usage?.retries, usage?.sentBytes, usage?.receivedBytes], [0, 20, 13]);
  });
}

function multipartTests(server: S3Service): void {
  const large = pattern(11 * MIB + 5, 1);
  const bodies = { bytes: large, stream: streamOf(cut(large, 700_001)) };

  for (const [what, body] of Object.entries(bodies)) {
    it(`put() of large ${what} is made of parts and reads back`, async () => {
      await using bucket = await freshBucket(server);
      await using store = await openOn(bucket, "p");
      const stored = await store.put("a", body, { createdAtMs: 1_700_000_000_123 });
      assert.deepEqual(await store.head("a"), stored);
      assert.match(stored.etag ?? "", /-3"?$/);
      assertBytes(await read(store, "a"), large);
      assert.equal(store.usage?.()?.requests.put, 5);
    });
  }

  it("put() of parts heeds its condition when it is completed", async () => {
    await using bucket = await freshBucket(server);
    await using store = await openOn(bucket, "p");
    const first = await store.put("a", large, { ifAbsent: true });
    await rejects("storage/exists", () => store.put("a", pattern(6 * MIB), { ifAbsent: true }));
    const second = await store.put("a", pattern(6 * MIB, 2), { ifMatch: first.etag });
    assert.notEqual(second.etag, first.etag);
    await rejects("storage/precondition-failed", () =>
      store.put("a", large, { ifMatch: first.etag }),
    );
    assertBytes(await read(store, "a"), pattern(6 * MIB, 2));
    assert.deepEqual(await uploads(bucket), []);
  });

  it("put() of parts lets one of three contenders win", async () => {
    await using bucket = await freshBucket(server);
    await using store = await openOn(bucket, "p");
    const results = await Promise.allSettled(
      [0, 1, 2].map((seed) => store.put("a", pattern(6 * MIB, seed), { ifAbsent: true })),
    );
    const winners = results.filter(({ status }) => status === "fulfilled");
    assert.equal(winners.length, 1);
    for (const result of results)
      if (result.status === "rejected") assert.ok(isMillraceError(result.reason, "storage/exists"));
    assert.deepEqual(await uploads(bucket), []);
  });

  it("put() of parts that fails, is aborted or closed leaves no parts behind", async () => {
    await using bucket = await freshBucket(server);
    const store = await openOn(bucket, "p");
    const broken = new Error("broken");
    const failing = {
      sizeBytes: 12 * MIB,
      open: async function* () {
        yield* cut(pattern(11 * MIB), MIB);
        throw broken;
      },
    };
    await assert.rejects(store.put("a", failing), (error) => error === broken);
    assert.deepEqual(await uploads(bucket), []);
    for (const end of ["abort", "close"]) {
      const reached = Promise.withResolvers<void>();
      const controller = new AbortController();
      const stalling = {
        sizeBytes: 12 * MIB,
        open: async function* () {
          yield* cut(pattern(11 * MIB), MIB);
          reached.resolve();
          await new Promise(() => {});
        },
      };
      const putting = store.put("a", stalling, { signal: controller.signal });
      const settled = assert.rejects(putting);
      await reached.promise;
      if (end === "abort") controller.abort(new Error("stop"));
      else await store[Symbol.asyncDispose]();
      await settled;
      // What an abort leaves to do in the background is over when the store is closed.
    }
    await using other = await openOn(bucket, "p");
    await assertAbsent(other, "a");
    assert.deepEqual(await uploads(bucket), []);
  });
}

function failureTests(server: S3Service): void {
  const keyId = { accessKeyId: "nobody", secretAccessKey: server.secretAccessKey };
  const secret = { accessKeyId: server.accessKeyId, secretAccessKey: "hunter2" };

  for (const [what, settings] of Object.entries({
    "a wrong key id": keyId,
    "a wrong secret": secret,
  })) {
    it(`${what} is storage/permission in every call, at once and without secrets`, async () => {
      await using store = await openOn(server, "p", settings);
      for (const call of calls(store)) {
        const error = await rejects("storage/permission", call);
        assert.match(`${error.hint}`, /credentials|AWS_ACCESS_KEY_ID/);
        for (const hidden of [server.secretAccessKey, "hunter2"])
          assert.ok(!`${error.message}${String(error.cause)}`.includes(hidden));
      }
      assert.equal(store.usage?.()?.retries, 0);
    });
  }

  it("a missing bucket is storage/no-bucket, and the hint says how to make it", async () => {
    const bucket = `missing-${randomUUID()}`;
    await using store = await openOn({ ...server, bucket }, "p");
    for (const call of calls(store)) {
      const error = await rejects("storage/no-bucket", call);
      assert.ok(error.hint?.includes(`s3://${bucket}`));
    }
  });

  it("a port where nobody listens is told within seconds, as something that may pass", async () => {
    const port = await freePort();
    const target = targetOf({ ...server, endpoint: `http://127.0.0.1:${port}` }, "p");
    await using store = await openS3Store(target, contextOf(server));
    const error = await rejects("storage/unavailable", () => store.head("a"));
    assert.equal(error.details["sent"], false);
    assert.match(error.message, /nothing listens there/);
  });

  it("TLS where there is none is storage/misconfigured", async () => {
    const endpoint = server.endpoint.replace("http:", "https:");
    await using store = await openOn({ ...server, endpoint }, "p");
    await rejects("storage/misconfigured", () => store.head("a"));
  });
}

function calls(store: ObjectStore): readonly (() => Promise<unknown>)[] {
  return [
    () => store.head("a"),
    () => store.get("a"),
    () => store.put("a", pattern(10), { ifAbsent: true }),
    () => store.put("a", pattern(6 * MIB)),
    () => keysOf(store),
    () => store.delete(["a", "b"]),
  ];
}

async function rejects(code: ErrorCode, call: () => Promise<unknown>): Promise<MillraceError> {
  const error: unknown = await call().then(
    () => assert.fail(`${code} was expected`),
    (thrown: unknown) => thrown,
  );
  if (!isMillraceError(error, code)) throw error;
  return error;
}

async function uploads(server: S3Service): Promise<string[]> {
  const client = rawClient(server);
  const command = new ListMultipartUploadsCommand({ Bucket: server.bucket, Prefix: "p/a" });
  const { Uploads = [] } = await client.send(command);
  client.destroy();
  return Uploads.map(({ Key }) => Key ?? "");
}

async function freePort(): Promise<number> {
  const socket = createServer();
  await new Promise<void>((resolve) => socket.listen(0, "127.0.0.1", resolve));
  const { port } = socket.address() as AddressInfo;
  await new Promise((resolve) => socket.close(resolve));
  return port;
}
