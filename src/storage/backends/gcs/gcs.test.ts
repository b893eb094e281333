/** Google Cloud Storage as the real service answers, where its emulator answers otherwise. */
import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, it } from "node:test";
import { isMillraceError, type ErrorCode } from "../../../errors.ts";
import { systemClock } from "../../../platform/clock.ts";
import {
  scriptedServer,
  silentServer,
  type AskedRequest,
  type ScriptedAnswer,
} from "../../../testing/scripted-server.ts";
import { assertNoSecret, thrownBy } from "../../../testing/thrown.ts";
import {
  assertFails,
  CREATED_AT_MS,
  keysOf,
  pattern,
  streamOf,
} from "../../conformance/support.ts";
import type { ObjectStore } from "../../contract.ts";
import { RequestMeter } from "../../meter.ts";
import { gcsEndpoint } from "./gcs-endpoint.ts";
import { GcsRequests } from "./gcs-requests.ts";
import { PART_BYTES } from "./gcs-upload.ts";
import { openGcsStore } from "./gcs.ts";

const TOKEN = "ya29.secret-token";
const OBJECT = {
  name: "p/a",
  size: "10",
  generation: "1700000000000001",
  timeCreated: "2024-01-01T00:00:00.789Z",
};

function open(endpoint: string): Promise<ObjectStore> {
  const context = { clock: systemClock, random: () => 0, env: {} };
  const target = { scheme: "gs", bucket: "b", prefix: "p", settings: { endpoint } } as const;
  return openGcsStore(target, context);
}

function json(status: number, message: string, reason: string): ScriptedAnswer {
  return {
    status,
    body: JSON.stringify({ error: { code: status, message, errors: [{ reason }] } }),
  };
}

const NO_BUCKET = json(404, "The specified bucket does not exist.", "notFound");

describe("gcsEndpoint()", () => {
  const CASES: readonly (readonly [
    setting: string | undefined,
    emulator: string | undefined,
    base: string,
    isAnonymous: boolean,
  ])[] = [
    [undefined, undefined, "https://storage.googleapis.com", false],
    [undefined, "", "https://storage.googleapis.com", false],
    [undefined, "localhost:4443", "http://localhost:4443", true],
    [undefined, "http://127.0.0.1:4443/storage/v1/", "http://127.0.0.1:4443", true],
    [undefined, "https://emulator.test", "https://emulator.test", true],
    ["storage-x.p.googleapis.com", "localhost:1", "https://storage-x.p.googleapis.com", false],
    ["127.0.0.1:4443", undefined, "http://127.0.0.1:4443", true],
    ["[::1]:4443", undefined, "http://[::1]:4443", true],
    ["http://gcs.test/base/", undefined, "http://gcs.test/base", true],
  ];
  for (const [setting, emulator, base, isAnonymous] of CASES) {
    it(`is ${base} for the setting ${setting} and the emulator ${emulator}`, () => {
      const found = gcsEndpoint(setting, { STORAGE_EMULATOR_HOST: emulator });
      assert.equal(found.base, base);
      assert.equal(found.isAnonymous, isAnonymous);
    });
  }

  it("refuses what is no address, and shows nothing of it", () => {
    for (const setting of ["ftp://x", "https://user:secret@x", "https://x?key=secret", "http://"]) {
      assert.throws(
        () => gcsEndpoint(setting, {}),
        (error) => {
          assertNoSecret(error, ["secret"]);
          return isMillraceError(error, "storage/misconfigured") && error.hint !== undefined;
        },
      );
    }
  });
});

