/**
 * A process that keeps a lease on a directory and writes down every moment at which it believed to hold it. Run as a
 * program it is that process: `node lease-process.ts DIRECTORY OWNER TTL_MS CLAIMS`.
 *
 * A claim is a line `<time in ns> <owner> <epoch>`, its time taken before the check, by the clock that all processes
 * of the machine share. So a process that is stopped between check and line claims nothing that it had not.
 */
import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { appendFileSync, existsSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { isMillraceError } from "../errors.ts";
import type { LeaseKeeperEvent } from "../lease/keeper-options.ts";
import { LeaseKeeper } from "../lease/lease-keeper.ts";
import { openObjectStoreCell } from "../lease/providers/object-store/object-store.ts";
import { systemClock, systemRandom } from "../platform/clock.ts";
import { openFileStore } from "../storage/backends/file/file.ts";

const CLAIM_INTERVAL_MS = 10;
const POLL_MS = 10;

export interface LeaseProcessOptions {
  readonly directory: string;
  readonly owner: string;
  readonly ttlMs: number;
  /** The file of claims, the same for all processes. */
  readonly claims: string;
}

export interface Claim {
  readonly atNs: bigint;
  readonly owner: string;
  readonly epoch: number;
}

export class LeaseProcess implements AsyncDisposable {
  readonly #child: ChildProcess;
  readonly events: LeaseKeeperEvent[] = [];

  constructor(options: LeaseProcessOptions) {
    const { directory, owner, ttlMs, claims } = options;
    const args = [directory, owner, String(ttlMs), claims];
    this.#child = fork(fileURLToPath(import.meta.url), args, { execArgv: [] });
    this.#child.on("message", (event) => this.events.push(event as LeaseKeeperEvent));
  }

  signal(name: "SIGSTOP" | "SIGCONT"): void {
    this.#child.kill(name);
  }

  async kill(): Promise<void> {
    const exited = once(this.#child, "exit");
    this.#child.kill("SIGKILL");
    await exited;
  }

  /** Waits for an event among those that came after the first `seen`; returns the milliseconds that it took. */
  async until(
    type: LeaseKeeperEvent["type"],
    options: { readonly seen?: number; readonly withinMs: number },
  ): Promise<number> {
    const startMs = performance.now();
    for (;;) {
      const passedMs = performance.now() - startMs;
      if (this.events.slice(options.seen ?? 0).some((event) => event.type === type))
        return passedMs;
      if (passedMs > options.withinMs)
        throw new Error(
          `no "${type}" within ${options.withinMs} ms: ${JSON.stringify(this.events)}`,
        );
      await new Promise((resolve) => setTimeout(resolve, POLL_MS));
    }
  }

  /** Lets it give the lease back and end. */
  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    const exited = once(this.#child, "exit");
    this.#child.kill("SIGCONT");
    if (this.#child.connected) this.#child.disconnect();
    await exited;
  }
}

/** All claims so far, in the order of their times. */
export function readClaims(path: string): Claim[] {
  const lines = existsSync(path) ? readFileSync(path, "utf8").split("\n") : [];
  const claims = lines.slice(0, -1).map((line) => {
    const [atNs = "", owner = "", epoch = ""] = line.split(" ");
    return { atNs: BigInt(atNs), owner, epoch: Number(epoch) };
  });
  return claims.toSorted((a, b) => (a.atNs < b.atNs ? -1 : 1));
}

function claim(keeper: LeaseKeeper, owner: string, path: string): void {
  const atNs = process.hrtime.bigint();
  try {
    appendFileSync(path, `${atNs} ${owner} ${keeper.check()}\n`);
  } catch (error) {
    // Not held: nothing to claim.
    if (!isMillraceError(error, "lease/lost")) throw error;
  }
}

async function main([directory = "", owner = "", ttlMs = "", path = ""]: string[]): Promise<void> {
  await using store = openFileStore({ rootDirectory: directory });
  await using keeper = new LeaseKeeper({
    cell: openObjectStoreCell({ store }),
    name: directory,
    owner,
    clock: systemClock,
    random: systemRandom,
    ttlMs: Number(ttlMs),
    onEvent: (event) => {
      if (process.connected) process.send?.(event);
    },
  });
  const stop = new AbortController();
  process.on("disconnect", () => stop.abort());
  const timer = setInterval(() => claim(keeper, owner, path), CLAIM_INTERVAL_MS);
  await keeper.run(stop.signal);
  clearInterval(timer);
}

if (import.meta.main) await main(process.argv.slice(2));
