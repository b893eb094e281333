/** What goes over the wire, and what becomes of the answers: against a server that answers what the test says. */
import assert from "node:assert/strict";
import { createServer, type IncomingHttpHeaders } from "node:http";
import type { AddressInfo } from "node:net";
import { describe, it } from "node:test";
import { inspect } from "node:util";
import { isMillraceError, type ErrorCode } from "../../../errors.ts";
import { systemClock } from "../../../platform/clock.ts";
import { assertNoSecret } from "../../../testing/thrown.ts";
import { assertFails, cut, keysOf, pattern, streamOf } from "../../conformance/support.ts";
import { RequestMeter } from "../../meter.ts";
import type { ObjectStore } from "../../contract.ts";
import type { ReplicaSettings } from "../../replica-url/settings.ts";
import { openOssStore } from "./oss.ts";
import { lookUpRegion } from "./s3-client.ts";
import { openS3Store } from "./s3.ts";
import { planS3 } from "./s3-plan.ts";

const ACCESS = "AKIAHUNTER1";
const SECRET = "hunter2/secret";
const TOKEN = "hunter3-token";
const SSE_KEY = Buffer.alloc(32, 9).toString("base64");
const SECRETS = [ACCESS, SECRET, TOKEN, SSE_KEY];
const ENV = {
  AWS_ACCESS_KEY_ID: ACCESS,
  AWS_SECRET_ACCESS_KEY: SECRET,
  AWS_SESSION_TOKEN: TOKEN,
};
const CONTEXT = { clock: systemClock, random: () => 0, env: ENV };
const SSE_ALGORITHM = "x-amz-server-side-encryption-customer-algorithm";
const MIB = 1024 * 1024;

interface Seen {
  readonly method: string;
  readonly url: string;
  readonly headers: IncomingHttpHeaders;
  readonly body: Buffer;
}

interface Answer {
  readonly status?: number;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string;
}

interface Fake extends AsyncDisposable {
  readonly endpoint: string;
  readonly seen: Seen[];
}