describe("refusals", () => {
  const CASES: readonly (readonly [string, ScriptedAnswer, ErrorCode, ErrorCode])[] = [
    [
      "an absent object",
      json(404, "No such object: b/p/a", "notFound"),
      "storage/not-found",
      "storage/no-bucket",
    ],
    ["an absent bucket", NO_BUCKET, "storage/no-bucket", "storage/no-bucket"],
    [
      "no permission",
      json(403, "x does not have storage.objects.get access", "forbidden"),
      "storage/permission",
      "storage/permission",
    ],
    [
      "no credentials",
      json(401, "Anonymous caller", "required"),
      "storage/permission",
      "storage/permission",
    ],
    [
      "a wrong request",
      json(400, "Invalid argument", "invalid"),
      "storage/misconfigured",
      "storage/misconfigured",
    ],
  ];
  for (const [what, answer, headCode, listCode] of CASES) {
    it(`says what ${what} is`, async () => {
      await using server = await scriptedServer(() => answer);
      await using store = await open(server.endpoint);
      const error = await thrownBy(() => store.head("a"));
      assert.equal(error.code, headCode);
      assert.match(error.message, /^head object "a" in gs:\/\/b at http:\/\/127\.0\.0\.1:\d+: /);
      assert.equal((await thrownBy(() => keysOf(store))).code, listCode);
      assert.equal(server.requests.length, 2);
    });
  }

  it("names the bucket that is missing, and how to make it", async () => {
    const body =
      "<?xml version='1.0'?><Error><Code>NoSuchBucket</Code><Message>gone</Message></Error>";
    await using server = await scriptedServer(() => ({ status: 404, body }));
    await using store = await open(server.endpoint);
    const error = await thrownBy(() => store.get("a"));
    assert.equal(error.code, "storage/no-bucket");
    assert.match(error.hint ?? "", /gcloud storage buckets create gs:\/\/b/);
  });

  it("tries again what passes, and counts it", async () => {
    const answers: ScriptedAnswer[] = [
      { status: 503, body: "busy" },
      { ...json(429, "slow down", "rateLimitExceeded"), headers: { "retry-after": "0" } },
      json(403, "too fast", "userRateLimitExceeded"),
      { body: JSON.stringify(OBJECT) },
    ];
    await using server = await scriptedServer(() => answers.shift());
    await using store = await open(server.endpoint);
    assert.equal((await store.head("a")).sizeBytes, 10);
    assert.equal(store.usage?.()?.requests.head, 4);
    assert.equal(store.usage?.()?.retries, 3);
  });

  it("does not repeat a conditional put that may have happened", async () => {
    for (const answer of [{ status: 503 }, { status: 500 }, undefined]) {
      await using server = await scriptedServer(() => answer);
      await using store = await open(server.endpoint);
      await assertFails("storage/unavailable", () =>
        store.put("a", pattern(10), { ifAbsent: true }),
      );
      assert.equal(server.requests.length, 1);
    }
  });

  it("asks for no version that no object has", async () => {
    await using server = await scriptedServer(() => undefined);
    await using store = await open(server.endpoint);
    for (const ifMatch of ["0", "x", "", "-1", "1 OR 1"]) {
      await assertFails("storage/precondition-failed", () =>
        store.put("a", pattern(10), { ifMatch }),
      );
    }
    assert.equal(server.requests.length, 0);
  });
});

/** A service that takes uploads in parts, and of the first part only `firstTaken` bytes. */
function session(answers: {
  readonly firstTaken?: number;
  readonly onPart?: (request: AskedRequest) => ScriptedAnswer | undefined | "take";
}): (request: AskedRequest) => ScriptedAnswer | undefined {
  let taken = 0;
  return (request) => {
    const { method, headers, body } = request;
    if (method === "DELETE") return { status: 499 };
    if (method === "POST") {
      // The host is none: parts go where the endpoint is.
      const location = "https://nowhere.invalid/upload/storage/v1/b/b/o?upload_id=secret-id";
      return { headers: { location } };
    }
    const special = answers.onPart === undefined ? "take" : answers.onPart(request);
    if (special !== "take") return special;
    const total = Number(/\/(\d+)$/.exec(String(headers["content-range"]))?.[1]);
    taken += taken === 0 ? (answers.firstTaken ?? body.length) : body.length;
    if (taken < total) return { status: 308, headers: { range: `bytes=0-${taken - 1}` } };
    return { body: JSON.stringify({ ...OBJECT, size: String(total) }) };
  };
}

