/** Starting and stopping, with small scripts as servers: what a real one does well and badly. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, it } from "node:test";
import { answers, isAlive, readServices, startTicksOf } from "../../src/testing/services.ts";
import { type SampleTree, sampleTree } from "../lib/sample-tree.ts";
import { removeAccount } from "./account.ts";
import { isRunning, start, stop } from "./lifecycle.ts";
import {
  endProcess,
  formatIdentity,
  freePort,
  launch,
  parseIdentity,
  runningIn,
} from "./process.ts";
import { locked } from "./lock.ts";
import { HOST, type Server } from "./server.ts";
import { isInstalled } from "./install.ts";
import type { NpmRecipe } from "./versions.ts";

const SKIP = process.platform === "linux" ? false : "processes are looked up in /proc";
const RECIPE: NpmRecipe = { kind: "npm", package: "sample", version: "1.0.0", main: "main.mjs" };

const LISTENS = `
  const { createServer } = await import("node:net");
  createServer((socket) => socket.end()).listen(Number(process.argv[2]), "${HOST}");
  console.log("home " + process.env.HOME + " secret " + process.env.SERVICES_TEST_SECRET);
`;
const STUBBORN = `${LISTENS} process.on("SIGTERM", () => {});`;
const FAILS = 'console.log("reading settings"); throw new Error("no such setting");';

interface Sample extends AsyncDisposable {
  readonly folders: { readonly root: string; readonly run: string };
  readonly server: Server;
}

function sample(script: string): Sample {
  const tree = sampleTree({ "npm/node_modules/sample/main.mjs": script });
  const server: Server<"etcd"> = {
    name: "etcd",
    recipe: RECIPE,
    async prepare(place) {
      const port = await place.freePort();
      place.sharedDirectory();
      return {
        args: [String(port)],
        isScript: true,
        port,
        service: { endpoint: `http://${HOST}:${port}` },
        ready: async () => assert.ok(await answers(port)),
      };
    },
  };
  const folders = { root: tree.root, run: join(tree.root, "run") };
  return {
    server,
    folders,
    async [Symbol.asyncDispose]() {
      await stop(folders, server);
      tree[Symbol.dispose]();
    },
  };
}

describe("start()", { skip: SKIP }, () => {
  it("waits for an answer, writes the entry, and stop() ends all of it", async () => {
    await using it = sample(LISTENS);
    process.env["SERVICES_TEST_SECRET"] = "known";
    const entry = await start(it.folders, it.server);
    const directory = join(it.folders.run, "etcd");
    assert.deepEqual(readServices(it.folders.run), { etcd: entry });
    assert.equal(await isRunning(it.folders, it.server), true);
    assert.match(readFileSync(join(directory, "log"), "utf8"), /home .*etcd secret undefined/);
    const shared = readFileSync(join(directory, "shared-directories"), "utf8").trim();
    assert.ok(existsSync(shared));
    assert.equal(await stop(it.folders, it.server), true);
    assert.equal(isAlive(entry), false);
    assert.deepEqual(readServices(it.folders.run), {});
    assert.deepEqual([existsSync(directory), existsSync(shared)], [false, false]);
    assert.equal(await stop(it.folders, it.server), false);
  });

  it("empties the folder and replaces a process that is left from before", async () => {
    await using it = sample(LISTENS);
    const first = await start(it.folders, it.server);
    writeFileSync(join(it.folders.run, "etcd", "data"), "old");
    writeFileSync(join(it.folders.run, "services.json"), "{}");
    const second = await start(it.folders, it.server);
    assert.equal(isAlive(first), false);
    assert.equal(existsSync(join(it.folders.run, "etcd", "data")), false);
    await endProcess(second);
    assert.equal(await isRunning(it.folders, it.server), false);
  });

  it("fails with the end of the log when the program ends at once", async () => {
    await using it = sample(FAILS);
    await assert.rejects(start(it.folders, it.server), (error: Error) => {
      assert.match(error.message, /^start "etcd": it ended at once\n {2}the end of .*log:\n/);
      assert.match(error.message, /reading settings\n[^]*no such setting/);
      return true;
    });
    assert.deepEqual(readServices(it.folders.run), {});
  });

  it("fails, with the last refusal, when it does not become ready in time, and ends it", async () => {
    await using it = sample('console.log("thinking"); setInterval(() => {}, 1_000);');
    const starting = start(it.folders, it.server, { readyTimeoutMs: 500 });
    await assert.rejects(
      starting,
      /^Error: start "etcd": it is not ready after 0\.5 s: [^]*thinking/,
    );
    assert.equal(runningIn(join(it.folders.run, "etcd")), undefined);
  });
});

describe("start() of a server that ended at once", { skip: SKIP }, () => {
  it("tries once more, in a new folder", async () => {
    await using it = sample(`
      import { existsSync, writeFileSync } from "node:fs";
      const seen = new URL("seen", import.meta.url);
      if (!existsSync(seen)) {
        writeFileSync(seen, "");
        throw new Error("address in use");
      }
      ${LISTENS}
    `);
    await start(it.folders, it.server);
    assert.equal(await isRunning(it.folders, it.server), true);
    assert.doesNotMatch(readFileSync(join(it.folders.run, "etcd", "log"), "utf8"), /in use/);
  });
});

describe("endProcess()", { skip: SKIP }, () => {
  it("kills what does not listen to SIGTERM", async () => {
    await using it = sample(STUBBORN);
    const entry = await start(it.folders, it.server);
    assert.equal(await endProcess(entry, 200), "SIGKILL");
    assert.equal(isAlive(entry), false);
  });

  it("signals nobody when the id belongs to another process by now", async () => {
    const child = spawn(process.execPath, ["-e", "setInterval(() => {}, 1000)"]);
    const pid = child.pid ?? 0;
    assert.equal(await endProcess({ pid, startTicks: "1" }), undefined);
    const startTicks = startTicksOf(pid) ?? "";
    const exited = once(child, "exit");
    assert.equal(await endProcess({ pid, startTicks }), "SIGTERM");
    assert.deepEqual(await exited, [null, "SIGTERM"]);
  });
});

describe("runningIn()", { skip: SKIP }, () => {
  it("removes a file that names no living process", () => {
    using tree = sampleTree({ pid: formatIdentity({ pid: process.pid, startTicks: "1" }) });
    assert.equal(runningIn(tree.root), undefined);
    assert.equal(existsSync(join(tree.root, "pid")), false);
  });

  it("knows the process that was launched there", async () => {
    using tree = sampleTree({});
    const args = ["-e", "setInterval(() => {}, 1000)"];
    const identity = launch(tree.root, { program: process.execPath, args, env: {} });
    assert.deepEqual(runningIn(tree.root), identity);
    await endProcess(identity);
  });
});

describe("launch()", () => {
  it("tells of a program that cannot be started", () => {
    using tree = sampleTree({});
    const command = { program: join(tree.root, "absent"), args: [], env: {} };
    assert.throws(() => launch(tree.root, command), /absent": it did not come to life/);
  });
});

describe("parseIdentity()", () => {
  it("reads what formatIdentity() writes and nothing else", () => {
    const identity = { pid: 12, startTicks: "345" };
    assert.deepEqual(parseIdentity(formatIdentity(identity)), identity);
    for (const text of ["", "12", "12 \n", "0 1\n", "-1 5\n", "12 345 6\n", "12 345\n\n", "x 1\n"])
      assert.equal(parseIdentity(text), undefined, JSON.stringify(text));
  });
});

describe("freePort()", () => {
  it("gives no port twice", async () => {
    const given = new Set<number>();
    for (let index = 0; index < 20; index += 1) await freePort(given);
    assert.equal(given.size, 20);
  });
});

describe("removeAccount()", () => {
  it("refuses every name that is not one of ours", () => {
    using tree = sampleTree({ account: "root\n" });
    assert.throws(() => removeAccount(tree.root), /"root": not one of ours/);
    writeFileSync(join(tree.root, "account"), "millrace-1 root");
    assert.throws(() => removeAccount(tree.root), /not one of ours/);
  });
});

describe("isInstalled()", () => {
  it("wants the program in exactly its version", () => {
    using tree: SampleTree = sampleTree({ "npm/node_modules/sample/main.mjs": "" });
    assert.equal(isInstalled(tree.root, RECIPE), false);
    mkdirSync(join(tree.root, "build"));
    const stamp = join(tree.root, "build", "sample.version");
    writeFileSync(stamp, "sample@0.9.0\n");
    assert.equal(isInstalled(tree.root, RECIPE), false);
    writeFileSync(stamp, "sample@1.0.0\n");
    assert.equal(isInstalled(tree.root, RECIPE), true);
  });
});

describe("locked()", () => {
  it("is free again when its holder was killed", { timeout: 30_000 }, async () => {
    using tree = sampleTree({});
    const path = join(tree.root, "lock");
    const script = `
      import { locked } from ${JSON.stringify(new URL("./lock.ts", import.meta.url).href)};
      await locked(${JSON.stringify(path)}, async () => {
        console.log("held");
        await new Promise((resolve) => setTimeout(resolve, 60_000));
      });
    `;
    const holder = spawn(process.execPath, ["--input-type=module-typescript", "-e", script], {
      stdio: ["ignore", "pipe", "inherit"],
    });
    await once(holder.stdout, "data");
    const exited = once(holder, "exit");
    holder.kill("SIGKILL");
    await exited;
    assert.equal(await locked(path, async () => 7), 7);
    await assert.rejects(
      locked(path, () => Promise.reject(new Error("inside"))),
      /inside/,
    );
    assert.equal(await locked(path, async () => 8), 8);
  });
});
