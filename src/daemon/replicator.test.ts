/** Whole replications in this process: real capture threads, real file stores, the application in another process. */
import assert from "node:assert/strict";
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { describe, it } from "node:test";
import { pathToFileURL } from "node:url";
import { DatabaseSync } from "node:sqlite";
import { SILENT } from "../base/logger.ts";
import { isMillraceError } from "../errors.ts";
import { nodeFiles } from "../platform/files.ts";
import { SqlProcess } from "../testing/sql-process.ts";
import type { ReplicationEvent } from "./contract.ts";
import { readStatusFile, type StatusRecord } from "./status-file.ts";
import { openReplicator, type Replicator, type ReplicatorOptions } from "./replicator.ts";
import { toLocation } from "../storage/replica-url/replica-url.ts";
import { restore } from "./restore-from.ts";

const DEADLINE_MS = 20_000;

/** A directory with a database, its application, and any number of replicas. */
class Bench implements AsyncDisposable {
  readonly dir = mkdtempSync(join(tmpdir(), "millrace-replicator-"));
  readonly path = join(this.dir, "app.db");
  readonly metaDir = join(this.dir, ".app.db-millrace");
  readonly events: ReplicationEvent[] = [];
  #app: SqlProcess | undefined;
  #restores = 0;

  static async open(): Promise<Bench> {
    const bench = new Bench();
    await (await bench.app()).exec("CREATE TABLE t (n INTEGER)");
    return bench;
  }

  async app(): Promise<SqlProcess> {
    this.#app ??= await SqlProcess.open(this.path);
    return this.#app;
  }

  async insert(n: number): Promise<void> {
    await (await this.app()).exec(`INSERT INTO t VALUES (${n})`);
  }

  url(name = "replica"): string {
    return pathToFileURL(join(this.dir, name)).href;
  }

  replicate(
    options: Partial<ReplicatorOptions> & { readonly to?: readonly string[] } = {},
  ): Promise<Replicator> {
    const { to = [this.url()], ...rest } = options;
    return openReplicator({
      databases: [{ path: this.path, to: to.map(toLocation) }],
      logger: SILENT,
      version: "test",
      pid: process.pid,
      onEvent: (event) => this.events.push(event),
      ...rest,
    });
  }

  async restored(name = "replica"): Promise<unknown[]> {
    const to = join(this.dir, `restored-${(this.#restores += 1)}.db`);
    await restore({ from: this.url(name), to });
    using db = new DatabaseSync(to, { readOnly: true });
    return db
      .prepare("SELECT n FROM t ORDER BY n")
      .all()
      .map((row) => row["n"]);
  }

  get statusPath(): string {
    return join(this.metaDir, "status.json");
  }

  status(): StatusRecord | undefined {
    return readStatusFile(nodeFiles, this.statusPath);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#app?.[Symbol.asyncDispose]();
    rmSync(this.dir, { recursive: true, force: true });
  }
}

async function until(what: string, condition: () => boolean): Promise<void> {
  for (const end = Date.now() + DEADLINE_MS; !condition();) {
    if (Date.now() > end) assert.fail(`waited ${DEADLINE_MS} ms for: ${what}`);
    await pause(10);
  }
}