describe("uploads in parts", () => {
  const sizeBytes = 2 * PART_BYTES + 5;

  it("send again what the service did not take", async () => {
    await using server = await scriptedServer(session({ firstTaken: 256 * 1024 }));
    await using store = await open(server.endpoint);
    await store.put("a", pattern(sizeBytes), { createdAtMs: CREATED_AT_MS });
    const [start, ...parts] = server.requests;
    assert.match(
      Buffer.from(start?.body ?? []).toString(),
      /"litestream-timestamp":"2023-11-14T22:13:20.123Z"/,
    );
    const ranges = parts.map(({ headers }) => headers["content-range"]);
    const [first, second] = [PART_BYTES, 2 * PART_BYTES];
    assert.deepEqual(ranges, [
      `bytes 0-${first - 1}/${sizeBytes}`,
      `bytes ${256 * 1024}-${first - 1}/${sizeBytes}`,
      `bytes ${first}-${second - 1}/${sizeBytes}`,
      `bytes ${second}-${sizeBytes - 1}/${sizeBytes}`,
    ]);
    const sent = Buffer.concat([
      (parts[0]?.body ?? Buffer.alloc(0)).subarray(0, 256 * 1024),
      ...parts.slice(1).map(({ body }) => body),
    ]);
    assert.equal(Buffer.compare(sent, pattern(sizeBytes)), 0);
    assert.equal(store.usage?.()?.requests.put, 5);
  });

  it("give the session up when the source fails", async () => {
    await using server = await scriptedServer(session({}));
    await using store = await open(server.endpoint);
    const thrown = new Error("the source broke");
    const source = {
      sizeBytes,
      open: async function* () {
        yield await Promise.resolve(pattern(sizeBytes - 1));
        throw thrown;
      },
    };
    await assert.rejects(() => store.put("a", source), thrown);
    assert.deepEqual(
      server.requests.map(({ method }) => method),
      ["POST", "PUT", "PUT", "DELETE"],
    );
  });

  it("give the session up when they are aborted", async () => {
    const controller = new AbortController();
    const gone = Promise.withResolvers<void>();
    const script = session({});
    await using server = await scriptedServer((request) => {
      if (request.method === "PUT") controller.abort(new Error("stop"));
      if (request.method === "DELETE") gone.resolve();
      return script(request);
    });
    await using store = await open(server.endpoint);
    const { signal } = controller;
    await assert.rejects(() => store.put("a", pattern(sizeBytes), { signal }), /stop/);
    await gone.promise;
  });

  it("are repeated when they break before the last part, also with a condition", async () => {
    let isBroken = false;
    const script = session({
      onPart: ({ headers }) => {
        if (isBroken || !String(headers["content-range"]).startsWith("bytes 0-")) return "take";
        isBroken = true;
        return { status: 503 };
      },
    });
    await using server = await scriptedServer(script);
    await using store = await open(server.endpoint);
    const source = streamOf([pattern(sizeBytes)]);
    assert.equal((await store.put("a", source, { ifAbsent: true })).sizeBytes, sizeBytes);
    assert.deepEqual(
      server.requests.map(({ method }) => method),
      ["POST", "PUT", "DELETE", "POST", "PUT", "PUT", "PUT"],
    );
    assert.match(server.requests[0]?.path ?? "", /ifGenerationMatch=0/);
  });

  it("are not repeated when the last part's answer is lost", async () => {
    const script = session({
      onPart: ({ headers }) =>
        String(headers["content-range"]).includes(`-${sizeBytes - 1}/`) ? undefined : "take",
    });
    await using server = await scriptedServer(script);
    await using store = await open(server.endpoint);
    const error = await thrownBy(() => store.put("a", pattern(sizeBytes), { ifAbsent: true }));
    assert.equal(error.code, "storage/unavailable");
    assertNoSecret(error, ["secret-id"]);
    assert.equal(server.requests.filter(({ method }) => method === "POST").length, 1);
  });
});

describe("readings", () => {
  it("refuse bytes from elsewhere", async () => {
    const headers = { "x-goog-generation": "1", "x-goog-stored-content-length": "10" };
    await using server = await scriptedServer(() => ({ headers, body: pattern(10) }));
    await using store = await open(server.endpoint);
    await assertFails("storage/misconfigured", () => store.get("a", { offset: 3 }));
  });

  it("refuse a page that is not the store's", async () => {
    await using server = await scriptedServer(() => ({ body: "<h1>Welcome</h1>" }));
    await using store = await open(server.endpoint);
    for (const call of [() => store.get("a"), () => store.head("a"), () => keysOf(store)])
      await assertFails("storage/misconfigured", call);
  });

  it("take the time of creation, to the second, where no other is told", async () => {
    await using server = await scriptedServer(() => ({ body: JSON.stringify(OBJECT) }));
    await using store = await open(server.endpoint);
    assert.equal((await store.head("a")).createdAtMs, Date.parse("2024-01-01T00:00:00Z"));
  });
});

