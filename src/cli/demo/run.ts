/**
 * The main job, on real input: a shop trades, Millrace replicates it, both are killed in the middle, and the shop comes
 * back from the replica: every order that was reported durable, and one earlier moment exactly.
 */
import { mkdtempSync, readdirSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { pathToFileURL } from "node:url";
import { formatDuration } from "../../base/duration.ts";
import { formatBytes, formatCount } from "../../base/format.ts";
import {
  isMillraceError,
  replicate,
  restore,
  type Replication,
  type RestoreResult,
} from "../../index.ts";
import { examine, type Check } from "./checks.ts";
import { ShopProcess } from "./shop-process.ts";

const TRADE_MS = 4000;
/** Between two questions whether everything sold is durable. */
const ASK_MS = 50;
/** Keeps the moment apart from the orders around it. */
const QUIET_MS = 100;

export interface DemoOptions {
  readonly say: (text: string) => void;
  /** Leave the files where they are. */
  readonly keep: boolean;
  readonly seed: number;
  readonly signal: AbortSignal;
}

export interface DemoResult {
  readonly ok: boolean;
  readonly directory: string | undefined;
  readonly seed: number;
  readonly commits: number;
  readonly durableOrders: number;
  readonly restoredOrders: number;
  readonly durableMsP50: number;
  readonly commitMsP50: number;
  readonly restoreMs: number;
  readonly databaseBytes: number;
  readonly replicaBytes: number;
  readonly checks: readonly Check[];
}

/** What was asked and answered while the shop traded. */
interface Ledger {
  promised: number;
  readonly latenciesMs: number[];
}

interface Moment {
  readonly time: Date;
  readonly orders: number;
  readonly fingerprint: string | undefined;
}

export async function runDemo(options: DemoOptions): Promise<DemoResult> {
  const directory = mkdtempSync(join(tmpdir(), "millrace-demo-"));
  try {
    return await new Demo(options, directory).run();
  } finally {
    if (!options.keep) rmSync(directory, { recursive: true, force: true });
  }
}

class Demo {
  readonly #options: DemoOptions;
  readonly #directory: string;
  readonly #replica: string;
  readonly #startedAt = performance.now();
  readonly #checks: Check[] = [];

  constructor(options: DemoOptions, directory: string) {
    this.#options = options;
    this.#directory = directory;
    this.#replica = join(directory, "replica");
  }

  get #url(): string {
    return pathToFileURL(this.#replica).href;
  }

  #say(text: string): void {
    const seconds = ((performance.now() - this.#startedAt) / 1000).toFixed(1);
    this.#options.say(`${seconds.padStart(5)} s  ${text}\n`);
  }

  #check(check: Check): void {
    this.#checks.push(check);
    this.#options.say(`         ${check.ok ? "ok  " : "FAIL"} ${check.text}\n`);
  }

  async run(): Promise<DemoResult> {
    const { keep, seed } = this.#options;
    const live = join(this.#directory, "shop.db");
    this.#options.say("\nA shop, two kills, and a restore.\n\n");
    await using shop = await ShopProcess.open(live, seed);
    this.#say(`A shop opens: an ordinary Node.js process (${shop.pid}) with a SQLite database.`);
    const replication = await replicate(live, { to: this.#url });
    await using _daemon = { [Symbol.asyncDispose]: () => killDaemon(replication) };
    this.#say(
      `Millrace replicates it to a folder, from a process of its own (${replication.pid}).`,
    );
    const ledger: Ledger = { promised: 0, latenciesMs: [] };
    await this.#trade(shop, replication, ledger);
    const moment = await this.#rememberMoment(shop, replication);
    await this.#trade(shop, replication, ledger);
    const { commits, commitMs } = await shop.ask("sold");
    await this.#killBoth(shop, replication);
    const durableMs = median(ledger.latenciesMs);
    this.#options.say(
      `         ${formatCount(commits)} commits, each ${formatDuration(commitMs)}; asked ${formatCount(ledger.latenciesMs.length)} times whether all is durable,\n` +
        `         answered in ${formatDuration(durableMs)} (medians); last promised: order ${formatCount(ledger.promised)}.\n`,
    );
    const latest = await this.#restoreLatest(ledger.promised);
    await this.#restoreMoment(moment);
    const ok = this.#checks.every((check) => check.ok);
    this.#say(ok ? "All of it held." : "Something did not hold: this is a defect in Millrace.");
    if (keep) this.#options.say(`\nThe files are in ${this.#directory}\n`);
    return {
      ok,
      directory: keep ? this.#directory : undefined,
      seed,
      commits,
      durableOrders: ledger.promised,
      restoredOrders: latest.orders,
      durableMsP50: durableMs,
      commitMsP50: commitMs,
      restoreMs: latest.result.durationMs,
      databaseBytes: latest.result.sizeBytes,
      replicaBytes: sizeOf(this.#replica),
      checks: this.#checks,
    };
  }

  /** Lets the shop sell, and asks again and again how far it is safe. */
  async #trade(shop: ShopProcess, replication: Replication, ledger: Ledger): Promise<void> {
    const { signal } = this.#options;
    for (const end = performance.now() + TRADE_MS; performance.now() < end;) {
      const { lastOrder } = await shop.ask("sold");
      const asked = performance.now();
      await replication.durable({ signal });
      ledger.promised = lastOrder;
      ledger.latenciesMs.push(performance.now() - asked);
      await pause(ASK_MS, undefined, { signal });
    }
  }

  /** The shop closes for a moment, so that what it looks like then can be known exactly. */
  async #rememberMoment(shop: ShopProcess, replication: Replication): Promise<Moment> {
    const { signal } = this.#options;
    const { lastOrder: orders, fingerprint } = await shop.ask("close");
    await replication.durable({ signal });
    await pause(QUIET_MS, undefined, { signal });
    const time = new Date();
    this.#say(
      `Lunch break after ${formatCount(orders)} orders. Remember this moment: ${time.toISOString()}.`,
    );
    await pause(QUIET_MS, undefined, { signal });
    await shop.ask("open");
    return { time, orders, fingerprint };
  }

  async #killBoth(shop: ShopProcess, replication: Replication): Promise<void> {
    // In the middle of a question, so that neither gets to finish anything.
    const question = endsWithProcess(replication.durable());
    await Promise.all([question, killDaemon(replication), shop.kill()]);
    this.#say("SIGKILL to the shop and to Millrace, in the middle of the trade.");
  }

  async #restoreLatest(promised: number): Promise<{ result: RestoreResult; orders: number }> {
    const to = join(this.#directory, "restored.db");
    const result = await restore({ from: this.#url, to, signal: this.#options.signal });
    this.#say(
      `The latest state, restored to a new file: ${formatBytes(result.sizeBytes)} from ${result.files} files in ${formatDuration(result.durationMs)}.`,
    );
    const { orders, checks } = examine(to, promised);
    for (const check of checks) this.#check(check);
    this.#check({
      ok: result.proof === "database-checksum",
      text: "its pages add up to the checksum that was recorded when they were captured",
    });
    const extra = orders - promised;
    if (extra > 0) {
      this.#options.say(
        `              (and ${formatCount(extra)} orders that were not promised yet)\n`,
      );
    }
    return { result, orders };
  }

  async #restoreMoment(moment: Moment): Promise<void> {
    const to = join(this.#directory, "lunch.db");
    const { time, orders } = moment;
    const result = await restore({
      from: this.#url,
      to,
      timestamp: time,
      signal: this.#options.signal,
    });
    this.#say(`The lunch break, restored beside it in ${formatDuration(result.durationMs)}.`);
    const books = examine(to, orders);
    this.#check({
      ok: books.orders === orders && books.fingerprint === moment.fingerprint,
      text: `${formatCount(books.orders)} orders, and every row of every table as it was`,
    });
  }
}

/** Resolves when the replicating process is gone. */
async function killDaemon(replication: Replication): Promise<void> {
  try {
    process.kill(replication.pid, "SIGKILL");
  } catch {
    return; // It is gone already.
  }
  await endsWithProcess(replication.close());
}

/** Waits for a call that may be cut short by the end of the process that answers it, and fails for no other reason. */
async function endsWithProcess(call: Promise<unknown>): Promise<void> {
  try {
    await call;
  } catch (error) {
    if (!isMillraceError(error, "daemon/child-exited")) throw error;
  }
}

function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)] ?? 0;
}

function sizeOf(directory: string): number {
  return readdirSync(directory, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .reduce((sum, entry) => sum + statSync(join(entry.parentPath, entry.name)).size, 0);
}
