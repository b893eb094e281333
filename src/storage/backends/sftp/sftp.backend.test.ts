/** The SFTP backend against a real OpenSSH server. */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdtemp, readdir, rm, stat, utimes, writeFile } from "node:fs/promises";
import { createServer, connect as connectTo, type Server, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, it } from "node:test";
import type { Logger } from "../../../base/logger.ts";
import { isMillraceError } from "../../../errors.ts";
import { systemClock, systemRandom } from "../../../platform/clock.ts";
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
  stalledSource,
} from "../../conformance/support.ts";
import type { ObjectStore } from "../../contract.ts";
import type { RemoteContext } from "../../remote/remote-store.ts";
import type { SftpTarget } from "../../replica-url/target.ts";
import { CONNECT_TIMEOUT_MS } from "./connection.ts";
import { openSftpStore } from "./sftp.ts";
import { STALE_AFTER_MS } from "./sftp-tree.ts";

const found = await service("sftp");
const unavailable = absence(found);
const skip = unavailable ?? false;
const SECRET = "no-such-password-9f3a";

const CONTEXT: RemoteContext = {
  clock: systemClock,
  random: systemRandom,
  env: { HOME: "/nonexistent" },
};

function targetFor(path: string, change: Partial<SftpTarget> = {}): SftpTarget {
  const { host, port, user, privateKeyPath: keyPath, hostKey } = present(found);
  return { scheme: "sftp", host, port, path, settings: { user, keyPath, hostKey }, ...change };
}

interface Place extends AsyncDisposable {
  readonly path: string;
  readonly root: string;
}

async function makePlace(): Promise<Place> {
  const path = await mkdtemp(join(present(found).directory, "test-"));
  return {
    path,
    root: join(path, "root"),
    [Symbol.asyncDispose]: () => rm(path, { recursive: true, force: true }),
  };
}

async function conformancePlace(): Promise<ConformanceTarget> {
  const place = await makePlace();
  return {
    connect: (): Promise<ObjectStore> => openSftpStore(targetFor(place.root), CONTEXT),
    [Symbol.asyncDispose]: () => place[Symbol.asyncDispose](),
  };
}

storageConformance("sftp", conformancePlace, { unavailable });

