/** Azure Blob Storage: who is asked with which credentials, and what answers are called. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { ErrorCode, MillraceError } from "../../../errors.ts";
import { systemClock } from "../../../platform/clock.ts";
import { assertNoSecret, thrownBy } from "../../../testing/thrown.ts";
import {
  scriptedServer,
  silentServer,
  type ScriptedAnswer,
} from "../../../testing/scripted-server.ts";
import { assertFails, keysOf, pattern, streamOf } from "../../conformance/support.ts";
import type { ObjectStore } from "../../contract.ts";
import type { AzureTarget } from "../../replica-url/target.ts";
import { azureAccess } from "./azure-settings.ts";
import { BLOCK_BYTES } from "./azure-upload.ts";
import { openAzureStore } from "./azure.ts";

const KEY = Buffer.from("secret-account-key").toString("base64");
const SAS = "sv=2024-01-01&sp=r&sig=c2VjcmV0LXNpZ25hdHVyZQ%3D%3D";
const SECRETS = [KEY, SAS, "c2VjcmV0LXNpZ25hdHVyZQ"];
const PUT_HEADERS = { etag: '"0x1"', "last-modified": "Mon, 01 Jan 2024 00:00:00 GMT" };

function target(settings: AzureTarget["settings"]): AzureTarget {
  return { scheme: "abs", container: "c", prefix: "p", settings };
}

function open(endpoint: string, settings: AzureTarget["settings"] = {}): Promise<ObjectStore> {
  const context = { clock: systemClock, random: () => 0, env: {} };
  const key = { accountName: "acct", accountKey: KEY };
  return openAzureStore(target({ endpoint, ...key, ...settings }), context);
}

/** The error, which shows no secret. */
async function failureOf(run: () => Promise<unknown>): Promise<MillraceError> {
  const error = await thrownBy(run);
  assertNoSecret(error, SECRETS);
  return error;
}

function refusal(status: number, code: string, headers = {}): ScriptedAnswer {
  const body = `<?xml version="1.0"?><Error><Code>${code}</Code><Message>Because.\nRequestId:1</Message></Error>`;
  return {
    status,
    headers: { "x-ms-error-code": code, "content-type": "application/xml", ...headers },
    body,
  };
}

describe("azureAccess()", () => {
  it("takes a SAS token before a key before the default chain", () => {
    const both = { accountName: "acct", accountKey: KEY, sasToken: `?${SAS}` };
    assert.deepEqual(azureAccess(target(both), {}).credentials, { kind: "sas", token: SAS });
    const env = { LITESTREAM_AZURE_SAS_TOKEN: SAS, LITESTREAM_AZURE_ACCOUNT_KEY: KEY };
    const name = { accountName: "acct" };
    assert.equal(azureAccess(target(name), env).credentials.kind, "sas");
    const { LITESTREAM_AZURE_ACCOUNT_KEY } = env;
    assert.deepEqual(azureAccess(target(name), { LITESTREAM_AZURE_ACCOUNT_KEY }).credentials, {
      kind: "key",
      accountName: "acct",
      accountKey: KEY,
    });
    const empty = { LITESTREAM_AZURE_SAS_TOKEN: "", LITESTREAM_AZURE_ACCOUNT_KEY: "" };
    assert.deepEqual(azureAccess(target(name), empty).credentials, { kind: "default" });
  });

  it("finds the account's endpoint, or takes the given one", () => {
    const found = (settings: AzureTarget["settings"]): string =>
      azureAccess(target({ sasToken: SAS, ...settings }), {}).endpoint;
    assert.equal(found({ accountName: "acct" }), "https://acct.blob.core.windows.net");
    assert.equal(found({ endpoint: "http://127.0.0.1:1/acct/" }), "http://127.0.0.1:1/acct");
    assert.equal(found({ endpoint: "blob.test" }), "https://blob.test");
  });

  const BAD: Readonly<Record<string, AzureTarget["settings"]>> = {
    "no account": {},
    "a key without an account": { endpoint: "https://x.test", accountKey: KEY },
    "a key that is none": { accountName: "acct", accountKey: `${KEY}!` },
    "an account name that is a host": { accountName: "acct.test/x" },
    "a token without a signature": { accountName: "acct", sasToken: SAS.replace("sig", "xyz") },
    "an endpoint with a token": { endpoint: `https://x.test?${SAS}` },
    "an endpoint with a password": { endpoint: `https://u:${KEY}@x.test` },
    "plain http without a key": { endpoint: "http://x.test", accountName: "acct" },
  };
  for (const [what, settings] of Object.entries(BAD)) {
    it(`refuses ${what}`, async () => {
      const error = await failureOf(async () => azureAccess(target(settings), {}));
      assert.equal(error.code, "storage/misconfigured");
      assert.notEqual(error.hint, undefined);
    });
  }
});

