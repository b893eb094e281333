/**
 * An application that writes, the real daemon that replicates it, and a fault proxy between that and a real store. At the
 * end everything is proven by the straight way to the store.
 */
import assert from "node:assert/strict";
import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { basename } from "node:path";
import { createInterface } from "node:readline";
import { DatabaseSync } from "node:sqlite";
import { fileURLToPath } from "node:url";
import type { StatusRecord } from "../../src/daemon/status-file.ts";
import { daemonStatus, isDrained } from "../../src/testing/daemon-status.ts";
import { checkpointedCopy } from "../../src/testing/database-copy.ts";
import { FaultProxy } from "../../src/testing/fault-proxy.ts";
import { describeRequest } from "../../src/testing/fault-proxy/request-log.ts";
import { emptyPlace, type StorePlace, type TestStore } from "../../src/testing/store-places.ts";
import { assertStatus, millrace, Place, Running, until } from "./harness.ts";

const LEDGER = new URL("../crash/ledger.ts", import.meta.url);
/** Longest life of a daemon beyond what is asked of it. */
const SPARE_MS = 120_000;
/** Requests shown when something went wrong. */
const SHOWN_REQUESTS = 40;

/** Why a test with this store cannot run here, if so. */
export async function whyUnavailable(store: TestStore): Promise<string | undefined> {
  const place = await store.find("none");
  if (typeof place === "string") return place;
  const { stderr } = await millrace(["ltx", place.url(place.server)], { env: place.env });
  const isUnsupported = /^Code: (?:url|storage)\/unsupported$/m.test(stderr);
  return isUnsupported ? "this version has no such stores" : undefined;
}

export interface SceneOptions {
  /** How long the daemon may live, apart from the time that every one gets. */
  readonly lifeMs: number;
  readonly syncIntervalMs: number;
  readonly seed: number;
}

/** What was proven at the end. */
export interface Proof {
  readonly txid: bigint;
  readonly countFiles: number;
  readonly committed: number;
}

interface Listed {
  readonly min_txid: string;
  readonly max_txid: string;
}

export class StoreScene implements AsyncDisposable {
  readonly store: TestStore;
  readonly proxy: FaultProxy;
  #daemon: Running;
  readonly #config: string;
  readonly #lifeMs: number;
  readonly #dir: Place;
  readonly #place: StorePlace;
  readonly #application: ChildProcess;
  #committed = 0;