/** A relay whose connections a test can cut. */
async function makeRelay(
  port: number,
): Promise<AsyncDisposable & { readonly port: number; readonly count: () => number; cut(): void }> {
  const sockets = new Set<Socket>();
  let count = 0;
  const server: Server = createServer((from) => {
    count += 1;
    const to = connectTo(port, "127.0.0.1");
    for (const socket of [from, to]) {
      sockets.add(socket);
      socket.on("error", () => {}).on("close", () => sockets.delete(socket));
    }
    from.pipe(to).pipe(from);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  assert.ok(typeof address === "object" && address !== null);
  const cut = (): void => sockets.forEach((socket) => socket.destroy());
  return {
    port: address.port,
    count: () => count,
    cut,
    async [Symbol.asyncDispose]() {
      cut();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

describe("sftp connection", { skip }, () => {
  it("is one for many calls at once, and made anew when it was lost", async () => {
    await using place = await makePlace();
    await using relay = await makeRelay(present(found).port);
    await using store = await openSftpStore(targetFor(place.root, { port: relay.port }), CONTEXT);
    assert.equal(relay.count(), 0, "nothing is connected before it is needed");
    await Promise.all([1, 2, 3, 4].map((n) => store.put(`a/${n}`, pattern(100, n))));
    assert.equal(relay.count(), 1);
    relay.cut();
    assertBytes(await read(store, "a/2"), pattern(100, 2));
    assert.equal(relay.count(), 2);
  });

  it("goes on with a read where it was cut, and repeats a put that had no effect", async () => {
    await using place = await makePlace();
    await using relay = await makeRelay(present(found).port);
    await using store = await openSftpStore(targetFor(place.root, { port: relay.port }), CONTEXT);
    const bytes = pattern(6_000_000, 5);
    await store.put("a", bytes);
    const parts: Uint8Array[] = [];
    for await (const chunk of await store.get("a")) {
      if (parts.length === 2) relay.cut();
      parts.push(chunk);
    }
    assertBytes(Buffer.concat(parts), bytes);
    const source = stalledSource(pattern(100_000, 1), pattern(10, 2));
    const putting = store.put("b", source, { ifAbsent: true });
    await source.reached;
    relay.cut();
    source.release();
    await putting;
    assert.equal((await store.head("b")).sizeBytes, 100_010);
  });

  it("fails within seconds when nobody listens, and when nobody says a word", async () => {
    const silent = createServer((socket) => socket.on("error", () => {}).resume());
    await new Promise<void>((resolve) => silent.listen(0, "127.0.0.1", resolve));
    const address = silent.address();
    assert.ok(typeof address === "object" && address !== null);
    const started = performance.now();
    const signal = AbortSignal.timeout(CONNECT_TIMEOUT_MS + 5_000);
    const store = await openSftpStore(targetFor("/x", { port: address.port }), CONTEXT);
    const error = await store.head("a", { signal }).catch((thrown: unknown) => thrown);
    // The attempts go on until the caller has enough; each of them ended in time.
    assert.ok(performance.now() - started < CONNECT_TIMEOUT_MS + 8_000, String(error));
    assert.ok((store.usage?.()?.retries ?? 0) >= 1);
    await store[Symbol.asyncDispose]();
    await new Promise((resolve) => silent.close(resolve));
    await using refused = await openSftpStore(targetFor("/x", { port: address.port }), CONTEXT);
    await assertFails("storage/unavailable", () => refused.head("a"));
  });
});

describe("sftp host key", { skip }, () => {
  const otherKey =
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

  it("is refused at once when it is another one than host-key", async () => {
    await using place = await makePlace();
    const target = targetFor(place.root);
    const settings = { ...target.settings, hostKey: otherKey };
    await using store = await openSftpStore({ ...target, settings }, CONTEXT);
    const error = await keysOf(store).catch((thrown: unknown) => thrown);
    assert.ok(isMillraceError(error, "storage/misconfigured"), String(error));
    assert.match(error.message, /another host key .*SHA256:/);
  });

  it("is looked up in known_hosts, and its absence is warned of once", async () => {
    await using place = await makePlace();
    const { host, port, hostKey } = present(found);
    const target = targetFor(place.root);
    const { hostKey: _, ...settings } = target.settings;
    const warnings: string[] = [];
    const log: Logger = { log: (_level, message) => void warnings.push(message), with: () => log };
    const attempt = async (knownHosts: string | undefined): Promise<unknown> => {
      const home = await mkdtemp(join(tmpdir(), "millrace-home-"));
      try {
        if (knownHosts !== undefined) {
          execFileSync("mkdir", ["-m", "700", join(home, ".ssh")]);
          await writeFile(join(home, ".ssh/known_hosts"), knownHosts);
        }
        const context = { ...CONTEXT, log, env: { HOME: home } };
        await using store = await openSftpStore({ ...target, settings }, context);
        return await keysOf(store).catch((thrown: unknown) => thrown);
      } finally {
        await rm(home, { recursive: true });
      }
    };
    assert.deepEqual(await attempt(`[${host}]:${port} ${hostKey}\n`), []);
    assert.deepEqual(warnings, []);
    const refused = await attempt(`[${host}]:${port} ${otherKey}\n`);
    assert.ok(isMillraceError(refused, "storage/misconfigured"), String(refused));
    assert.deepEqual(await attempt(undefined), []);
    assert.equal(warnings.length, 1);
    assert.match(warnings[0] ?? "", /not verified/);
  });
});

describe("sftp login", { skip }, () => {
  it("works with a password", { skip: skip || passwordSkip() }, async () => {
    const { user, password, directory } = passwordLogin();
    const target = targetFor(join(directory, "root"));
    const { hostKey } = target.settings;
    await using store = await openSftpStore(
      { ...target, settings: { user, password, hostKey } },
      CONTEXT,
    );
    await store.put("a", pattern(10));
    await store.delete(["a"]);
  });

  it("that is refused is told once, without the password", async () => {
    const target = targetFor("/x");
    const { hostKey } = target.settings;
    const settings = { user: "nobody-there", password: SECRET, hostKey };
    await using store = await openSftpStore({ ...target, settings }, CONTEXT);
    const error = await store.head("a").catch((thrown: unknown) => thrown);
    assert.ok(isMillraceError(error, "storage/permission"), String(error));
    assert.match(error.message, /"nobody-there" with a password/);
    assert.ok(!JSON.stringify([error.message, error.hint, error.details]).includes(SECRET));
    assert.equal(store.usage?.()?.retries, 0);
  });

  it("settings that cannot work are refused before anything is connected", async () => {
    const directory = await mkdtemp(join(tmpdir(), "millrace-key-"));
    const keyPath = join(directory, "encrypted");
    execFileSync("ssh-keygen", ["-q", "-t", "ed25519", "-N", SECRET, "-f", keyPath]);
    const junk = join(directory, "junk");
    await writeFile(junk, "no key\n");
    const cases: readonly (readonly [SftpTarget["settings"], RegExp])[] = [
      [{ password: "x" }, /no user/],
      [{ user: "u" }, /nothing to log in "u" with/],
      [{ user: "u", keyPath: "~/missing" }, /no private key at "\/nonexistent\/missing"/],
      [{ user: "u", keyPath: junk }, /cannot be understood/],
      [{ user: "u", keyPath }, /is encrypted/],
      [{ user: "u", password: "x", hostKey: "ssh-ed25519" }, /host-key cannot be read/],
    ];
    for (const [settings, message] of cases) {
      const error = await openSftpStore({ ...targetFor("/x"), settings }, CONTEXT).catch(
        (thrown: unknown) => thrown,
      );
      assert.ok(isMillraceError(error, "storage/misconfigured"), String(error));
      assert.match(error.message, message);
    }
    await rm(directory, { recursive: true });
  });
});

function passwordSkip(): string | false {
  const isThere = typeof found !== "string" && found.passwordLogin !== undefined;
  return isThere ? false : "the server has no user with a password";
}

function passwordLogin(): { user: string; password: string; directory: string } {
  const login = present(found).passwordLogin;
  assert.ok(login !== undefined);
  return login;
}

describe("sftp files", { skip }, () => {
  it("are laid out as Litestream has them, private, with the time in seconds", async () => {
    await using place = await makePlace();
    await using store = await openSftpStore(targetFor(place.root), CONTEXT);
    const key = "ltx/0/0000000000000001-0000000000000001.ltx";
    await store.put(key, pattern(10), { createdAtMs: CREATED_AT_MS, ifAbsent: true });
    const { mtimeMs, mode } = await stat(join(place.root, key));
    assert.equal(mtimeMs, Math.floor(CREATED_AT_MS / 1000) * 1000);
    assert.equal(mode & 0o777, 0o600);
    assert.equal((await stat(place.root)).mode & 0o777, 0o700);
    assert.deepEqual(await readdir(join(place.root, "ltx/0")), [key.slice(6)]);
    assert.deepEqual(store.usage?.()?.requests, { get: 0, head: 0, put: 1, list: 0, delete: 0 });
  });

  it("of abandoned puts are removed by a writer's listing, and others are not", async () => {
    await using place = await makePlace();
    const old = new Date(Date.now() - STALE_AFTER_MS - 60_000);
    await using reader = await openSftpStore(targetFor(place.root), CONTEXT);
    await reader.put("d/object", pattern(1));
    const names = ["x.1.2.tmp", "y.tmp", "z.3.4.tmp"];
    for (const name of names) await writeFile(join(place.root, "d", name), "");
    for (const name of names.slice(0, 2)) await utimes(join(place.root, "d", name), old, old);
    // Its content is old, but it is being written now.
    await utimes(join(place.root, "d/z.3.4.tmp"), new Date(), old);
    assert.deepEqual(await keysOf(reader), ["d/object"]);
    assert.equal((await readdir(join(place.root, "d"))).length, 4);
    const context = { ...CONTEXT, access: "write" } as const;
    await using writer = await openSftpStore(targetFor(place.root), context);
    assert.deepEqual(await keysOf(writer), ["d/object"]);
    assert.deepEqual((await readdir(join(place.root, "d"))).sort(), [
      "object",
      "y.tmp",
      "z.3.4.tmp",
    ]);
  });

  it("of an aborted put are gone when the store is closed", async () => {
    await using place = await makePlace();
    const store = await openSftpStore(targetFor(place.root), CONTEXT);
    const controller = new AbortController();
    const source = stalledSource(pattern(3_000_000), pattern(1));
    const putting = store.put("d/a", source, { signal: controller.signal });
    await source.reached;
    controller.abort(new Error("stop"));
    await assert.rejects(putting, /stop/);
    await store[Symbol.asyncDispose]();
    assert.deepEqual(await readdir(join(place.root, "d")), []);
  });

  it("are written one piece at a time without concurrent-writes", async () => {
    await using place = await makePlace();
    const target = targetFor(place.root);
    const settings = { ...target.settings, concurrentWrites: false };
    await using store = await openSftpStore({ ...target, settings }, CONTEXT);
    await store.put("a", pattern(1_000_000));
    assertBytes(await read(store, "a"), pattern(1_000_000));
  });

  it("below a file cannot be, and a directory is no object", async () => {
    await using place = await makePlace();
    await using store = await openSftpStore(targetFor(place.root), CONTEXT);
    await store.put("a", pattern(1));
    await assertFails("storage/invalid-key", () => store.put("a/b", pattern(1)));
    await store.put("d/a", pattern(1));
    await assertFails("storage/invalid-key", () => store.put("d", pattern(1)));
    assert.deepEqual(await keysOf(store), ["a", "d/a"]);
  });

  it(
    "that may not be written are a matter of permission",
    { skip: skip || passwordSkip() },
    async () => {
      const { user, password } = passwordLogin();
      const target = targetFor("/etc/millrace-may-not");
      const { hostKey } = target.settings;
      const settings = { user, password, hostKey };
      await using store = await openSftpStore({ ...target, settings }, CONTEXT);
      await assertFails("storage/permission", () => store.put("a", pattern(1)));
    },
  );
});
