/**
 * Kills the replicating process with SIGKILL again and again under a writing application, at random moments and at every
 * file operation of capture in turn, and after each kill restores the replica and asks:
 *
 * - is everything there that was reported durable, without a gap, and is the money still all there?
 * - does the restore add up to the database checksum, and does SQLite find it whole?
 * - has any object in the store ever changed, and do the objects form one line (the TXID line never forks)?
 *
 * MILLRACE_CRASH_KILLS kills, default 40; MILLRACE_CRASH_SEED repeats a run's choices.
 */
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { test } from "node:test";
import { pathToFileURL } from "node:url";
import { restoreDatabase } from "../../src/restore/restore.ts";
import { openReplica } from "../../src/storage/registry.ts";
import { Script } from "./script.ts";

const KILLS = Number(process.env["MILLRACE_CRASH_KILLS"] ?? 40);
const SEED = Number(process.env["MILLRACE_CRASH_SEED"] ?? Date.now() % 1_000_000);
const LEDGER = new URL("./ledger.ts", import.meta.url);
const DAEMON = new URL("./daemon.ts", import.meta.url);
/** Kills on one line before a new database is begun, to keep restores short. */
const KILLS_PER_LINE = 25;

let state = SEED >>> 0;
function random(limit: number): number {
  state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
  return (state >>> 8) % limit;
}

class Line {
  readonly dir: string = mkdtempSync(join(tmpdir(), "millrace-crash-"));
  readonly path: string = join(this.dir, "app.db");
  readonly replica: string = join(this.dir, "replica");
  readonly resyncs: string[] = [];
  #writer: Script;
  #hashes = new Map<string, string>();
  /** The highest entry that was reported durable. */
  #durable = 0;

  constructor() {
    this.#writer = this.#startWriter();
  }

  #startWriter(): Script {
    return new Script(LEDGER, [this.path, String(random(1_000_000))]);
  }

  get committed(): number {
    return Number(this.#writer.lines.at(-1) ?? 0);
  }

  /** Runs the daemon until it dies, by its own crash point or by our hand. */
  async live(kill: {
    readonly afterMs?: number;
    readonly atOperation?: number;
    readonly moment?: string;
  }): Promise<void> {
    const crash: Record<string, string> =
      kill.atOperation === undefined
        ? {}
        : {
            MILLRACE_CRASH_AT: String(kill.atOperation),
            MILLRACE_CRASH_MOMENT: kill.moment ?? "before",
          };
    const daemon = new Script(DAEMON, [this.path, pathToFileURL(this.replica).href], {
      env: crash,
    });
    await daemon.line("ready");
    const timer = setTimeout(() => void daemon.kill(), kill.afterMs ?? 1500);
    while (daemon.running) {
      const before = this.committed;
      const from = daemon.lines.length;
      daemon.child.stdin?.write("sync\n");
      if ((await daemon.line("durable", from)) !== undefined)
        this.#durable = Math.max(this.#durable, before);
    }
    clearTimeout(timer);
    await daemon.kill();
    const stopped = daemon.lines.find((line) => line.startsWith("stopped"));
    assert.equal(stopped, undefined);
    this.resyncs.push(...daemon.lines.filter((line) => line.startsWith("resync")));
  }

  /** While the daemon is down: sometimes the application dies too, or checkpoints everything away. */
  async disturb(): Promise<void> {
    if (random(5) === 0) {
      await this.#writer.kill();
      this.#writer = this.#startWriter();
      await this.#writer.line("");
    }
    if (random(6) !== 0) return;
    const other = new DatabaseSync(this.path, { timeout: 20_000 });
    other.exec(`PRAGMA wal_checkpoint(${["PASSIVE", "RESTART", "TRUNCATE"][random(3)]})`);
    other.close();
  }

  /** Restores and asks everything; returns how many entries there are. */
  async verify(): Promise<number> {
    this.#checkObjects();
    const output = join(this.dir, "restored.db");
    await using store = await openReplica({ url: pathToFileURL(this.replica).href });
    const result = await restoreDatabase({ store, output, force: true, integrityCheck: "full" });
    assert.equal(result.proof, "database-checksum");
    const db = new DatabaseSync(output, { readOnly: true });
    const entries = db
      .prepare("SELECT count(*) AS n, coalesce(max(number), 0) AS m FROM entries")
      .get();
    const money = db.prepare("SELECT sum(balance) AS total, count(*) AS n FROM accounts").get();
    db.close();
    assert.equal(entries?.["n"], entries?.["m"], "entries without a gap");
    assert.equal(money?.["total"], Number(money?.["n"]) * 1000, "the money is all there");
    const found = Number(entries?.["m"]);
    assert.ok(
      found >= this.#durable,
      `entry ${this.#durable} was reported durable, the restore ends at ${found}`,
    );
    return found;
  }

  /** Every object is what it was, and level 0 is one line. */
  #checkObjects(): void {
    const hashes = new Map<string, string>();
    for (const level of ["0", "9"]) {
      for (const name of objectNames(join(this.replica, "ltx", level))) {
        const bytes = readFileSync(join(this.replica, "ltx", level, name));
        hashes.set(`${level}/${name}`, createHash("sha256").update(bytes).digest("hex"));
      }
    }
    for (const [name, hash] of this.#hashes)
      assert.equal(hashes.get(name), hash, `${name} never changes`);
    this.#hashes = hashes;
    let reached = 0n;
    for (const name of objectNames(join(this.replica, "ltx", "0"))) {
      const [min = "0", max = "0"] = name.replace(".ltx", "").split("-");
      assert.equal(BigInt(`0x${min}`), reached + 1n, `${name} follows TXID ${reached}`);
      reached = BigInt(`0x${max}`);
    }
  }

  async end(): Promise<void> {
    await this.#writer.kill();
    rmSync(this.dir, { recursive: true });
  }
}

function objectNames(dir: string): string[] {
  try {
    return readdirSync(dir)
      .filter((name) => name.endsWith(".ltx"))
      .sort();
  } catch {
    return []; // Killed before anything was uploaded.
  }
}

test(`${KILLS} SIGKILLs of the daemon lose nothing that was durable`, async (context) => {
  context.diagnostic(`MILLRACE_CRASH_SEED=${SEED}`);
  let operation = random(40);
  let kills = 0;
  let atOperations = 0;
  let resyncs = 0;
  while (kills < KILLS) {
    const line = new Line();
    try {
      // A first life long enough for the first copy to arrive.
      await line.live({ afterMs: 1200 });
      for (let life = 1; life < KILLS_PER_LINE && kills < KILLS; life++) {
        kills += 1;
        if (kills % 2 === 0) {
          await line.live({ afterMs: 30 + random(400) });
        } else {
          atOperations += 1;
          operation = (operation + 1 + random(5)) % 700;
          await line.live({ atOperation: operation, moment: random(2) === 0 ? "before" : "after" });
        }
        await line.disturb();
        await line.verify();
      }
      resyncs += line.resyncs.length;
      context.diagnostic(`${kills} kills so far`);
    } finally {
      await line.end();
    }
  }
  context.diagnostic(
    `${kills} kills, ${atOperations} of them at enumerated operations, ${resyncs} resyncs`,
  );
});
