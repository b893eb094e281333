/** The library as an application uses it: in a process that is not the one that replicates. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, writeFileSync } from "node:fs";
import { describe, it } from "node:test";
import { pathToFileURL } from "node:url";
import { isMillraceError, replicate, restore, type ReplicationEvent } from "../../src/index.ts";
import { SqlProcess } from "../../src/testing/sql-process.ts";
import { numbers, Place, rows, until } from "./harness.ts";

const LIBRARY = new URL("../../src/index.ts", import.meta.url).href;

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

async function table(path: string): Promise<SqlProcess> {
  const app = await SqlProcess.open(path);
  await app.exec("CREATE TABLE t (n INTEGER)");
  return app;
}

describe("replicate()", { concurrency: 2 }, () => {
  it("makes what was committed durable before durable() resolves", async () => {
    using place = new Place();
    const path = place.path("app.db");
    await using app = await table(path);
    const events: ReplicationEvent[] = [];
    let pid: number;
    {
      await using replication = await replicate(path, {
        to: place.url("replica"),
        onEvent: (event) => events.push(event),
      });
      pid = replication.pid;
      assert.notEqual(pid, process.pid);
      for (const n of numbers(5)) {
        await app.exec(`INSERT INTO t VALUES (${n})`);
        const txid = await replication.durable();
        const { destinations, phase } = await replication.status();
        assert.equal(phase, "wal");
        assert.ok((destinations[0]?.durableTxid ?? 0n) >= txid);
        const to = place.path(`${n}.db`);
        const result = await restore({ from: place.url("replica"), to });
        assert.deepEqual([rows(to), result.proof], [numbers(n), "database-checksum"]);
      }
      await app.exec("INSERT INTO t VALUES (6)");
    }
    // Disposing made a final sync and ended the process.
    assert.equal(isAlive(pid), false);
    await restore({ from: place.url("replica"), to: place.path("last.db") });
    assert.deepEqual(rows(place.path("last.db")), numbers(6));
    for (const type of ["phase", "captured", "uploaded", "durable"] as const)
      assert.ok(
        events.some((event) => event.type === type),
        type,
      );
  });

  it("rejects with the code of what is wrong, and leaves no process", async () => {
    using place = new Place();
    const junk = place.write("junk.db", "no database ".repeat(500));
    for (const [path, to, code] of [
      [junk, place.url("replica"), "sqlite/not-a-database"],
      [place.path("no", "such.db"), place.url("replica"), "fs/not-found"],
      [place.path("app.db"), "ftp://host/x", "url/invalid"],
      [place.path("app.db"), "s3://bucket/x?regoin=eu", "url/invalid"],
    ] as const) {
      await assert.rejects(replicate(path, { to }), (error) => isMillraceError(error, code));
    }
    const path = place.database();
    await using _replication = await replicate(path, { to: place.url("replica") });
    await assert.rejects(replicate(path, { to: place.url("other") }), (error) =>
      isMillraceError(error, "capture/busy"),
    );
  });

  it("stops waiting when the signal of durable() is aborted, and goes on", async () => {
    using place = new Place();
    writeFileSync(place.path("replica"), "a file where the folder belongs");
    const path = place.database();
    const replication = await replicate(path, { to: place.url("replica") });
    await assert.rejects(replication.durable({ signal: AbortSignal.timeout(300) }), {
      name: "TimeoutError",
    });
    assert.equal((await replication.status()).destinations[0]?.durableTxid, 0n);
    const result = await replication.close({ timeoutMs: 100 });
    assert.deepEqual([result.durable, result.error?.code], [false, "daemon/not-durable"]);
    await assert.rejects(replication[Symbol.asyncDispose](), (error) =>
      isMillraceError(error, "daemon/not-durable"),
    );
    await assert.rejects(replication.durable(), (error) => isMillraceError(error, "daemon/closed"));
  });

  it("ends with a final sync when its signal is aborted", async () => {
    using place = new Place();
    const path = place.path("app.db");
    await using app = await table(path);
    const end = new AbortController();
    const replication = await replicate(path, { to: place.url("replica"), signal: end.signal });
    await app.exec("INSERT INTO t VALUES (1)");
    end.abort(new Error("the application ends"));
    assert.equal((await replication.close()).durable, true);
    assert.equal(isAlive(replication.pid), false);
    await restore({ from: place.url("replica"), to: place.path("copy.db") });
    assert.deepEqual(rows(place.path("copy.db")), [1]);
  });

  it("rejects every pending call when the replicating process is killed", async () => {
    using place = new Place();
    const path = place.database();
    const replication = await replicate(path, { to: place.url("replica") });
    const pending = [replication.durable(), replication.status()].map((call) =>
      call.then(
        () => "done",
        (error: unknown) => (isMillraceError(error) ? error.code : "other"),
      ),
    );
    process.kill(replication.pid, "SIGKILL");
    for (const outcome of await Promise.all(pending))
      assert.ok(["done", "daemon/child-exited"].includes(outcome), outcome);
    await assert.rejects(replication.durable(), (error) =>
      isMillraceError(error, "daemon/child-exited"),
    );
    await assert.rejects(replication[Symbol.asyncDispose](), (error) =>
      isMillraceError(error, "daemon/child-exited"),
    );
  });
});

/** An application that replicates its own database and prints the child's process id. */
function application(place: Place, ending: string): string {
  const script = place.write(
    "application.mjs",
    `import { DatabaseSync } from "node:sqlite";
     import { replicate } from ${JSON.stringify(LIBRARY)};
     const db = new DatabaseSync(${JSON.stringify(place.path("app.db"))}, { timeout: 5000 });
     db.exec("PRAGMA journal_mode = WAL; CREATE TABLE t (n INTEGER)");
     const replication = await replicate(${JSON.stringify(place.path("app.db"))}, { to: ${JSON.stringify(place.url("replica"))} });
     await replication.durable();
     for (let n = 1; n <= 50; n += 1) db.exec("INSERT INTO t VALUES (" + n + ")");
     process.stdout.write(String(replication.pid) + "\\n");
     ${ending}`,
  );
  return script;
}

