/**
 * One database under a writing application, two daemons that both capture it, and one destination for both. One of them
 * ships; when it is killed, paused or ended the other one has to go on, on the same line.
 */
import assert from "node:assert/strict";
import { setTimeout as pause } from "node:timers/promises";
import { nodeFiles } from "../../src/platform/files.ts";
import { isDrained } from "../../src/testing/daemon-status.ts";
import type { TestStore } from "../../src/testing/store-places.ts";
import { Place, until } from "../e2e/harness.ts";
import { FailoverDaemon } from "./failover-daemon.ts";
import { folderStore, proxiedStore, type FailoverStore } from "./failover-stores.ts";
import { Script } from "./script.ts";

const LEDGER = new URL("./ledger.ts", import.meta.url);
/** About fifty transactions a second. */
const PAUSE_MS = 30;
const START_MS = 40_000;
/** A paused holder may have the database's own lock, which keeps the other one from capturing until it goes on. */
const BLOCKED_MS = 10_000;
export const DAEMONS: readonly [string, string] = ["left", "right"];

export type Blow = "SIGKILL" | "SIGSTOP" | "SIGTERM";

/** How a failover went. */
export interface Failover {
  readonly blow: Blow;
  readonly victim: string;
  readonly successor: string;
  /** From the start of the victim's last confirmed write of the record to the end of the successor's first one. */
  readonly takeoverMs: number;
  readonly sinceBlowMs: number;
  /** From the blow to the successor's first file. */
  readonly firstFileMs: number;
}

/** What the application was told to be committed, and when that was known here. */
export interface Commit {
  readonly number: number;
  readonly atMs: number;
}

/** Everything committed before was reported durable. */
export interface Claim {
  readonly daemon: string;
  readonly number: number;
}

/** A paused daemon that went on. */
export interface Resumption {
  readonly daemon: FailoverDaemon;
  readonly stoppedMs: number;
  readonly resumedMs: number;
}

export interface SceneOptions {
  readonly ttlMs: number;
  readonly lease: string;
  readonly seed: number;
}

export class FailoverScene implements AsyncDisposable {
  readonly store: FailoverStore;
  readonly daemons: readonly FailoverDaemon[];
  readonly commits: Commit[] = [];
  readonly claims: Claim[] = [];
  readonly resumptions: Resumption[] = [];
  readonly place: Place;
  readonly #application: Script;

