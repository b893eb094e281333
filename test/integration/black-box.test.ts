/**
 * What was seen to go wrong on the released Litestream 0.5.18 from outside, done to our replicator: real capture threads,
 * a real file store, the application in a process of its own. The proof is always the same: every state that was
 * reported durable restores byte for byte, by its TXID, and the newest one as `latest`.
 */
import assert from "node:assert/strict";
import {
  cpSync,
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, it } from "node:test";
import { pathToFileURL } from "node:url";
import { DatabaseSync } from "node:sqlite";
import { SILENT } from "../../src/base/logger.ts";
import type { ReplicationEvent } from "../../src/daemon/contract.ts";
import { openReplicator, type Replicator } from "../../src/daemon/replicator.ts";
import { restore } from "../../src/daemon/restore-from.ts";
import { isMillraceError } from "../../src/errors.ts";
import { checkpointedCopy } from "../../src/testing/database-copy.ts";
import { SqlProcess } from "../../src/testing/sql-process.ts";
import { until } from "../e2e/harness.ts";

const CREATE = "CREATE TABLE IF NOT EXISTS t (id INTEGER PRIMARY KEY, v)";
const INSERT = "INSERT INTO t (v) VALUES (randomblob(3000))";

/** A database with its application, replicated to a directory, and what every durable TXID stood for. */
class Site implements AsyncDisposable {
  readonly dir: string;
  readonly path: string;
  readonly metaDir: string;
  readonly replica: string;
  readonly events: ReplicationEvent[] = [];
  readonly #durable = new Map<bigint, Uint8Array>();
  #app: SqlProcess | undefined;
  #replicator: Replicator | undefined;
  #restores = 0;

  /** Of its destination. */
  lease = "auto";

  constructor(replica?: string) {
    this.dir = mkdtempSync(join(tmpdir(), "millrace-black-box-"));
    this.path = join(this.dir, "app.db");
    this.metaDir = join(this.dir, ".app.db-millrace");
    this.replica = replica ?? join(this.dir, "replica");
  }

  /** A replicated database with a few durable transactions. */
  static async running(lease = "auto"): Promise<Site> {
    const site = new Site();
    site.lease = lease;
    await site.exec(CREATE);
    for (let row = 0; row < 10; row++) await site.exec(INSERT);
    await site.start();
    await site.work();
    return site;
  }

  get url(): string {
    return pathToFileURL(this.replica).href;
  }

  /** Runs SQL in the application, which is started when it does not run. */
  async exec(sql: string): Promise<readonly Record<string, unknown>[]> {
    this.#app ??= await SqlProcess.open(this.path);
    return await this.#app.exec(sql);
  }

  async closeApp(): Promise<void> {
    await this.#app?.[Symbol.asyncDispose]();
    this.#app = undefined;
  }

  get replicator(): Replicator {
    assert.ok(this.#replicator !== undefined, "the replicator runs");
    return this.#replicator;
  }

  async start(): Promise<void> {
    await this.open();
    await this.settle();
  }

  async open(): Promise<void> {
    const to = [{ url: this.url, lease: this.lease }];
    this.#replicator = await openReplicator({
      databases: [{ path: this.path, to }],
      logger: SILENT,
      version: "test",
      pid: process.pid,
      onEvent: (event) => this.events.push(event),
    });
  }

  async stop(): Promise<void> {
    const replicator = this.#replicator;
    this.#replicator = undefined;
    await replicator?.close();
  }

  /** Waits until everything is durable and remembers what it is. */
  async settle(): Promise<void> {
    const txid = (await this.replicator.sync({ wait: true })).get(this.path);
    assert.ok(txid !== undefined && txid > 0n);
    this.#durable.set(txid, checkpointedCopy(this.path));
  }

  /** Two durable transactions. */
  async work(): Promise<void> {
    await this.exec(CREATE);
    for (let round = 0; round < 2; round++) {
      await this.exec(INSERT);
      await this.exec("UPDATE t SET v = randomblob(1000) WHERE id % 3 = 1");
      await this.settle();
    }
  }

  countResyncs(): number {
    return this.events.filter((event) => event.type === "resync").length;
  }

  async restored(target: { txid?: bigint; timestamp?: Date } = {}): Promise<Uint8Array> {
    const to = join(this.dir, `restored-${(this.#restores += 1)}.db`);
    await restore({ from: this.url, to, parallelism: 1, ...target });
    return readFileSync(to);
  }

  /** Everything that was ever durable restores; the newest is the latest. */
  async assertRestorable(): Promise<void> {
    let latest: Uint8Array | undefined;
    for (const [txid, image] of this.#durable) {
      assert.ok(Buffer.compare(await this.restored({ txid }), image) === 0, `TXID ${txid}`);
      latest = image;
    }
    assert.ok(latest !== undefined);
    assert.ok(Buffer.compare(await this.restored(), latest) === 0, "the latest state");
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
    await this.closeApp();
    rmSync(this.dir, { recursive: true, force: true });
  }
}