describe("a parent that goes away", { concurrency: 2 }, () => {
  for (const [what, ending, status] of [
    ["is killed", `process.kill(process.pid, "SIGKILL");`, null],
    ["throws", `throw new Error("a defect of the application");`, 1],
    ["forgets to close, and ends", "", 0],
    ["exits at once", "process.exit(3);", 3],
  ] as const) {
    it(`leaves a child that makes a final sync and ends, when it ${what}`, async () => {
      using place = new Place();
      const child = spawn(process.execPath, [application(place, ending)], {
        stdio: ["ignore", "pipe", "ignore"],
      });
      let printed = "";
      child.stdout.on("data", (chunk: Buffer) => (printed += chunk.toString()));
      const [code] = (await once(child, "exit")) as [number | null];
      assert.equal(code, status);
      await until("the child's process id", () => printed.includes("\n"));
      const pid = Number(printed);
      await until("the child to end", () => !isAlive(pid));
      assert.ok(existsSync(place.path("replica")));
      await restore({ from: place.url("replica"), to: place.path("copy.db") });
      assert.deepEqual(rows(place.path("copy.db")), numbers(50));
    });
  }

  it("is not kept alive by an idle replication", async () => {
    using place = new Place();
    const started = performance.now();
    const child = spawn(process.execPath, [application(place, "db.close();")], { stdio: "ignore" });
    await once(child, "exit");
    assert.ok(performance.now() - started < 20_000);
  });
});

describe("restore()", () => {
  it("restores a transaction, a time, and refuses both at once", async () => {
    using place = new Place();
    const path = place.path("app.db");
    await using app = await table(path);
    await using replication = await replicate(path, { to: place.url("replica") });
    await app.exec("INSERT INTO t VALUES (1)");
    const txid = await replication.durable();
    const from = place.url("replica");
    const { plan } = await restore({ from, to: place.path("a.db"), txid });
    assert.deepEqual(rows(place.path("a.db")), [1]);
    const timestamp = new Date(plan.timestampMs + 1);
    await restore({ from, to: place.path("b.db"), timestamp });
    assert.deepEqual(rows(place.path("b.db")), [1]);
    await assert.rejects(restore({ from, to: place.path("c.db"), txid, timestamp }), (error) =>
      isMillraceError(error, "usage/invalid"),
    );
    await assert.rejects(restore({ from, to: place.path("a.db") }), (error) =>
      isMillraceError(error, "restore/output-exists"),
    );
    await assert.rejects(
      restore({ from, to: place.path("d.db"), signal: AbortSignal.abort(new Error("stop")) }),
      /stop/,
    );
    await assert.rejects(
      restore({ from: pathToFileURL(place.path("none")).href, to: place.path("e.db") }),
      (error) => isMillraceError(error, "restore/no-backup"),
    );
  });
});