async function serve(answer: (request: Seen) => Answer): Promise<Fake> {
  const seen: Seen[] = [];
  const server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on("data", (chunk: Buffer) => chunks.push(chunk));
    request.on("end", () => {
      const { method = "", url = "", headers } = request;
      const one = { method, url, headers, body: Buffer.concat(chunks) };
      seen.push(one);
      const { status = 200, headers: extra = {}, body = "" } = answer(one);
      const algorithm = headers[SSE_ALGORITHM];
      if (algorithm !== undefined) response.setHeader(SSE_ALGORITHM, algorithm);
      const size = { "content-length": String(Buffer.byteLength(body)) };
      response.writeHead(status, { etag: '"e"', ...size, ...extra });
      response.end(method === "HEAD" ? "" : body);
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  return {
    endpoint: `http://127.0.0.1:${port}`,
    seen,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

function open(endpoint: string, settings: ReplicaSettings = {}): Promise<ObjectStore> {
  return openS3Store(
    { scheme: "s3", bucket: "bucket", prefix: "p", settings: { endpoint, ...settings } },
    CONTEXT,
  );
}

function errorBody(code: string, rest = ""): string {
  const text = `said of ${ACCESS} ${SECRET} ${TOKEN} ${SSE_KEY}`;
  return `<?xml version="1.0"?><Error><Code>${code}</Code><Message>${text}</Message>${rest}</Error>`;
}

describe("S3 requests", () => {
  it("are signed with their payload, in one piece, without checksums nobody asked for", async () => {
    await using fake = await serve(() => ({}));
    await using store = await open(fake.endpoint);
    await store.put("a", streamOf(cut(pattern(70_000), 10_000)), {
      createdAtMs: 1_700_000_000_120,
    });
    const [put] = fake.seen;
    assert.equal(put?.url, "/bucket/p/a?x-id=PutObject");
    assert.match(String(put?.headers["x-amz-content-sha256"]), /^[0-9a-f]{64}$/);
    assert.equal(put?.headers["content-length"], "70000");
    assert.equal(put?.headers["x-amz-meta-litestream-timestamp"], "2023-11-14T22:13:20.12Z");
    const unwanted = ["transfer-encoding", "content-encoding", "expect", "x-amz-trailer"];
    const names = Object.keys(put?.headers ?? {});
    assert.deepEqual(
      names.filter((name) => unwanted.includes(name) || /checksum/.test(name)),
      [],
    );
    assert.match(String(put?.headers["user-agent"]), /millrace/);
  });

  it("carry what settings and provider want", async () => {
    await using fake = await serve(() => ({}));
    const settings = { signPayload: false, storageClass: "STANDARD_IA", sseKmsKeyId: "kms" };
    await using store = await open(fake.endpoint, settings);
    await store.put("a", pattern(10), { ifAbsent: true });
    await store.put("a", pattern(10), { ifMatch: '"e"' });
    const [create, replace] = fake.seen.map(({ headers }) => headers);
    assert.equal(create?.["x-amz-content-sha256"], "UNSIGNED-PAYLOAD");
    assert.equal(create?.["x-amz-storage-class"], "STANDARD_IA");
    assert.equal(create?.["x-amz-server-side-encryption"], "aws:kms");
    assert.equal(create?.["x-amz-server-side-encryption-aws-kms-key-id"], "kms");
    assert.deepEqual([create?.["if-none-match"], replace?.["if-match"]], ["*", '"e"']);
  });

  it("carry a customer's key wherever content goes, and nowhere else", async () => {
    await using fake = await serve(({ method, url }) => {
      if (url.includes("uploads")) {
        const id = "<UploadId>u</UploadId>";
        return { body: `<InitiateMultipartUploadResult>${id}</InitiateMultipartUploadResult>` };
      }
      if (method === "POST" && url.includes("uploadId")) {
        const etag = "<ETag>e</ETag>";
        return { body: `<CompleteMultipartUploadResult>${etag}</CompleteMultipartUploadResult>` };
      }
      return {};
    });
    await using store = await open(fake.endpoint, { sseCustomerKey: SSE_KEY });
    await store.put("a", pattern(10));
    await store.put("a", pattern(5 * MIB + 1));
    await store.head("a");
    await (await store.get("a"))[Symbol.asyncDispose]();
    await store.delete(["a"]);
    const shown = fake.seen.map(({ method, headers }) => [
      method,
      headers["x-amz-server-side-encryption-customer-key"] === SSE_KEY,
    ]);
    const expected = ["PUT", "POST", "PUT", "PUT", "POST", "HEAD", "GET"];
    assert.deepEqual(shown, [...expected.map((method) => [method, true]), ["DELETE", false]]);
    assert.deepEqual(store.usage?.()?.requests, { get: 1, head: 1, put: 5, list: 0, delete: 1 });
  });

  it("for many deletions are proven by MD5, or by CRC-32 where that is not wanted", async () => {
    await using fake = await serve(() => ({ body: "<DeleteResult></DeleteResult>" }));
    for (const requireContentMd5 of [undefined, false]) {
      await using store = await open(fake.endpoint, { requireContentMd5 });
      await store.delete(["a", "b & c"]);
    }
    const [md5, crc] = fake.seen.map(({ headers }) => [
      typeof headers["content-md5"],
      typeof headers["x-amz-checksum-crc32"],
    ]);
    assert.deepEqual(
      [md5, crc],
      [
        ["string", "undefined"],
        ["undefined", "string"],
      ],
    );
    assert.match(String(fake.seen[0]?.body), /<Key>p\/a<\/Key>.*<Key>p\/b &amp; c<\/Key>/s);
  });

  it("of OSS go to the same paths", async () => {
    await using fake = await serve(() => ({}));
    const { endpoint } = fake;
    const env = { OSS_ACCESS_KEY_ID: ACCESS, OSS_ACCESS_KEY_SECRET: SECRET };
    await using store = await openOssStore(
      { scheme: "oss", bucket: "bucket", prefix: "p", settings: { endpoint } },
      { ...CONTEXT, env },
    );
    await store.put("0000/x", pattern(10));
    assert.equal(store.type, "oss");
    assert.equal(fake.seen[0]?.url, "/bucket/p/0000/x?x-id=PutObject");
    assert.equal(store.capabilities.conditionalCreate, false);
  });
});

describe("lookUpRegion()", () => {
  const cases: Readonly<Record<string, Answer>> = {
    "from an answer": { headers: { "x-amz-bucket-region": "eu-north-1" } },
    "from a redirection": { status: 301, headers: { "x-amz-bucket-region": "eu-north-1" } },
    "from a refusal": { status: 403, headers: { "x-amz-bucket-region": "eu-north-1" } },
  };
  for (const [what, answer] of Object.entries({ ...cases, "as the oldest": { status: 403 } })) {
    it(`finds the region ${what}`, async () => {
      await using fake = await serve(() => answer);
      const { endpoint } = fake;
      const target = {
        scheme: "s3",
        bucket: "bucket",
        prefix: "",
        settings: { endpoint },
      } as const;
      const meter = new RequestMeter();
      const region = await lookUpRegion(planS3(target, ENV, String), meter, undefined);
      assert.equal(region, what === "as the oldest" ? "us-east-1" : "eu-north-1");
      assert.equal(meter.usage().requests.head, 1);
    });
  }
});

interface Case {
  readonly answer: Answer;
  readonly code: ErrorCode;
  readonly says?: RegExp;
  readonly hint?: RegExp;
  readonly call?: (store: ObjectStore) => Promise<unknown>;
}

const put = (store: ObjectStore): Promise<unknown> =>
  store.put("a", pattern(10), { ifAbsent: true });

const ANSWERS: Readonly<Record<string, Case>> = {
  "a key that is not there": {
    answer: { status: 404, body: errorBody("NoSuchKey") },
    code: "storage/not-found",
  },
  "a bucket that is not there": {
    answer: { status: 404, body: errorBody("NoSuchBucket") },
    code: "storage/no-bucket",
    hint: /aws s3 mb s3:\/\/bucket/,
  },
  "a key id that nobody knows": {
    answer: { status: 403, body: errorBody("InvalidAccessKeyId") },
    code: "storage/permission",
    hint: /AWS_ACCESS_KEY_ID/,
  },
  "a wrong secret": {
    answer: { status: 403, body: errorBody("SignatureDoesNotMatch") },
    code: "storage/permission",
  },
  "credentials that are over": {
    answer: { status: 400, body: errorBody("ExpiredToken") },
    code: "storage/permission",
    hint: /renew/,
  },
  "an operation that is not allowed": {
    answer: { status: 403, body: errorBody("AccessDenied") },
    code: "storage/permission",
    hint: /s3:PutObject/,
  },
  "a clock that is wrong": {
    answer: { status: 403, body: errorBody("RequestTimeTooSkewed") },
    code: "storage/permission",
    hint: /clock/,
  },
  "a signature for another region": {
    answer: {
      status: 400,
      body: errorBody("AuthorizationHeaderMalformed", "<Region>eu-west-3</Region>"),
    },
    code: "storage/misconfigured",
    says: /"eu-west-3", not in "us-east-1"/,
    hint: /region=eu-west-3/,
  },
  "a redirection to another region": {
    answer: {
      status: 301,
      headers: { "x-amz-bucket-region": "eu-west-3" },
      body: errorBody("PermanentRedirect"),
    },
    code: "storage/misconfigured",
    hint: /region=eu-west-3/,
  },
  "a refused condition": {
    answer: { status: 412, body: errorBody("PreconditionFailed") },
    code: "storage/exists",
    call: put,
  },
  "a condition that is not implemented": {
    answer: { status: 501, body: errorBody("NotImplemented") },
    code: "storage/unsupported",
    hint: /conditional-writes=false/,
    call: put,
  },
  "a store that takes no notice of a customer's key": {
    answer: { headers: { [SSE_ALGORITHM]: "none" } },
    code: "storage/unsupported",
    hint: /not encrypted/,
    call: put,
  },
  "an answer without an ETag": {
    answer: { status: 200, headers: { etag: "" } },
    code: "storage/misconfigured",
    says: /ETag/,
    call: put,
  },
};

describe("S3 answers", () => {
  for (const [what, { answer, code, says, hint, call }] of Object.entries(ANSWERS)) {
    it(`${what}: ${code}, said with a place and without secrets`, async () => {
      await using fake = await serve(() => answer);
      await using store = await open(fake.endpoint, { sseCustomerKey: SSE_KEY });
      const ask = call ?? (async () => (await store.get("a")).bytes());
      const error = await ask(store).catch((thrown: unknown) => thrown);
      assert.ok(isMillraceError(error, code), inspect(error));
      assert.match(error.message, /"a" in s3:\/\/bucket\/p at http:\/\/127\.0\.0\.1:\d+: /);
      if (says !== undefined) assert.match(error.message, says);
      if (hint !== undefined) assert.match(error.hint ?? "", hint);
      assertNoSecret(error, SECRETS);
      assert.equal(fake.seen.length, 1, "it is asked once");
    });
  }

  it("that pass are asked again: throttling, conflicts, failures of the server", async () => {
    const passing: readonly Answer[] = [
      { status: 503, headers: { "retry-after": "0" }, body: errorBody("SlowDown") },
      { status: 429 },
      { status: 409, body: errorBody("ConditionalRequestConflict") },
    ];
    const left = [...passing];
    await using fake = await serve(() => left.shift() ?? {});
    await using store = await open(fake.endpoint);
    await put(store);
    assert.equal(fake.seen.length, 4);
    assert.equal(store.usage?.()?.retries, 3);
  });

  it("that leave open what happened are not asked again for a condition", async () => {
    const answers: readonly Answer[] = [
      { status: 500, body: errorBody("InternalError") },
      { status: 400, body: errorBody("RequestTimeout") },
    ];
    for (const answer of answers) {
      await using fake = await serve(() => answer);
      await using store = await open(fake.endpoint, { sseCustomerKey: SSE_KEY });
      const error = await put(store).catch((thrown: unknown) => thrown);
      assert.ok(isMillraceError(error, "storage/unavailable"), inspect(error));
      assertNoSecret(error, SECRETS);
      assert.equal(fake.seen.length, 1);
    }
  });

  it("of 404 mean an absent object only where one was asked for", async () => {
    await using fake = await serve(() => ({ status: 404 }));
    await using store = await open(fake.endpoint);
    await assertFails("storage/not-found", () => store.get("a"));
    await assertFails("storage/not-found", () => store.head("a"));
    await store.delete(["a"]);
    await assertFails("storage/misconfigured", () => keysOf(store));
    await assertFails("storage/misconfigured", () => store.delete(["a", "b"]));
  });

  it("to many deletions name what was not deleted", async () => {
    const failed =
      "<Error><Key>p/b</Key><Code>AccessDenied</Code><Message>no</Message></Error>" +
      "<Error><Key>p/c</Key><Code>NoSuchKey</Code><Message>none</Message></Error>";
    await using fake = await serve(() => ({ body: `<DeleteResult>${failed}</DeleteResult>` }));
    await using store = await open(fake.endpoint);
    const error = await store.delete(["a", "b", "c"]).catch((thrown: unknown) => thrown);
    assert.ok(isMillraceError(error, "storage/permission"), inspect(error));
    assert.match(error.message, /"b" in .*1 of 3 objects were not deleted/);
  });
});