/** Another database of the same table, complete in its one file. */
function makeDatabase(path: string, pageSize: number): void {
  using db = new DatabaseSync(path);
  db.exec(`PRAGMA page_size = ${pageSize}; PRAGMA journal_mode = WAL; ${CREATE}`);
  for (let row = 0; row < 25; row++) db.exec(INSERT);
}

function removeDatabase(path: string): void {
  for (const suffix of ["", "-wal", "-shm"]) rmSync(`${path}${suffix}`, { force: true });
}

function replaceBy(site: Site, pageSize: number): void {
  const other = join(site.dir, "other.db");
  makeDatabase(other, pageSize);
  removeDatabase(site.path);
  renameSync(other, site.path);
}

/** What happens to the file while no application has it open. */
const FATES: Readonly<Record<string, (site: Site) => void>> = {
  "replaced by another [hazard 81]": (site) => replaceBy(site, 4096),
  "replaced by one of another page size [hazard 80]": (site) => replaceBy(site, 1024),
  "deleted and made anew [hazard 81]": (site) => removeDatabase(site.path),
  "restored to an older state": (site) => {
    const older = join(site.dir, "older.db");
    removeDatabase(site.path);
    cpSync(older, site.path);
  },
};

describe("a database file that becomes another one", { concurrency: 2 }, () => {
  for (const [fate, happen] of Object.entries(FATES)) {
    for (const when of ["while running", "while down"]) {
      it(`is followed when it is ${fate}, ${when}`, async () => {
        await using site = await Site.running();
        cpSync(site.path, join(site.dir, "older.db"));
        await site.work();
        if (when === "while down") await site.stop();
        await site.closeApp();
        happen(site);
        await site.exec(CREATE);
        await site.exec(INSERT);
        if (when === "while down") await site.start();
        else await site.settle();
        await site.work();
        await site.stop();
        await site.start();
        await site.work();
        await site.assertRestorable();
      });
    }
  }

  it("is followed when VACUUM gave it another page size while down [hazard 80]", async () => {
    await using site = await Site.running();
    await site.stop();
    await site.exec("PRAGMA journal_mode = DELETE");
    await site.exec("PRAGMA page_size = 8192");
    await site.exec("VACUUM");
    await site.exec("PRAGMA journal_mode = WAL");
    await site.start();
    await site.work();
    await site.assertRestorable();
  });

  it("is followed when database and local directory are both put back to an older state [hazard 94]", async () => {
    await using site = await Site.running();
    await site.stop();
    await site.closeApp();
    const backup = join(site.dir, "backup");
    for (const name of readdirSync(site.dir)) {
      if (name.includes("app.db"))
        cpSync(join(site.dir, name), join(backup, name), { recursive: true });
    }
    await site.start();
    await site.work();
    await site.stop();
    await site.closeApp();
    removeDatabase(site.path);
    rmSync(site.metaDir, { recursive: true });
    cpSync(backup, site.dir, { recursive: true });
    await site.exec("DELETE FROM t WHERE id < 5");
    await site.start();
    await site.work();
    await site.assertRestorable();
  });
});

