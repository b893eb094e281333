/**
 * The real Litestream's daemon and ours, in turns on one database and one replica, in every store that both know: each goes
 * on for a hundred transactions where the other stopped, and both restore what either wrote. One configuration serves both.
 *
 * `npm run peers` installs Litestream, `npm run services start` starts the servers.
 */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { DatabaseSync } from "node:sqlite";
import { text } from "node:stream/consumers";
import { describe, test } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import { checkpointedCopy } from "../../src/testing/database-copy.ts";
import { litestreamProgram } from "../../src/testing/litestream-program.ts";
import { assertStatus, DEADLINE_MS, millrace, Place, Running } from "../e2e/harness.ts";
import { assertSameBytes } from "./scene.ts";
import { storePlaces, type StorePlace } from "./store-places.ts";

const TIMEOUT_MS = 60_000;
const TRANSACTIONS = 100;
/** Those that the program may miss the beginning of. */
const EARLY = 20;
const PAUSE_MS = 10;

type Turn = "millrace" | "litestream";

const TURNS: readonly (readonly Turn[])[] =
  process.env["MILLRACE_INTEROP"] === "all"
    ? [
        ["millrace", "litestream", "millrace", "litestream"],
        ["litestream", "millrace", "litestream", "millrace"],
      ]
    : [["litestream", "millrace", "litestream"]];

const program = litestreamProgram();

/** Runs Litestream until it ends, or until `work` is done and it was told to. Rejects unless it ends with status 0. */
async function litestream(
  place: Place,
  { env }: StorePlace,
  args: readonly string[],
  work?: () => Promise<void>,
): Promise<void> {
  assert.ok("path" in program);
  const child = spawn(program.path, args, {
    cwd: place.dir,
    stdio: ["ignore", "pipe", "pipe"],
    env: { PATH: process.env["PATH"], HOME: place.dir, TMPDIR: place.dir, ...env },
  });
  const timer = setTimeout(() => child.kill("SIGKILL"), TIMEOUT_MS);
  const said = Promise.all([text(child.stdout), text(child.stderr)]);
  const exited = once(child, "exit");
  if (work !== undefined) {
    await work();
    child.kill("SIGTERM");
  }
  const [status] = (await exited) as [number | null];
  clearTimeout(timer);
  assert.equal(status, 0, `litestream ${args.join(" ")}: ${(await said).join("\n")}`);
}

/** One database with its replica, and the configurations for both programs. */
class Shared {
  readonly #place: Place;
  readonly #store: StorePlace;
  readonly #path: string;
  readonly #configs: Readonly<Record<Turn, string>>;
  readonly #app: DatabaseSync;
  #count = 0;

  constructor(place: Place, store: StorePlace) {
    this.#place = place;
    this.#store = store;
    this.#path = place.database();
    const timing = { "sync-interval": "100ms" };
    const config = (name: string, replica: object): string =>
      place.write(name, JSON.stringify({ dbs: [{ path: this.#path, replica }] }));
    this.#configs = {
      litestream: config("litestream.yml", { ...store.replica, ...timing }),
      millrace: config("millrace.yml", { ...store.replica, ...store.ours, ...timing }),
    };
    this.#app = new DatabaseSync(this.#path);
    this.#app.exec("PRAGMA wal_autocheckpoint = 0; PRAGMA busy_timeout = 10000");
  }

  /** The program replicates while the application works, until it is told to end. */
  async replicate(turn: Turn): Promise<void> {
    const args = ["replicate", "-config", this.#configs[turn]];
    const before = await this.#listing();
    const work = async (): Promise<void> => {
      await this.#transactions(0, EARLY);
      for (const end = Date.now() + DEADLINE_MS; (await this.#listing()) === before;)
        assert.ok(Date.now() < end, `${turn} replicates nothing`);
      await this.#transactions(EARLY, TRANSACTIONS);
    };
    if (turn === "litestream") return litestream(this.#place, this.#store, args, work);
    const running = new Running(args);
    await work();
    running.kill("SIGTERM");
    assertStatus(await running.outcome, 0);
  }

  /** Both programs restore exactly what the database holds. */
  async assertRestores(): Promise<void> {
    const expected = checkpointedCopy(this.#path);
    for (const reader of ["millrace", "litestream"] as const) {
      const output = this.#place.path(`restored-${(this.#count += 1)}.db`);
      const args = ["restore", "-config", this.#configs[reader], "-o", output, this.#path];
      if (reader === "millrace") assertStatus(await millrace(args), 0);
      else await litestream(this.#place, this.#store, args);
      assertSameBytes(readFileSync(output), expected, `what ${reader} restores`);
    }
  }

  [Symbol.dispose](): void {
    this.#app.close();
  }

  /** What the replica holds, as text. */
  async #listing(): Promise<string> {
    return (await millrace(["ltx", "-config", this.#configs.millrace, this.#path])).stdout;
  }

  async #transactions(from: number, to: number): Promise<void> {
    for (let index = from; index < to; index += 1) {
      this.#app.exec(`INSERT INTO t VALUES (${index}, randomblob(${500 + 97 * index}))`);
      if (index % 10 === 9) this.#app.exec("UPDATE t SET x = randomblob(900) WHERE n % 10 = 3");
      await pause(PAUSE_MS);
    }
  }
}

describe(
  "litestream and millrace in turns",
  { skip: "missing" in program && program.missing },
  async () => {
    for (const [name, make] of await storePlaces()) {
      const skip = typeof make === "string" && make;
      for (const turns of TURNS) {
        test(`${name}: ${turns.join(", ")}`, { skip, timeout: 8 * TIMEOUT_MS }, async () => {
          assert.ok(typeof make !== "string");
          using place = new Place();
          using shared = new Shared(place, await make(place.dir));
          for (const turn of turns) {
            await shared.replicate(turn);
            await shared.assertRestores();
          }
        });
      }
    }
  },
);