describe("Replicator", () => {
  it("makes what was committed durable before sync({ wait }) resolves", async () => {
    await using bench = await Bench.open();
    await using replicator = await bench.replicate();
    for (let n = 1; n <= 5; n += 1) {
      await bench.insert(n);
      const txids = await replicator.sync({ wait: true });
      assert.equal(
        txids.get(bench.path),
        replicator.status().databases[0]?.destinations[0]?.durableTxid,
      );
    }
    assert.deepEqual(await bench.restored(), [1, 2, 3, 4, 5]);
  });

  it("captures and ships by itself what is committed", async () => {
    await using bench = await Bench.open();
    await using replicator = await bench.replicate();
    await replicator.sync({ wait: true });
    const durable = (): number => bench.events.filter((event) => event.type === "durable").length;
    const before = durable();
    await bench.insert(7);
    await until("a durable commit", () => durable() > before);
    assert.deepEqual(await bench.restored(), [7]);
  });

  it("ships to several destinations, and says what each has", async () => {
    await using bench = await Bench.open();
    const urls = [bench.url("a"), bench.url("b")];
    const replicator = await bench.replicate({ to: urls });
    await bench.insert(1);
    await replicator.sync({ wait: true });
    assert.deepEqual(
      replicator.status().databases[0]?.destinations.map(({ name }) => name),
      urls,
    );
    const result = await replicator.close();
    assert.equal(result.durable, true);
    assert.deepEqual([await bench.restored("a"), await bench.restored("b")], [[1], [1]]);
  });

  it("goes on where it ended, and catches up with what was committed meanwhile", async () => {
    await using bench = await Bench.open();
    for (const n of [1, 2, 3]) {
      await bench.insert(n * 10);
      const replicator = await bench.replicate();
      await bench.insert(n * 10 + 1);
      const { durable, databases } = await replicator.close();
      assert.deepEqual([durable, databases[0]?.error], [true, undefined]);
    }
    assert.deepEqual(await bench.restored(), [10, 11, 20, 21, 30, 31]);
    const full = bench.events.filter((event) => event.type === "resync");
    assert.equal(full.length, 1, "only the first start copies everything");
  });

  it("goes on after the destination's line when local files were lost", async () => {
    await using bench = await Bench.open();
    await bench.insert(1);
    await (await bench.replicate()).close();
    rmSync(bench.metaDir, { recursive: true });
    await bench.insert(2);
    const replicator = await bench.replicate();
    const txid = (await replicator.sync({ wait: true })).get(bench.path) ?? 0n;
    assert.ok(bench.events.some((event) => event.type === "rebase"));
    const { databases } = await replicator.close();
    assert.ok((databases[0]?.txid ?? 0n) > 1n && txid >= 1n);
    assert.deepEqual(await bench.restored(), [1, 2]);
  });

  it("writes a snapshot into a destination that lost its files", async () => {
    await using bench = await Bench.open();
    for (let n = 0; n < 3; n += 1) {
      await bench.insert(n);
      await (await bench.replicate()).close();
    }
    rmSync(join(bench.dir, "replica"), { recursive: true });
    rmSync(join(bench.metaDir, "ltx", "0", readdirSync(join(bench.metaDir, "ltx", "0"))[0] ?? ""));
    const replicator = await bench.replicate();
    await replicator.sync({ wait: true });
    await replicator.close();
    assert.deepEqual(await bench.restored(), [0, 1, 2]);
  });

  it("waits for a database that is not there yet", async () => {
    await using bench = new Bench();
    const replicator = await bench.replicate();
    assert.deepEqual([...(await replicator.sync({ wait: true })).values()], [0n]);
    assert.equal(replicator.status().databases[0]?.phase, "missing");
    await (await bench.app()).exec("CREATE TABLE t (n INTEGER)");
    await bench.insert(1);
    await replicator.sync({ wait: true });
    await replicator.close();
    assert.deepEqual(await bench.restored(), [1]);
  });

  it("refuses a database that another replicator has, and one whose directory is missing", async () => {
    await using bench = await Bench.open();
    await using _replicator = await bench.replicate();
    await assert.rejects(bench.replicate(), (error) => isMillraceError(error, "capture/busy"));
    const path = join(bench.dir, "no", "such.db");
    await assert.rejects(
      bench.replicate({ databases: [{ path, to: [{ url: bench.url() }] }] }),
      (error) => isMillraceError(error, "fs/not-found"),
    );
    assert.equal(existsSync(join(bench.dir, "no")), false);
  });

  it("refuses a database twice, none, and a destination twice", async () => {
    await using bench = await Bench.open();
    const database = { path: bench.path, to: [{ url: bench.url() }] };
    for (const databases of [
      [database, database],
      [{ ...database, to: [] }],
      [{ ...database, to: [{ url: bench.url() }, { url: bench.url() }] }],
    ]) {
      await assert.rejects(bench.replicate({ databases }), (error) =>
        isMillraceError(error, "config/invalid"),
      );
    }
  });

  it("goes on with its other databases when one cannot be read", async () => {
    await using bench = await Bench.open();
    const junk = join(bench.dir, "junk.db");
    writeFileSync(junk, "x".repeat(5000));
    await bench.insert(1);
    const replicator = await bench.replicate({
      databases: [
        { path: bench.path, to: [{ url: bench.url() }] },
        { path: junk, to: [{ url: bench.url("junk") }] },
      ],
    });
    await assert.rejects(replicator.sync({ wait: true }), (error) =>
      isMillraceError(error, "sqlite/not-a-database"),
    );
    const result = await replicator.close();
    assert.deepEqual(
      result.databases.map(({ durable }) => durable),
      [true, false],
    );
    assert.equal(result.databases[1]?.error?.code, "daemon/not-durable");
    assert.deepEqual(await bench.restored(), [1]);
  });
});