  private constructor(
    store: TestStore,
    parts: { readonly dir: Place; readonly place: StorePlace; readonly proxy: FaultProxy },
    options: SceneOptions,
  ) {
    const { dir, place, proxy } = parts;
    this.store = store;
    this.proxy = proxy;
    this.#dir = dir;
    this.#place = place;
    const { lifeMs, syncIntervalMs, seed } = options;
    this.#application = spawn(process.execPath, [fileURLToPath(LEDGER), this.path, String(seed)], {
      stdio: ["ignore", "pipe", "inherit"],
    });
    const { stdout } = this.#application;
    assert.ok(stdout !== null);
    createInterface({ input: stdout }).on("line", (line) => (this.#committed = Number(line)));
    const replica = { url: place.url(proxy.endpoint), "sync-interval": `${syncIntervalMs}ms` };
    // JSON is YAML.
    const text = JSON.stringify({ dbs: [{ path: this.path, replica }] });
    this.#config = dir.write("millrace.yml", text);
    this.#lifeMs = lifeMs;
    this.#daemon = this.#startDaemon();
  }

  /** Everything runs; the proxy breaks nothing yet. Rejects when the store is not there. */
  static async open(store: TestStore, options: SceneOptions): Promise<StoreScene> {
    const dir = new Place();
    const place = await store.find(`millrace/${basename(dir.dir)}`);
    if (typeof place === "string") throw new Error(`${store.name}: ${place}`);
    const { name } = store;
    const proxy = await FaultProxy.open({ target: place.server, name, ...store.proxy });
    return new StoreScene(store, { dir, place, proxy }, options);
  }

  get path(): string {
    return this.#dir.path("app.db");
  }

  /** The last number whose commit the application was told to have succeeded. */
  get committed(): number {
    return this.#committed;
  }

  get status(): StatusRecord | undefined {
    return daemonStatus(this.path);
  }

  /** Everything that is captured is in the store, as the daemon says. */
  get isDrained(): boolean {
    return isDrained(this.status);
  }

  /** Resident memory of the daemon in bytes; NaN where the system does not tell. */
  get daemonRssBytes(): number {
    try {
      const text = readFileSync(`/proc/${this.#daemon.child.pid}/status`, "utf8");
      return Number(/^VmRSS:\s+(\d+)/m.exec(text)?.[1] ?? Number.NaN) * 1024;
    } catch {
      return Number.NaN; // No such file system here, or no such process any more, which other checks find out.
    }
  }

  /** SIGKILL, and a new one that finds everything as the old one left it. */
  async replaceDaemon(): Promise<void> {
    this.#daemon.kill("SIGKILL");
    await this.#daemon.outcome;
    this.#daemon = this.#startDaemon();
  }

  #startDaemon(): Running {
    return new Running(["replicate", "-no-expand-env", "-config", this.#config], {
      env: this.#place.env,
      deadlineMs: this.#lifeMs + SPARE_MS,
    });
  }

  /** What the daemon says to be durable is there. */
  async assertDurableIsThere(): Promise<void> {
    const durable = this.status?.destinations[0]?.durableTxid;
    if (durable === undefined) return;
    const newest = (await this.#list()).at(-1)?.max_txid ?? "0".repeat(16);
    assert.ok(newest >= durable, `TXID ${durable} is called durable, the store ends at ${newest}`);
  }

  /** Kills the application as it is. */
  async killApplication(): Promise<void> {
    if (this.#application.exitCode !== null || this.#application.signalCode !== null) return;
    this.#application.kill("SIGKILL");
    await once(this.#application, "close");
  }

  /** Ends the daemon in good order and proves what is in the store, without the proxy. */
  async finish(): Promise<Proof> {
    await this.killApplication();
    this.#daemon.kill("SIGTERM");
    const outcome = await this.#daemon.outcome;
    assertStatus(outcome, 0);
    assert.match(outcome.stdout, /msg="shut down" durable=true/);
    const output = this.#dir.path("restored.db");
    const flags = ["-json", "-integrity-check", "full", "-o", output];
    const restored = await millrace(["restore", ...flags, this.#url], { env: this.#place.env });
    assertStatus(restored, 0);
    const { proof, txid } = JSON.parse(restored.stdout) as { proof: string; txid: string };
    assert.equal(proof, "database-checksum");
    this.#examine(output);
    assert.ok(readFileSync(output).equals(checkpointedCopy(this.path)), "the same bytes");
    const files = await this.#list();
    assertOneLine(files, BigInt(`0x${txid}`));
    const written = this.proxy.log.overwritten((request) => {
      const key = this.store.written(request);
      return key?.endsWith(".ltx") === true ? key : undefined;
    });
    assert.deepEqual(written, [], "objects that were overwritten");
    return { txid: BigInt(`0x${txid}`), countFiles: files.length, committed: this.#committed };
  }

  /** What to look at when something went wrong. */
  describe(): string {
    const requests = this.proxy.log.requests.slice(-SHOWN_REQUESTS).map(describeRequest);
    return [...requests, JSON.stringify(this.status, undefined, 2)].join("\n");
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.killApplication();
    this.#daemon.kill("SIGKILL");
    await this.#daemon.outcome;
    await this.proxy[Symbol.asyncDispose]();
    await emptyPlace(this.#place);
    this.#dir[Symbol.dispose]();
  }

  get #url(): string {
    return this.#place.url(this.#place.server);
  }

  /** The files of level 0, in order. */
  async #list(): Promise<Listed[]> {
    const listed = await millrace(["ltx", "-json", this.#url], { env: this.#place.env });
    assertStatus(listed, 0);
    return JSON.parse(listed.stdout) as Listed[];
  }

  /** Entries without a gap up to what was committed, and all of the money. */
  #examine(path: string): void {
    using db = new DatabaseSync(path, { readOnly: true });
    const entries = db.prepare("SELECT count(*) AS n, max(number) AS m FROM entries").get();
    assert.equal(entries?.["n"], entries?.["m"], "entries without a gap");
    const found = Number(entries?.["m"]);
    assert.ok(found >= this.#committed, `entry ${this.#committed} was committed, not ${found}`);
    const money = db.prepare("SELECT sum(balance) AS total, count(*) AS n FROM accounts").get();
    assert.equal(money?.["total"], Number(money?.["n"]) * 1000, "the money is all there");
    assert.equal(db.prepare("PRAGMA integrity_check").get()?.["integrity_check"], "ok");
  }
}

/** The files cover the TXIDs from 1 to `end`, each once. */
function assertOneLine(files: readonly Listed[], end: bigint): void {
  let reached = 0n;
  for (const { min_txid: min, max_txid: max } of files) {
    assert.equal(BigInt(`0x${min}`), reached + 1n, `${min} follows TXID ${reached}`);
    reached = BigInt(`0x${max}`);
  }
  assert.equal(reached, end, "the restore ends where the line does");
}

/** Waits for a condition of the scene; shows the scene when it waited in vain. */
export async function untilScene(
  scene: StoreScene,
  what: string,
  options: { readonly holds: () => boolean; readonly deadlineMs: number },
): Promise<void> {
  try {
    await until(what, options.holds, options.deadlineMs);
  } catch (error) {
    console.log(scene.describe());
    throw error;
  }
}
