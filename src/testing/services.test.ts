/** What tests learn about the real servers: an entry, or the reason why there is none. */
import assert from "node:assert/strict";
import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, it } from "node:test";
import { absence, isAlive, present, readServices, service, startTicksOf } from "./services.ts";

const NO_PROC = process.platform === "linux" ? false : "processes are looked up in /proc";

interface RunFolder extends Disposable {
  readonly directory: string;
}

function runFolder(services?: unknown): RunFolder {
  const directory = mkdtempSync(join(tmpdir(), "millrace-services-"));
  if (services !== undefined)
    writeFileSync(join(directory, "services.json"), JSON.stringify(services));
  return { directory, [Symbol.dispose]: () => rmSync(directory, { recursive: true, force: true }) };
}

async function listening(): Promise<AsyncDisposable & { readonly port: number }> {
  const server = createServer((socket) => socket.end());
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  assert.ok(typeof address === "object" && address !== null);
  return {
    port: address.port,
    [Symbol.asyncDispose]: async () => {
      server.close();
      await once(server, "close");
    },
  };
}

describe("service()", { skip: NO_PROC }, () => {
  const startTicks = startTicksOf(process.pid) ?? "";

  it("gives the entry of a server that lives and answers", async () => {
    await using server = await listening();
    const etcd = { pid: process.pid, startTicks, port: server.port, endpoint: "http://here" };
    using folder = runFolder({ etcd });
    const found = await service("etcd", folder.directory);
    assert.deepEqual(found, etcd);
    assert.equal(absence(found), undefined);
    assert.equal(present(found).endpoint, "http://here");
  });

  it("says how to start what was not started", async () => {
    using folder = runFolder();
    const found = await service("s3", folder.directory);
    assert.equal(found, "not started: npm run services start s3");
    assert.equal(absence(found), found);
    assert.throws(() => present(found), /not started/);
  });

  it("does not take another process with the same id for the server", async () => {
    await using server = await listening();
    const entry = { pid: process.pid, startTicks: "1", port: server.port };
    using folder = runFolder({ nats: entry });
    const found = await service("nats", folder.directory);
    assert.equal(found, `process ${process.pid} is gone: npm run services start nats`);
  });

  it("notices a process that does not answer", async () => {
    const { port } = await (async () => {
      await using server = await listening();
      return { port: server.port };
    })();
    using folder = runFolder({ nats: { pid: process.pid, startTicks, port } });
    assert.match(
      String(await service("nats", folder.directory)),
      /does not answer on port \d+: npm/,
    );
  });
});

describe("readServices()", () => {
  it("is empty where nothing was ever started", () => {
    using folder = runFolder();
    assert.deepEqual(readServices(folder.directory), {});
  });

  it("refuses a file that is something else", () => {
    using folder = runFolder(null);
    assert.throws(() => readServices(folder.directory), /not an object/);
  });
});

describe("isAlive()", { skip: NO_PROC }, () => {
  it("knows this process and none that cannot exist", () => {
    const startTicks = startTicksOf(process.pid) ?? "";
    assert.match(startTicks, /^\d+$/);
    assert.equal(isAlive({ pid: process.pid, startTicks }), true);
    assert.equal(isAlive({ pid: 2 ** 30, startTicks }), false);
  });
});