describe("Replicator.close()", () => {
  it("says what is not durable when a destination cannot be reached in time [T2]", async () => {
    await using bench = await Bench.open();
    writeFileSync(join(bench.dir, "replica"), "a file where the folder belongs");
    const replicator = await bench.replicate();
    await bench.insert(1);
    const started = performance.now();
    const result = await replicator.close({ timeoutMs: 5000 });
    assert.ok(performance.now() - started < 15_000);
    assert.equal(result.durable, false);
    const [database] = result.databases;
    assert.equal(database?.error?.code, "daemon/not-durable");
    assert.deepEqual(
      database?.destinations.map(({ durableTxid }) => durableTxid),
      [0n],
    );
    assert.match(
      database?.error?.message ?? "",
      /TXID 0000000000000001 is captured, "file:.*" has 0000000000000000: /,
    );
    // Nothing is lost: it is shipped once the destination is back.
    rmSync(join(bench.dir, "replica"));
    assert.equal((await (await bench.replicate()).close()).durable, true);
    assert.deepEqual(await bench.restored(), [1]);
  });

  it("can be given up, and repeated", async () => {
    await using bench = await Bench.open();
    writeFileSync(join(bench.dir, "replica"), "a file where the folder belongs");
    const replicator = await bench.replicate();
    const result = await replicator.close({ signal: AbortSignal.abort(new Error("enough")) });
    assert.equal(result.durable, false);
    assert.equal(await replicator.close(), result);
    await assert.rejects(replicator[Symbol.asyncDispose](), (error) =>
      isMillraceError(error, "daemon/not-durable"),
    );
  });
});

describe("a stopped database", () => {
  it("is told when its capture thread dies; nothing is deleted and everybody who waits hears of it", async () => {
    await using bench = await Bench.open();
    await bench.insert(1);
    // A module that ends the thread at the third sync of a local file.
    const module = join(bench.dir, "files.ts");
    const platform = new URL("../platform/files.ts", import.meta.url).href;
    writeFileSync(
      module,
      `import { nodeFiles } from "${platform}";
let count = 0;
export const files = { ...nodeFiles, rename(op: string, from: string, to: string) {
  if (op === "publish local ltx" && ++count === 3) process.exit(1);
  nodeFiles.rename(op, from, to);
} };`,
    );
    const replicator = await bench.replicate({
      captureSetup: { filesModule: pathToFileURL(module).href },
    });
    await replicator.sync({ wait: true });
    await bench.insert(2);
    await replicator.sync({ wait: true });
    await bench.insert(3);
    await assert.rejects(replicator.sync({ wait: true }), (error) =>
      isMillraceError(error, "internal/bug"),
    );
    assert.equal(replicator.isDead, true);
    assert.equal(replicator.stopped[0]?.code, "internal/bug");
    assert.ok(
      bench.events.some((event) => event.type === "stopped" && event.destination === undefined),
    );
    await until("the status file to tell", () => bench.status()?.phase === "stopped");
    assert.equal((await replicator.close()).durable, false);
    assert.equal((await (await bench.replicate()).close()).durable, true);
    assert.deepEqual(await bench.restored(), [1, 2, 3]);
  });
});

describe("status.json", () => {
  it("says what is durable where, and that the process ended", async () => {
    await using bench = await Bench.open();
    await bench.insert(1);
    const replicator = await bench.replicate();
    await replicator.sync({ wait: true });
    await until(
      "the status file to be current",
      () => bench.status()?.destinations[0]?.durableTxid === "0000000000000001",
    );
    const running = bench.status();
    assert.deepEqual(
      { ...running, host: "", startedAt: "", updatedAt: "", destinations: [] },
      {
        format: 1,
        version: "test",
        pid: process.pid,
        host: "",
        startedAt: "",
        updatedAt: "",
        database: bench.path,
        phase: "wal",
        txid: "0000000000000001",
        destinations: [],
      },
    );
    const [destination] = running?.destinations ?? [];
    assert.equal(destination?.name, bench.url());
    assert.equal(destination?.state, "shipping");
    assert.equal(destination?.behindSince, undefined);
    await replicator.close();
    assert.equal(bench.status()?.phase, "closed");
  });

  it("is not written while nothing happens, and at most about once a second while commits come", async () => {
    await using bench = await Bench.open();
    await using replicator = await bench.replicate();
    await replicator.sync({ wait: true });
    const inode = (): bigint => statSync(bench.statusPath, { bigint: true }).ino;
    const seen = new Set<bigint>();
    const started = Date.now();
    for (let n = 0; n < 40; n += 1) {
      await bench.insert(n);
      await replicator.sync({ wait: true });
      seen.add(inode());
    }
    const seconds = (Date.now() - started) / 1000;
    assert.ok(seen.size <= seconds + 3, `${seen.size} writes in ${seconds} s`);
    const { txid } = replicator.status().databases[0] ?? {};
    const wanted = txid?.toString(16).padStart(16, "0");
    await until(
      "the status file to come to rest",
      () => bench.status()?.destinations[0]?.durableTxid === wanted,
    );
    const rest = readFileSync(bench.statusPath, "utf8");
    const restInode = inode();
    await pause(1500);
    assert.deepEqual([readFileSync(bench.statusPath, "utf8"), inode()], [rest, restInode]);
  });

  it("does not matter when it cannot be written", async () => {
    await using bench = await Bench.open();
    mkdirSync(bench.statusPath, { recursive: true });
    const replicator = await bench.replicate();
    await bench.insert(1);
    assert.equal((await replicator.close()).durable, true);
  });
});