describe("downtime", { concurrency: 2 }, () => {
  it("in which the application restarts the WAL and leaves it shorter than before loses nothing [hazard 75]", async () => {
    await using site = await Site.running();
    for (let round = 0; round < 3; round++) {
      for (let row = 0; row < 10; row++) await site.exec(INSERT);
      await site.settle();
      await site.stop();
      for (let row = 0; row < 8; row++)
        await site.exec("UPDATE t SET v = randomblob(900) WHERE id = 3");
      await site.exec("PRAGMA wal_checkpoint(RESTART)");
      await site.exec("INSERT INTO t (v) VALUES ('after')");
      await site.start();
      await site.work();
    }
    await site.assertRestorable();
  });

  it("in which nothing is lost costs no copy, although the application closed before us [hazard 93]", async () => {
    await using site = await Site.running();
    const resyncs = site.countResyncs();
    for (let round = 0; round < 3; round++) {
      await site.closeApp();
      assert.ok(existsSync(`${site.path}-wal`), "the WAL stays while we run");
      await site.stop();
      assert.ok(existsSync(`${site.path}-wal`), "the WAL stays when we close last");
      await site.start();
      await site.work();
    }
    assert.equal(site.countResyncs(), resyncs);
    await site.assertRestorable();
  });
});

describe("a running replicator", { concurrency: 2 }, () => {
  it("goes on when its local directory is removed [hazard 78]", async () => {
    await using site = await Site.running();
    for (let round = 0; round < 2; round++) {
      rmSync(site.metaDir, { recursive: true });
      await site.exec(INSERT);
      await site.settle();
      await site.work();
    }
    const [database] = site.replicator.status().databases;
    assert.equal(database?.phase, "wal");
    assert.equal(database.destinations[0]?.durableTxid, database.txid);
    await site.assertRestorable();
    await site.stop();
    await site.start();
    await site.work();
    await site.assertRestorable();
  });

  it("keeps the WAL from being overwritten although calls are given up [hazard 79]", async () => {
    await using site = await Site.running();
    const resyncs = site.countResyncs();
    await site.exec("PRAGMA busy_timeout = 0");
    for (let round = 0; round < 30; round++) {
      const signal = round % 3 === 0 ? AbortSignal.abort() : AbortSignal.timeout(round % 5);
      const given = site.replicator.sync({ wait: true, signal }).catch(() => {});
      await site.exec(INSERT);
      await site.exec(`PRAGMA wal_checkpoint(${round % 2 === 0 ? "TRUNCATE" : "RESTART"})`);
      await given;
    }
    await site.work();
    assert.equal(site.countResyncs(), resyncs, "no frame was missed");
    await site.assertRestorable();
  });
});

describe("a destination", { concurrency: 2 }, () => {
  it("with a hole is refused for any time after it, not restored to an older state", async () => {
    await using site = await Site.running();
    await site.work();
    await site.work();
    const level = join(site.replica, "ltx", "0");
    const names = readdirSync(level).sort();
    assert.ok(names.length >= 5);
    rmSync(join(level, names[2] ?? ""));
    const timestamp = new Date(Date.now() + 3_600_000);
    for (const target of [{ timestamp }, {}, { txid: BigInt(names.length) }]) {
      await assert.rejects(site.restored(target), (error) => isMillraceError(error, "restore/gap"));
    }
    await site.restored({ txid: 2n });
  });

  it("of two replicators belongs to one, and the other waits [hazard 90]", async () => {
    await using first = await Site.running();
    await using second = new Site(first.replica);
    await second.exec(CREATE);
    await second.exec("INSERT INTO t (v) VALUES ('second')");
    await second.open();
    await until("the second to wait", () =>
      second.events.some((event) => event.type === "lease" && event.state === "waiting"),
    );
    const [database] = second.replicator.status().databases;
    assert.equal(database?.destinations[0]?.state, "standby");
    await first.work();
    await first.assertRestorable();
    await first.stop();
    await second.settle();
    await second.work();
    await second.assertRestorable();
  });

  it("without a lease belongs to one, and the other is told [hazard 90]", async () => {
    await using first = await Site.running("none");
    await using second = new Site(first.replica);
    second.lease = "none";
    await second.exec(CREATE);
    await second.exec("INSERT INTO t (v) VALUES ('second')");
    await second.start();
    await second.work();
    await first.exec(INSERT);
    await assert.rejects(first.replicator.sync({ wait: true }), (error) =>
      isMillraceError(error, "ship/conflict"),
    );
    const [database] = first.replicator.status().databases;
    assert.equal(database?.destinations[0]?.state, "stopped");
    assert.ok(first.events.some((event) => event.type === "stopped"));
    await second.work();
    await second.assertRestorable();
  });
});