describe("credentials", () => {
  it("go with every request, and into no error", async () => {
    await using server = await scriptedServer(() => json(403, "denied", "forbidden"));
    const requests = new GcsRequests({
      endpoint: { base: server.endpoint, isAnonymous: false, isPublic: false },
      credentials: { headers: async () => new Headers({ authorization: `Bearer ${TOKEN}` }) },
      meter: new RequestMeter(),
      bucket: "b",
      where: "gs://b",
    });
    const { signal } = new AbortController();
    const call = { kind: "get", method: "GET", path: "/b/a", op: "get object", signal } as const;
    assertNoSecret(await thrownBy(() => requests.send(call)), [TOKEN]);
    assert.equal(server.requests[0]?.headers["authorization"], `Bearer ${TOKEN}`);
    await server[Symbol.asyncDispose]();
    assertNoSecret(await thrownBy(() => requests.send(call)), [TOKEN]);
  });

  it("that cannot be read are named, and not shown", async () => {
    const directory = mkdtempSync(join(tmpdir(), "millrace-gcs-"));
    const { GOOGLE_APPLICATION_CREDENTIALS: before } = process.env;
    try {
      const broken = join(directory, "broken.json");
      writeFileSync(broken, `{"private_key": secret-key-material}`);
      const key = join(directory, "key.json");
      writeFileSync(
        key,
        JSON.stringify({
          type: "service_account",
          client_email: "a@b",
          private_key: "secret-key-material",
        }),
      );
      for (const file of [join(directory, "absent.json"), broken, key]) {
        process.env["GOOGLE_APPLICATION_CREDENTIALS"] = file;
        const context = { clock: systemClock, random: () => 0, env: {} };
        const target = { scheme: "gs", bucket: "b", prefix: "", settings: {} } as const;
        await using store = await openGcsStore(target, context);
        const error = await thrownBy(() => store.head("a"));
        assert.equal(error.code, "storage/permission", error.message);
        assert.match(error.hint ?? "", /GOOGLE_APPLICATION_CREDENTIALS/);
        assertNoSecret(error, ["secret-key-material"]);
      }
    } finally {
      if (before === undefined) delete process.env["GOOGLE_APPLICATION_CREDENTIALS"];
      else process.env["GOOGLE_APPLICATION_CREDENTIALS"] = before;
      rmSync(directory, { recursive: true, force: true });
    }
  });
});

describe("an abort", () => {
  const CALLS: Readonly<
    Record<string, (store: ObjectStore, signal: AbortSignal) => Promise<unknown>>
  > = {
    "get()": (store, signal) => store.get("a", { signal }),
    "head()": (store, signal) => store.head("a", { signal }),
    "put()": (store, signal) => store.put("a", pattern(100), { signal }),
    "list()": (store, signal) => keysOf(store, "", { signal }),
    "delete()": (store, signal) => store.delete(["a"], { signal }),
  };
  for (const [name, call] of Object.entries(CALLS)) {
    it(`ends the request of ${name}`, async () => {
      await using server = await silentServer();
      await using store = await open(server.endpoint);
      const controller = new AbortController();
      const calling = call(store, controller.signal);
      const rejected = assert.rejects(calling, /stop/);
      await server.reached;
      controller.abort(new Error("stop"));
      await rejected;
      await server.left;
    });
  }

  const BEGINNING =
    "HTTP/1.1 200 OK\r\ncontent-length: 100\r\nx-goog-generation: 1\r\nx-goog-stored-content-length: 100\r\n\r\nabc";

  it("ends a reading in the middle, also one that nobody reads", async () => {
    for (const isRead of [true, false]) {
      await using server = await silentServer(BEGINNING);
      await using store = await open(server.endpoint);
      const controller = new AbortController();
      const body = await store.get("a", { signal: controller.signal });
      const reading = isRead ? assert.rejects(body.bytes(), /stop/) : undefined;
      controller.abort(new Error("stop"));
      await reading;
      await server.left;
    }
  });

  it("is not needed to free the connection of a body that is disposed", async () => {
    await using server = await silentServer(BEGINNING);
    await using store = await open(server.endpoint);
    await (await store.get("a"))[Symbol.asyncDispose]();
    await server.left;
  });
});
