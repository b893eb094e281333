/** The daemon as a process: one pass, a life with signals, a configuration, what is wrong at its start. */
import assert from "node:assert/strict";
import { execFileSync, spawnSync } from "node:child_process";
import { chmodSync, existsSync, mkdirSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { describe, it, type TestContext } from "node:test";
import { restore } from "../../src/index.ts";
import { SqlProcess } from "../../src/testing/sql-process.ts";
import {
  assertFailure,
  assertStatus,
  millrace,
  numbers,
  Place,
  rows,
  Running,
  until,
  type Outcome,
} from "./harness.ts";

const isRoot = process.getuid?.() === 0;
/** A user without rights: root may do everything. */
const NOBODY = 65_534;

let countRestores = 0;

/** The numbers in what a replica restores to. */
async function restored(place: Place, url = place.url("replica")): Promise<number[]> {
  const to = place.path(`restored-${(countRestores += 1)}.db`);
  await restore({ from: url, to });
  return rows(to);
}

describe("millrace replicate -once", { concurrency: 2 }, () => {
  it("captures, uploads and ends with status 0 when everything is durable", async () => {
    using place = new Place();
    const path = place.database();
    const first = await millrace(["replicate", "-once", path, place.url("replica")]);
    assertStatus(first, 0);
    assert.match(first.stdout, /app\.db {2}TXID 0000000000000001 {2}durable/);
    assert.deepEqual(await restored(place), [1, 2, 3]);
    place.database("app.db", 2);
    const second = await millrace(["replicate", path, place.url("replica"), "-once", "--json"]);
    assertStatus(second, 0);
    // One document, nothing else: logs go to standard error [T5].
    const { durable, databases } = JSON.parse(second.stdout) as {
      durable: boolean;
      databases: { path: string; txid: string; replicas: { durable_txid: string }[] }[];
    };
    assert.equal(durable, true);
    assert.equal(databases[0]?.path, path);
    assert.equal(databases[0]?.replicas[0]?.durable_txid, databases[0]?.txid);
    assert.match(second.stderr, /msg="replicating to"/);
    assert.deepEqual(await restored(place), [1, 1, 2, 2, 3]);
  });

  it("changes nothing in the database and leaves no table of its own", async () => {
    using place = new Place();
    const path = place.database();
    assertStatus(await millrace(["replicate", "-once", path, place.url("replica")]), 0);
    const output = place.path("copy.db");
    assertStatus(await millrace(["restore", "-o", output, place.url("replica")]), 0);
    const tables = execFileSync(process.execPath, [
      "-e",
      `const {DatabaseSync}=require("node:sqlite");console.log(JSON.stringify(new DatabaseSync(process.argv[1]).prepare("select name from sqlite_schema").all().map(r=>r.name)))`,
      output,
    ]);
    assert.deepEqual(JSON.parse(tables.toString()), ["t"]);
  });

  it("ends with status 4 when the file is not a database", async () => {
    using place = new Place();
    const path = place.write(
      "junk.db",
      "this is no database, and long enough to be none ".repeat(200),
    );
    const outcome = await millrace(["replicate", "-once", path, place.url("replica")]);
    assertFailure(outcome, 4, "sqlite/not-a-database", /junk\.db/);
    // Without -once it is the same: nobody waits for a mistake to go away.
    const daemon = await millrace(["replicate", path, place.url("replica")]);
    assertFailure(daemon, 4, "sqlite/not-a-database", /^Hint: the file is not a SQLite database/m);
  });

  it("ends with status 3 when there is no database", async () => {
    using place = new Place();
    const outcome = await millrace([
      "replicate",
      "-once",
      place.path("none.db"),
      place.url("replica"),
    ]);
    assertFailure(outcome, 3, "fs/not-found", /none\.db": there is no such database/);
    const deep = await millrace(["replicate", place.path("no", "such.db"), place.url("replica")]);
    assertFailure(deep, 3, "fs/not-found", /no" is no directory/);
    assert.equal(existsSync(place.path("no")), false);
  });

  it("ends with status 1 when it may not read the database", async () => {
    using place = new Place();
    const path = place.database();
    chmodSync(place.dir, 0o755);
    chmodSync(path, 0o600);
    mkdirSync(place.path("meta"));
    mkdirSync(place.path("replica"));
    for (const name of ["meta", "replica"]) chmodSync(place.path(name), 0o777);
    if (!isRoot) chmodSync(path, 0);
    const config = place.write(
      "c.yml",
      `dbs: [{path: ${path}, meta-path: ${place.path("meta")}, replica: {path: ${place.path("replica")}}}]`,
    );
    const outcome = await millrace(["replicate", "-once", "-config", config], {
      uid: isRoot ? NOBODY : undefined,
    });
    assertStatus(outcome, 1);
    assert.match(outcome.stderr, /^Code: (fs\/permission|sqlite\/cannot-open)$/m);
    assert.match(outcome.stderr, /^Hint: /m);
  });

  it("ends with status 1, soon, when it may not write to the replica", async () => {
    using place = new Place();
    const path = place.database();
    chmodSync(place.dir, 0o777);
    chmodSync(path, 0o666);
    mkdirSync(place.path("backup"));
    chmodSync(place.path("backup"), 0o555);
    const outcome = await millrace(["replicate", "-once", path, place.url("backup", "replica")], {
      uid: isRoot ? NOBODY : undefined,
    });
    assertFailure(outcome, 1, "daemon/not-durable", /final sync of .*permission denied/);
    assert.match(outcome.stderr, /^Hint: run Millrace as a user who may access this path/m);
    chmodSync(place.path("backup"), 0o777);
  });

  it("ends with status 1 when the replica's disk is full, and loses nothing", async (t) => {
    using place = new Place();
    const path = place.database("app.db", 2000);
    const disk = place.path("disk");
    mkdirSync(disk);
    using _mounted = mountSmallDisk(t, disk);
    if (_mounted === undefined) return;
    const config = place.write(
      "c.yml",
      `shutdown-sync-timeout: 1s\ndbs: [{path: ${path}, replica: {path: ${disk}/replica}}]`,
    );
    const outcome = await millrace(["replicate", "-once", "-config", config]);
    assertFailure(outcome, 1, "daemon/not-durable", /ENOSPC|no space left/);
    assert.match(outcome.stderr, /^Hint: free disk space/m);
    writeFileSync(config, `dbs: [{path: ${path}, replica: {path: ${place.path("elsewhere")}}}]`);
    assertStatus(await millrace(["replicate", "-once", "-config", config]), 0);
    assert.equal((await restored(place, place.url("elsewhere"))).length, 2000);
  });

  it("ends with status 1 when the local disk is full, and loses nothing", async (t) => {
    using place = new Place();
    const path = place.database("app.db", 2000);
    const disk = place.path("disk");
    mkdirSync(disk);
    using _mounted = mountSmallDisk(t, disk);
    if (_mounted === undefined) return;
    const config = (meta: string): string =>
      `shutdown-sync-timeout: 1s\ndbs: [{path: ${path}, meta-path: ${meta}, replica: {path: ${place.path("replica")}}}]`;
    const outcome = await millrace([
      "replicate",
      "-once",
      "-config",
      place.write("full.yml", config(`${disk}/meta`)),
    ]);
    assertFailure(outcome, 1, "fs/disk-full", /ENOSPC|no space left/);
    assertStatus(
      await millrace([
        "replicate",
        "-once",
        "-config",
        place.write("c.yml", config(place.path("meta"))),
      ]),
      0,
    );
    assert.equal((await restored(place)).length, 2000);
  });

  it("refuses a second writer of the same database", async () => {
    using place = new Place();
    const path = place.database();
    const daemon = new Running(["replicate", path, place.url("replica")]);
    await until("the first to have the database", () => existsSync(place.path("replica", "ltx")));
    const second = await millrace(["replicate", "-once", path, place.url("other")]);
    assertFailure(second, 1, "capture/busy", /another Millrace process already does/);
    daemon.kill("SIGTERM");
    assertStatus(await daemon.outcome, 0);
  });
});

/** A file system of 256 kB; `undefined`, with the reason told, where none can be made. */
function mountSmallDisk(t: TestContext, path: string): Disposable | undefined {
  const { status, stderr } = spawnSync("mount", ["-t", "tmpfs", "-o", "size=256k", "tmpfs", path], {
    encoding: "utf8",
  });
  if (status !== 0) {
    t.diagnostic(`not run: a small file system cannot be mounted here: ${stderr}`);
    return undefined;
  }
  return { [Symbol.dispose]: () => void spawnSync("umount", [path]) };
}

describe("millrace replicate", { concurrency: 2 }, () => {
  for (const signal of ["SIGTERM", "SIGINT"] as const) {
    it(`makes a final sync and ends with status 0 at ${signal}`, async () => {
      using place = new Place();
      const path = place.path("app.db");
      await using app = await SqlProcess.open(path);
      await app.exec("CREATE TABLE t (n INTEGER)");
      const daemon = new Running(["replicate", path, place.url("replica")]);
      await until("the first file", () => existsSync(place.path("replica", "ltx", "0")));
      await app.exec("INSERT INTO t VALUES (1), (2)");
      daemon.kill(signal);
      const outcome = await daemon.outcome;
      assertStatus(outcome, 0);
      assert.match(outcome.stdout, new RegExp(`msg="signal received" signal=${signal}`));
      assert.match(outcome.stdout, /msg="shut down" durable=true/);
      assert.deepEqual(await restored(place), [1, 2]);
    });
  }

  it("ends with status 1 when the final sync reaches nobody [T2]", async () => {
    using place = new Place();
    const path = place.database();
    const config = place.write(
      "c.yml",
      `shutdown-sync-timeout: 0s\nlogging: {stderr: true, type: json}\ndbs: [{path: ${path}, replica: {path: ${place.path("replica")}}}]`,
    );
    const daemon = new Running(["replicate", "-config", config]);
    await until("the first file", () => existsSync(place.path("replica", "ltx", "0")));
    rmSync(place.path("replica"), { recursive: true });
    writeFileSync(place.path("replica"), "no folder any more");
    place.database("app.db", 1);
    daemon.kill("SIGTERM");
    const outcome = await daemon.outcome;
    assertFailure(outcome, 1, "daemon/not-durable", /final sync/);
    assert.equal(outcome.stdout, "");
    assert.ok(outcome.stderr.startsWith('{"time":"'), outcome.stderr);
  });

  it("ends at once at the second signal", async () => {
    using place = new Place();
    const path = place.database();
    writeFileSync(place.path("replica"), "a file where the folder belongs");
    const config = place.write(
      "c.yml",
      `dbs: [{path: ${path}, replica: {path: ${place.path("replica", "x")}}}]`,
    );
    const daemon = new Running(["replicate", "-config", config, "-log-level", "warn"]);
    let log = "";
    daemon.child.stdout?.on("data", (chunk: Buffer) => (log += chunk.toString()));
    await until("a first failure", () => log.includes("lease cannot be read"));
    daemon.kill("SIGTERM");
    daemon.kill("SIGINT");
    const { status } = await daemon.outcome;
    assert.ok(status === 130 || status === 143 || status === 1, `status ${status}`);
  });

  it("waits while another daemon has the destination, says who, and goes on after it", async () => {
    using place = new Place();
    const path = place.database("app.db", 3);
    const configs = ["a", "b"].map((name) =>
      place.write(
        `${name}.yml`,
        `dbs: [{path: ${path}, meta-path: ${place.path(name)}, replica: {path: ${place.path("replica")}}}]`,
      ),
    );
    const state = async (config = ""): Promise<string | undefined> => {
      const { stdout } = await millrace(["status", "-config", config]);
      return /\b(shipping|standby)\b/.exec(stdout)?.[1];
    };
    const [first, second] = configs.map((config) => new Running(["replicate", "-config", config]));
    assert.ok(first !== undefined && second !== undefined);
    await until("one ships and one waits", async () => {
      const states = new Set([await state(configs[0]), await state(configs[1])]);
      return states.has("shipping") && states.has("standby");
    });
    const isFirst = (await state(configs[0])) === "shipping";
    const [holder, waiter] = isFirst ? [first, second] : [second, first];
    const status = await millrace(["status", "-config", configs[isFirst ? 1 : 0] ?? ""]);
    assert.match(status.stdout, /take lease of "file:.*" holds it \(lease\/held\)/);
    holder.kill("SIGTERM");
    assert.equal((await holder.outcome).status, 0);
    await until("the other one ships", async () => {
      const now = await state(configs[isFirst ? 1 : 0]);
      return now === "shipping";
    });
    waiter.kill("SIGTERM");
    assert.equal((await waiter.outcome).status, 0);
    assert.deepEqual(await restored(place, place.url("replica")), numbers(3));
  });

  it("replicates every database of a configuration, with variables expanded", async () => {
    using place = new Place();
    const paths = ["a.db", "b.db"].map((name, index) => place.database(name, index + 1));
    const config = place.write(
      "c.yml",
      paths
        .map((path, index) => `  - path: ${path}\n    replica: {url: "$BASE/${index}"}\n`)
        .join("")
        .replace(/^/, "dbs:\n"),
    );
    const env = { BASE: place.url("replicas"), MILLRACE_CONFIG: config };
    assertStatus(await millrace(["replicate", "-once"], { env }), 0);
    assert.deepEqual(await restored(place, place.url("replicas", "0")), [1]);
    assert.deepEqual(await restored(place, place.url("replicas", "1")), [1, 2]);
    const list = await millrace(["databases", "-json"], { env });
    assert.deepEqual(
      JSON.parse(list.stdout),
      paths.map((path, index) => ({
        path,
        replica: "file",
        url: place.url("replicas", String(index)),
      })),
    );
    // A database of the configuration stands for its replica.
    const found = await millrace(["ltx", paths[1] ?? ""], {
      env: { ...env, MILLRACE_CONFIG: undefined, LITESTREAM_CONFIG: config },
    });
    assertStatus(found, 0);
    assert.equal(found.stdout.trim().split("\n").length, 2);
    const status = JSON.parse((await millrace(["status", "-json"], { env })).stdout) as Record<
      string,
      unknown
    >[];
    assert.deepEqual(
      status.map((entry) => [entry["status"], entry["daemon"]]),
      [
        ["ok", "closed"],
        ["ok", "closed"],
      ],
    );
    const raw = await millrace(["databases", "-no-expand-env"], { env });
    assertFailure(raw, 2, "config/invalid", /\$BASE/);
  });

  it("shows in its status what is durable, and that it died when it was killed", async () => {
    using place = new Place();
    const path = place.database();
    type Status = { daemon: string; local_txid: string; replicas: { durable_txid: string }[] }[];
    const status = async (): Promise<Status> =>
      JSON.parse((await millrace(["status", "-json", path])).stdout) as Status;
    assert.deepEqual(
      (await status()).map(({ daemon }) => daemon),
      ["none"],
    );
    const daemon = new Running(["replicate", path, place.url("replica")]);
    let found: Status = [];
    do found = await status();
    while (found[0]?.replicas[0]?.durable_txid !== "0000000000000001");
    assert.deepEqual([found[0]?.daemon, found[0]?.local_txid], ["running", "0000000000000001"]);
    daemon.kill("SIGKILL");
    await daemon.outcome;
    assert.equal((await status())[0]?.daemon, "died");
    assertStatus(await millrace(["replicate", "-once", path, place.url("replica")]), 0);
    assert.equal((await status())[0]?.daemon, "closed");
  });
});

describe("millrace replicate -exec", { concurrency: 2 }, () => {
  const shop = (sql: string, end: string): string =>
    `${JSON.stringify(process.execPath)} -e '
      const { DatabaseSync } = require("node:sqlite");
      const db = new DatabaseSync(process.argv[1], { timeout: 5000 });
      db.exec("PRAGMA journal_mode = WAL; CREATE TABLE IF NOT EXISTS t (n INTEGER)");
      db.exec("${sql}");
      ${end}' `;

  async function run(place: Place, end: string): Promise<Outcome> {
    const path = place.path("app.db");
    const command = shop("INSERT INTO t VALUES (1)", end) + path;
    return millrace(["replicate", "-exec", command, path, place.url("replica")]);
  }

  for (const [what, end, status] of [
    ["ends by itself", "", 0],
    ["fails", "process.exit(3)", 3],
    ["is killed", 'process.kill(process.pid, "SIGKILL")', 137],
    ["is terminated", 'process.kill(process.pid, "SIGTERM"); setTimeout(() => {}, 9e9)', 143],
  ] as const) {
    it(`makes a final sync and passes the status on when the command ${what} [T1]`, async () => {
      using place = new Place();
      assertStatus(await run(place, end), status);
      assert.deepEqual(await restored(place), [1]);
    });
  }

  it("passes signals on, waits, and makes a final sync of what the command did then [T1]", async () => {
    using place = new Place();
    const path = place.path("app.db");
    const command =
      shop(
        "INSERT INTO t VALUES (1)",
        `require("fs").writeFileSync(process.argv[1] + ".ready", "");
         process.on("SIGTERM", () => { db.exec("INSERT INTO t VALUES (2)"); process.exit(7); });
         setInterval(() => {}, 1000);`,
      ) + path;
    const daemon = new Running(["replicate", "-exec", command, path, place.url("replica")]);
    await until("the command", () => existsSync(`${path}.ready`));
    daemon.kill("SIGTERM");
    assertStatus(await daemon.outcome, 7);
    assert.deepEqual(await restored(place), [1, 2]);
  });

  it("ends with status 1 when the command succeeded and the final sync did not", async () => {
    using place = new Place();
    writeFileSync(place.path("replica"), "a file where the folder belongs");
    const outcome = await run(place, "");
    assertFailure(outcome, 1, "daemon/not-durable", /final sync/);
    assertStatus(await run(place, "process.exit(5)"), 5);
  });

  it("says when the command does not exist", async () => {
    using place = new Place();
    const path = place.database();
    const outcome = await millrace([
      "replicate",
      "-exec",
      "/no/such/program x",
      path,
      place.url("replica"),
    ]);
    assertFailure(outcome, 1, "daemon/exec-failed", /"\/no\/such\/program": no such program/);
    assert.equal(
      readdirSync(place.path("replica", "ltx", "0")).length,
      1,
      "the final sync is made",
    );
  });

  it("runs the command of the configuration", async () => {
    using place = new Place();
    const path = place.database();
    const config = place.write(
      "c.yml",
      `exec: sh -c 'echo "$$GREETING"; exit 4'\ndbs: [{path: ${path}, replica: {path: ${place.path("replica")}}}]`,
    );
    const outcome = await millrace(["replicate", "-config", config, "--json"], {
      env: { GREETING: "hello from the command" },
    });
    assertStatus(outcome, 4);
    assert.match(outcome.stdout, /^hello from the command$/m);
  });
});