describe("refusals", () => {
  const CASES: readonly (readonly [status: number, code: string, wanted: ErrorCode])[] = [
    [404, "BlobNotFound", "storage/not-found"],
    [404, "ContainerNotFound", "storage/no-bucket"],
    [409, "ContainerBeingDeleted", "storage/no-bucket"],
    [403, "AuthenticationFailed", "storage/permission"],
    [403, "AuthorizationPermissionMismatch", "storage/permission"],
    [400, "InvalidHeaderValue", "storage/misconfigured"],
  ];
  for (const [status, code, wanted] of CASES) {
    it(`calls ${status} ${code} ${wanted}`, async () => {
      await using server = await scriptedServer(() => refusal(status, code));
      await using store = await open(server.endpoint);
      for (const call of [() => store.head("a"), () => store.get("a"), () => keysOf(store)]) {
        const error = await failureOf(call);
        assert.equal(error.code, wanted);
        assert.doesNotMatch(error.message, /RequestId/);
      }
      assert.equal(server.requests.length, 3);
    });
  }

  it("are tried again where they pass, and counted", async () => {
    const answers = [
      refusal(503, "ServerBusy", { "retry-after": "0" }),
      refusal(500, "OperationTimedOut"),
      undefined,
      { headers: { ...PUT_HEADERS, "content-length": "7" } },
    ];
    await using server = await scriptedServer(() => answers.shift());
    await using store = await open(server.endpoint);
    assert.equal((await store.head("a")).etag, "0x1");
    assert.equal(store.usage?.()?.requests.head, 4);
    assert.equal(server.requests.length, 4);
  });

  it("of a conditional put that may have happened are the caller's", async () => {
    for (const answer of [refusal(500, "InternalError"), refusal(503, "Other"), undefined]) {
      await using server = await scriptedServer(() => answer);
      await using store = await open(server.endpoint);
      await assertFails("storage/unavailable", () =>
        store.put("a", pattern(10), { ifAbsent: true }),
      );
      assert.equal(server.requests.length, 1);
    }
  });

  it("say that a condition did not hold", async () => {
    const CONDITIONS = [
      [409, "BlobAlreadyExists", { ifAbsent: true }, "storage/exists"],
      [412, "ConditionNotMet", { ifAbsent: true }, "storage/exists"],
      [412, "ConditionNotMet", { ifMatch: "0x1" }, "storage/precondition-failed"],
      [404, "BlobNotFound", { ifMatch: "0x1" }, "storage/precondition-failed"],
      [404, "ContainerNotFound", { ifMatch: "0x1" }, "storage/no-bucket"],
    ] as const;
    for (const [status, code, condition, wanted] of CONDITIONS) {
      await using server = await scriptedServer(() => refusal(status, code));
      await using store = await open(server.endpoint);
      await assertFails(wanted, () => store.put("a", pattern(10), condition));
      const headers = server.requests[0]?.headers ?? {};
      assert.equal(
        headers["ifAbsent" in condition ? "if-none-match" : "if-match"],
        "ifAbsent" in condition ? "*" : '"0x1"',
      );
    }
  });
});

describe("uploads in blocks", () => {
  const sizeBytes = 3 * BLOCK_BYTES + 5;
  const isList = (path: string): boolean => path.includes("comp=blocklist");

  it("put the condition on the list, and repeat what broke before it", async () => {
    let broken = 0;
    await using server = await scriptedServer(({ path }) => {
      if (isList(path) || broken > 0) return { status: 201, headers: PUT_HEADERS };
      broken += 1;
      return refusal(500, "InternalError");
    });
    await using store = await open(server.endpoint);
    const source = streamOf([pattern(sizeBytes)]);
    const info = await store.put("a", source, { ifAbsent: true, createdAtMs: 0 });
    assert.equal(info.etag, "0x1");
    assert.equal(info.createdAtMs, 0);
    const lists = server.requests.filter(({ path }) => isList(path));
    assert.equal(lists.length, 1);
    const headers = lists[0]?.headers ?? {};
    assert.equal(headers["if-none-match"], "*");
    assert.equal(headers["x-ms-access-tier"], "Hot");
    assert.match(String(headers["x-ms-meta-litestreamtimestamp"]), /^1970-01-01T00:00:00/);
    assert.ok(
      server.requests.every(
        ({ path, headers: own }) => isList(path) || own["if-none-match"] === undefined,
      ),
    );
    assert.equal(store.usage?.()?.requests.put, server.requests.length);
  });

  it("are not repeated when the answer to the list is lost", async () => {
    await using server = await scriptedServer(({ path }) =>
      isList(path) ? undefined : { status: 201, headers: PUT_HEADERS },
    );
    await using store = await open(server.endpoint);
    const error = await failureOf(() => store.put("a", pattern(sizeBytes), { ifAbsent: true }));
    assert.equal(error.code, "storage/unavailable");
    assert.equal(server.requests.filter(({ path }) => isList(path)).length, 1);
  });

  it("begin anew when another upload dropped their blocks", async () => {
    const lists: ScriptedAnswer[] = [
      refusal(400, "InvalidBlockList"),
      { status: 201, headers: PUT_HEADERS },
    ];
    await using server = await scriptedServer(({ path }) =>
      isList(path) ? lists.shift() : { status: 201, headers: PUT_HEADERS },
    );
    await using store = await open(server.endpoint);
    await store.put("a", pattern(sizeBytes), { ifAbsent: true });
    assert.equal(server.requests.length, 2 * 5);
  });
});

describe("a SAS token", () => {
  it("goes with every request, into no error, also when nobody is there", async () => {
    const sas = { accountName: "acct", accountKey: undefined, sasToken: SAS };
    const server = await scriptedServer(() => refusal(403, "AuthenticationFailed"));
    await using store = await open(server.endpoint, sas);
    assert.equal((await failureOf(() => store.head("a"))).code, "storage/permission");
    assert.match(server.requests[0]?.path ?? "", /sig=/);
    await server[Symbol.asyncDispose]();
    const error = await failureOf(() => store.head("a"));
    assert.equal(error.code, "storage/unavailable");
    assert.match(error.message, /nothing listens there/);
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
    'HTTP/1.1 200 OK\r\ncontent-length: 100\r\netag: "1"\r\nlast-modified: Mon, 01 Jan 2024 00:00:00 GMT\r\n\r\nabc';

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
