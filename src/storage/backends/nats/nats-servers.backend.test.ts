/** NATS servers that want to know who asks, that hide behind TLS, and that go away. */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, it } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import { Objm } from "@nats-io/obj";
import { connect, nkeys, type NodeConnectionOptions } from "@nats-io/transport-node";
import { isMillraceError, type MillraceError } from "../../../errors.ts";
import { systemClock, systemRandom } from "../../../platform/clock.ts";
import { natsAccounts } from "../../../testing/nats-accounts.ts";
import { natsProgram, NatsServer } from "../../../testing/nats-server.ts";
import { assertBytes, cut, keysOf, pattern, streamOf } from "../../conformance/support.ts";
import type { ObjectStore } from "../../contract.ts";
import { parseReplicaUrl } from "../../replica-url/replica-url.ts";
import type { ReplicaSettings } from "../../replica-url/settings.ts";
import { connectionOptions } from "./nats-login.ts";
import { openNatsStore } from "./nats.ts";

const program = natsProgram();
const skip = typeof program === "string" && program;
const KEY = "ltx/0/object";

async function open(server: NatsServer, settings: ReplicaSettings = {}): Promise<ObjectStore> {
  const target = parseReplicaUrl({ url: `nats://${server.host}/bucket/db`, settings });
  assert.ok(target.scheme === "nats");
  return openNatsStore(target, { clock: systemClock, random: systemRandom, env: {} });
}

async function createBucket(
  server: NatsServer,
  options: NodeConnectionOptions = {},
): Promise<void> {
  const connection = await connect({ servers: server.host, ...options });
  await new Objm(connection).create("bucket");
  await connection.close();
}

/** Puts, reads, lists and deletes. */
async function assertWorks(server: NatsServer, settings: ReplicaSettings): Promise<void> {
  await using store = await open(server, settings);
  await store.put(KEY, pattern(300_000), { ifAbsent: true });
  await store.put(KEY, pattern(200_000));
  assertBytes(await (await store.get(KEY)).bytes(), pattern(200_000));
  assert.deepEqual(await keysOf(store), [KEY]);
  await store.delete([KEY]);
}

async function failureOf(call: () => Promise<unknown>): Promise<MillraceError> {
  try {
    await call();
  } catch (error) {
    assert.ok(isMillraceError(error), String(error));
    return error;
  }
  return assert.fail("it did not fail");
}

/** Fails with `code` within seconds, and names none of the secrets in anything that could be shown. */
async function assertRefused(
  server: NatsServer,
  settings: ReplicaSettings,
  expected: { readonly code: string; readonly text: RegExp; readonly secrets?: readonly string[] },
): Promise<MillraceError> {
  const startMs = performance.now();
  const error = await failureOf(async () => {
    await using store = await open(server, settings);
    await store.head(KEY);
  });
  assert.equal(error.code, expected.code, error.message);
  assert.match(error.message, expected.text);
  assert.ok(error.hint !== undefined && error.hint !== "");
  assert.ok(performance.now() - startMs < 10_000);
  const shown: string[] = [];
  for (let at: unknown = error; at instanceof Error; at = at.cause)
    shown.push(at.message, at.stack ?? "", JSON.stringify(at));
  for (const secret of expected.secrets ?? [])
    assert.ok(!shown.join("\n").includes(secret), shown.join("\n"));
  return error;
}