  private constructor(
    parts: { readonly place: Place; readonly store: FailoverStore },
    options: SceneOptions,
  ) {
    const { place, store } = parts;
    const { ttlMs, lease, seed } = options;
    this.place = place;
    this.store = store;
    const { path } = this;
    this.#application = new Script(LEDGER, [path, String(seed), String(PAUSE_MS)], {
      onLine: (line) => this.commits.push({ number: Number(line), atMs: Date.now() }),
    });
    this.daemons = DAEMONS.map((name) => {
      const url = store.urlOf(name);
      return new FailoverDaemon({ name, place, path, url, env: store.env, lease, ttlMs });
    });
  }

  /** The application writes, no daemon runs yet. */
  static async open(store: TestStore | "file", options: SceneOptions): Promise<FailoverScene> {
    const place = new Place();
    const owners = (owner: string): string | undefined =>
      DAEMONS.find((name) => owner.endsWith(`/${instanceOf(place.path(`meta-${name}`))}`));
    const opened =
      store === "file"
        ? await folderStore(place, owners)
        : await proxiedStore(store, place, DAEMONS);
    const scene = new FailoverScene({ place, store: opened }, options);
    await until("the application writes", () => scene.committed > 0, START_MS);
    return scene;
  }

  get path(): string {
    return this.place.path("app.db");
  }

  get committed(): number {
    return this.commits.at(-1)?.number ?? 0;
  }

  /** Starts both; the first of them has the lease then, the other one waits for it. */
  async startBoth(): Promise<void> {
    const [first, second] = this.#pair();
    first.start();
    await first.said("ltx file uploaded", 0, START_MS);
    second.start();
    await this.#settled();
  }

  /** Strikes whoever ships, waits until the other one does, and brings the victim back. */
  async failOver(blow: Blow, times: { readonly awayMs: number }): Promise<Failover> {
    await this.#settled();
    const [left, right] = this.#pair();
    const [victim, successor] = left.isHolder ? [left, right] : [right, left];
    const { committed } = this;
    const from = successor.lines.length;
    const born = victim.lines.length;
    const blowMs = Date.now();
    victim.signal(blow);
    if (blow !== "SIGSTOP") await victim.ended();
    if (blow === "SIGTERM") this.#conclude(victim, born, committed);
    await successor.said("lease acquired", from, START_MS);
    await this.#shippedBy(successor, { from, victim, isPaused: blow === "SIGSTOP" });
    const facts = this.#timesOf({ victim, successor, blowMs });
    await pause(times.awayMs);
    if (blow === "SIGSTOP") await this.#resume(victim, blowMs);
    else victim.start();
    return { blow, victim: victim.name, successor: successor.name, ...facts };
  }

  /** Kills the application; resolves when everything is durable and both daemons have ended in good order. */
  async end(): Promise<void> {
    await this.killApplication();
    const drained = (): FailoverDaemon | undefined =>
      this.daemons.find((daemon) => daemon.isHolder && isDrained(daemon.status));
    await this.#waitFor("everything to be durable", () => drained() !== undefined);
    const [left, right] = this.#pair();
    const order = left.isHolder ? [left, right] : [right, left];
    for (const daemon of order) {
      await this.#waitFor(`${daemon.name} to ship`, () => daemon.isHolder);
      await this.#waitFor(`${daemon.name} to be done`, () => isDrained(daemon.status));
      const from = daemon.lines.length;
      daemon.signal("SIGTERM");
      await daemon.ended();
      this.#conclude(daemon, from, this.committed);
    }
  }

  async killApplication(): Promise<void> {
    await this.#application.kill();
  }

  describe(): string {
    return this.daemons.map((daemon) => daemon.describe()).join("\n");
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.killApplication();
    for (const daemon of this.daemons) await daemon.kill();
    await this.store[Symbol.asyncDispose]();
    this.place[Symbol.dispose]();
  }

  /** One ships and the other one waits for it. */
  async #settled(): Promise<void> {
    const isSettled = (): boolean =>
      this.daemons.some(({ isHolder }) => isHolder) &&
      this.daemons.some(({ isWaiting }) => isWaiting);
    await this.#waitFor("one daemon to ship and one to wait", isSettled);
  }

  async #shippedBy(
    successor: FailoverDaemon,
    options: { readonly from: number; readonly victim: FailoverDaemon; readonly isPaused: boolean },
  ): Promise<void> {
    const { from, victim, isPaused } = options;
    const hasShipped = (): boolean => successor.find("ltx file uploaded", from).length > 0;
    if (isPaused) {
      const limitMs = Date.now() + BLOCKED_MS;
      while (!hasShipped() && Date.now() < limitMs) await pause(10);
      if (!hasShipped()) {
        console.log(`${victim.name} is woken early: ${successor.name} shipped nothing`);
        victim.signal("SIGCONT");
      }
    }
    await this.#waitFor(`${successor.name} to ship`, hasShipped);
  }

  #timesOf(scene: {
    readonly victim: FailoverDaemon;
    readonly successor: FailoverDaemon;
    readonly blowMs: number;
  }): Pick<Failover, "takeoverMs" | "sinceBlowMs" | "firstFileMs"> {
    const { victim, successor, blowMs } = scene;
    const writes = this.store.leaseWrites();
    const taken = writes.find(
      ({ daemon, renewals, endMs }) =>
        daemon === successor.name && renewals === 0 && endMs >= blowMs,
    );
    assert.ok(taken !== undefined, `${successor.name} wrote no record after the blow`);
    const last = writes.findLast(
      ({ daemon, epoch }) => daemon === victim.name && epoch < taken.epoch,
    );
    assert.ok(last !== undefined, `${victim.name} had no record before`);
    const files = this.store.fileWrites(this.daemons);
    const first = files.find(
      ({ daemon, startMs }) => daemon === successor.name && startMs >= taken.startMs,
    );
    return {
      takeoverMs: taken.endMs - last.startMs,
      sinceBlowMs: taken.endMs - blowMs,
      firstFileMs: (first?.endMs ?? Number.NaN) - blowMs,
    };
  }

  async #resume(victim: FailoverDaemon, stoppedMs: number): Promise<void> {
    const from = victim.lines.length;
    const resumedMs = Date.now();
    victim.signal("SIGCONT");
    this.resumptions.push({ daemon: victim, stoppedMs, resumedMs });
    await victim.said("lease lost", from, START_MS);
    const said = victim.lines.length;
    await victim.said("sync", said, START_MS);
  }

  /** It ended in good order, and said that everything was durable: what was committed before the signal is. */
  #conclude(daemon: FailoverDaemon, from: number, committed: number): void {
    assert.equal(daemon.outcome, "0", daemon.describe());
    const [line] = daemon.find("shut down", from);
    assert.equal(line?.durable, true, daemon.describe());
    this.claims.push({ daemon: daemon.name, number: committed });
  }

  async #waitFor(what: string, holds: () => boolean): Promise<void> {
    try {
      await until(what, holds, START_MS);
    } catch (error) {
      console.log(this.describe());
      throw error;
    }
  }

  #pair(): [FailoverDaemon, FailoverDaemon] {
    const [left, right] = this.daemons;
    assert.ok(left !== undefined && right !== undefined);
    return [left, right];
  }
}

function instanceOf(metaDir: string): string {
  const bytes = nodeFiles.readFile("read instance", `${metaDir}/instance`);
  return bytes === undefined ? "" : new TextDecoder().decode(bytes).trim();
}