describe("nats login", { skip }, () => {
  it("takes user and password, and shows neither", async () => {
    const password = "verysecretpassword";
    await using server = await NatsServer.start(
      () => `authorization { user: "app", password: "${password}" }`,
    );
    await createBucket(server, { user: "app", pass: password });
    await assertWorks(server, { username: "app", password });
    const wrong = { username: "app", password: "wrongsecret" };
    const refused = { code: "storage/permission", text: /refused the credentials/ };
    await assertRefused(server, wrong, { ...refused, secrets: ["wrongsecret"] });
    await assertRefused(server, {}, refused);
    await assertRefused(server, { token: "sometoken" }, { ...refused, secrets: ["sometoken"] });
  });

  it("takes a token", async () => {
    const token = "verysecrettoken";
    await using server = await NatsServer.start(() => `authorization { token: "${token}" }`);
    await createBucket(server, { token });
    await assertWorks(server, { token });
    const refused = { code: "storage/permission", text: /refused the credentials/ };
    await assertRefused(server, { token: "wrongtoken" }, { ...refused, secrets: ["wrongtoken"] });
  });

  it("takes a file with an nkey seed", async () => {
    const user = nkeys.createUser();
    const seed = new TextDecoder().decode(user.getSeed());
    const configuration = `authorization { users: [{ nkey: ${user.getPublicKey()} }] }`;
    await using server = await NatsServer.start(() => configuration);
    const nkey = join(server.directory, "user.nk");
    writeFileSync(nkey, `${seed}\n`);
    await createBucket(server, connectionOptionsOf(server, { nkey }));
    await assertWorks(server, { nkey });
    const other = join(server.directory, "other.nk");
    const otherSeed = new TextDecoder().decode(nkeys.createUser().getSeed());
    writeFileSync(other, otherSeed);
    const secrets = [otherSeed];
    const refused = { code: "storage/permission", text: /refused the credentials/, secrets };
    await assertRefused(server, { nkey: other }, refused);
    writeFileSync(other, "SUABSECRETBUTBROKEN");
    const broken = { code: "storage/misconfigured", text: /other\.nk" holds no nkey seed/ };
    await assertRefused(server, { nkey: other }, { ...broken, secrets: ["SUABSECRET"] });
    const missing = { code: "storage/misconfigured", text: /there is no file/ };
    await assertRefused(server, { nkey: `${other}.missing` }, missing);
  });

  it("takes a file with credentials, and jwt with seed", async () => {
    const accounts = natsAccounts(nkeys);
    await using server = await NatsServer.start(() => accounts.configuration);
    const creds = join(server.directory, "user.creds");
    writeFileSync(creds, accounts.creds);
    await createBucket(server, connectionOptionsOf(server, { creds }));
    await assertWorks(server, { creds });
    await assertWorks(server, { jwt: accounts.userJwt, seed: accounts.userSeed });
    const { userJwt: jwt, userSeed: seed } = natsAccounts(nkeys);
    const refused = { code: "storage/permission", text: /refused the credentials/ };
    await assertRefused(server, { jwt, seed }, { ...refused, secrets: [jwt, seed] });
    const misconfigured = { code: "storage/misconfigured", text: /belong together/ };
    await assertRefused(server, { jwt }, { ...misconfigured, secrets: [jwt] });
    writeFileSync(creds, accounts.creds.replace("BEGIN USER NKEY SEED", "BEGIN NOTHING"));
    const broken = { code: "storage/misconfigured", text: /holds no credentials/ };
    await assertRefused(server, { creds }, { ...broken, secrets: [accounts.userSeed] });
  });

  it("needs no more than the documented permissions, and says which one is missing", async () => {
    const api = (...names: string[]) => names.map((name) => `"$JS.API.${name}.OBJ_bucket"`);
    const reading = api("STREAM.INFO", "STREAM.MSG.GET", "DIRECT.GET");
    const writing = [...reading, ...api("STREAM.PURGE"), '"$O.bucket.>"'];
    const permissions = (publish: readonly string[]) =>
      `permissions: { publish: [${publish.join(", ")}], subscribe: ["_INBOX.>"] }`;
    await using server = await NatsServer.start(
      () => `authorization { users: [
        { user: "admin", password: "p" }
        { user: "writer", password: "p", ${permissions(writing)} }
        { user: "reader", password: "p", ${permissions(reading)} }
      ] }`,
    );
    await createBucket(server, { user: "admin", pass: "p" });
    await assertWorks(server, { username: "writer", password: "p" });
    await using admin = await open(server, { username: "admin", password: "p" });
    await admin.put(KEY, pattern(300_000));
    await using reader = await open(server, { username: "reader", password: "p" });
    assertBytes(await (await reader.get(KEY)).bytes(), pattern(300_000));
    assert.deepEqual(await keysOf(reader), [KEY]);
    for (const [call, subject] of [
      [() => reader.put(KEY, pattern(1)), /may not publish to "\$O\.bucket\.C\./],
      [() => reader.put("x", pattern(1_000_000), { ifAbsent: true }), /may not publish to "\$O/],
      [() => reader.delete([KEY]), /may not publish to "\$JS\.API\.STREAM\.PURGE\.OBJ_bucket"/],
    ] as const) {
      const error = await failureOf(call);
      assert.equal(error.code, "storage/permission", error.message);
      assert.match(error.message, subject);
    }
    assertBytes(await (await admin.get(KEY)).bytes(), pattern(300_000));
  });
});

function connectionOptionsOf(server: NatsServer, settings: ReplicaSettings): NodeConnectionOptions {
  const target = parseReplicaUrl({ url: `nats://${server.host}/bucket`, settings });
  assert.ok(target.scheme === "nats");
  return connectionOptions(target);
}

describe("nats over TLS", { skip }, () => {
  it("checks the server, and shows a certificate of its own", async () => {
    const names = { ca: "", cert: "", key: "" };
    await using server = await NatsServer.start((directory) => {
      const file = certificates(directory);
      Object.assign(names, { ca: file("ca.crt"), cert: file("leaf.crt"), key: file("leaf.key") });
      return `tls { cert_file: "${names.cert}", key_file: "${names.key}", ca_file: "${names.ca}", verify: true }`;
    });
    const { ca, cert, key } = names;
    const settings = { tls: true, rootCas: [ca], clientCert: cert, clientKey: key };
    await createBucket(server, connectionOptionsOf(server, settings));
    await assertWorks(server, settings);
    await assertWorks(server, { rootCas: [cert, ca], clientCert: cert, clientKey: key });
    const unknown = { code: "storage/misconfigured", text: /secure connection failed/ };
    await assertRefused(server, { tls: true, clientCert: cert, clientKey: key }, unknown);
    await assertRefused(server, { rootCas: [ca] }, unknown);
  });

  it("refuses to go on without TLS when it was asked for", async () => {
    await using server = await NatsServer.start();
    await createBucket(server);
    const refused = { code: "storage/misconfigured", text: /does not support 'tls'/ };
    await assertRefused(server, { tls: true }, refused);
  });
});

/** A certificate authority and one certificate for both sides, for 127.0.0.1. Gives the path of a file. */
function certificates(directory: string): (name: string) => string {
  const folder = join(directory, "tls");
  mkdirSync(folder);
  const file = (name: string): string => join(folder, name);
  const openssl = (...args: string[]): void => {
    execFileSync("openssl", args, { stdio: "ignore", timeout: 30_000 });
  };
  const fresh = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"];
  const ca = ["-keyout", file("ca.key"), "-out", file("ca.crt"), "-subj", "/CN=test authority"];
  openssl("req", "-x509", ...fresh, ...ca, "-days", "2");
  const leaf = ["-keyout", file("leaf.key"), "-out", file("leaf.crt"), "-subj", "/CN=test"];
  const signed = ["-CA", file("ca.crt"), "-CAkey", file("ca.key"), "-days", "2"];
  openssl("req", "-x509", ...fresh, ...leaf, ...signed, "-addext", "subjectAltName=IP:127.0.0.1");
  return file;
}

describe("nats when the server goes away", { skip }, () => {
  it("fails as unavailable while it is gone, and works when it is back", async () => {
    await using server = await NatsServer.start();
    await createBucket(server);
    await using store = await open(server);
    await store.put(KEY, pattern(1000));
    await server.kill();
    const error = await failureOf(() => store.put(KEY, pattern(10), { ifAbsent: true }));
    assert.equal(error.code, "storage/unavailable", error.message);
    assert.match(
      error.message,
      /^put object "ltx\/0\/object" in nats:\/\/127\.0\.0\.1:\d+\/bucket\/db: /,
    );
    await server.begin();
    assertBytes(await (await store.get(KEY)).bytes(), pattern(1000));
  });

  it("a put and a read go on when it comes back in between", async () => {
    await using server = await NatsServer.start();
    await createBucket(server);
    await using store = await open(server);
    const bytes = pattern(8_000_000);
    let countKilled = 0;
    const source = {
      sizeBytes: bytes.length,
      open: async function* () {
        for (const chunk of cut(bytes, 500_000)) {
          yield chunk;
          if (countKilled > 0) continue;
          countKilled += 1;
          await server.kill();
          await server.begin();
        }
      },
    };
    await store.put(KEY, source, { ifAbsent: true });
    assert.equal(countKilled, 1);
    const parts: Uint8Array[] = [];
    for await (const part of await store.get(KEY)) {
      parts.push(part);
      if (parts.length !== 5) continue;
      await server.kill();
      await server.begin();
    }
    assertBytes(Buffer.concat(parts), bytes);
    // The chunks of the attempt that failed go with a later put.
    await store.put("other", pattern(1));
    const connection = await connect({ servers: server.host });
    const status = await (await new Objm(connection).open("bucket")).status();
    assert.equal(status.streamInfo.state.messages, Math.ceil(bytes.length / 131_072) + 3);
    await connection.close();
  });

  it("a put whose answer is lost is found out about", async () => {
    await using server = await NatsServer.start();
    await createBucket(server);
    await using store = await open(server, { timeout: 400 });
    await store.put(KEY, pattern(10));
    server.pause();
    const putting = store.put("new", pattern(10), { ifAbsent: true });
    const waiting = delay(1_000).then(() => server.resume());
    const [result] = await Promise.allSettled([putting, waiting]);
    const keys = await keysOf(store);
    if (result.status === "fulfilled") assert.deepEqual(keys, [KEY, "new"]);
    else assert.ok(isMillraceError(result.reason, "storage/unavailable", "storage/exists"));
    for (const key of keys) assertBytes(await (await store.get(key)).bytes(), pattern(10));
  });

  it("stops trying after max-reconnects", async () => {
    await using server = await NatsServer.start();
    await server.kill();
    await using store = await open(server, { maxReconnects: 1 });
    const error = await failureOf(() => store.head(KEY));
    assert.match(error.message, /2 connections failed in a row, and max-reconnects is 1$/);
  });

  it("many puts and reads at once outlast several restarts", async () => {
    await using server = await NatsServer.start();
    await createBucket(server);
    await using store = await open(server);
    const work = Promise.all(
      Array.from({ length: 8 }, async (_, lane) => {
        for (let index = 0; index < 6; index += 1) {
          const bytes = pattern(200_000 + index, lane);
          await store.put(`${lane}/${index}`, streamOf(cut(bytes, 60_000)));
          assertBytes(await (await store.get(`${lane}/${index}`)).bytes(), bytes);
        }
      }),
    );
    for (let round = 0; round < 3; round += 1) {
      await delay(50);
      await server.kill("SIGTERM");
      await server.begin();
    }
    await work;
    assert.equal((await keysOf(store)).length, 48);
  });
});
