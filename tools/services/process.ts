/**
 * Server processes: started apart from this one, known by process id and start time, ended by signal.
 *
 * A file `pid` in the server's folder is written as soon as the process exists. It finds a server whose start was
 * interrupted; and because a process id is given again to others, it holds the start time too.
 */
import { spawn } from "node:child_process";
import { closeSync, existsSync, openSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { isAlive, type ProcessIdentity, startTicksOf } from "../../src/testing/services.ts";
import { HOST } from "./server.ts";

export interface Command {
  readonly program: string;
  readonly args: readonly string[];
  readonly env: Readonly<Record<string, string>>;
}

const TERM_TIMEOUT_MS = 10_000;
const KILL_TIMEOUT_MS = 5_000;
const POLL_MS = 20;
const FIRST_PORT = 12_000;
const COUNT_PORTS = 18_000;
const PORT_ATTEMPTS = 100;

/** Path of the log of the server whose folder is `directory`. */
export function logPath(directory: string): string {
  return join(directory, "log");
}

/** Starts a command that outlives this process; its output goes to the log. */
export function launch(directory: string, command: Command): ProcessIdentity {
  const log = openSync(logPath(directory), "a", 0o600);
  try {
    const child = spawn(command.program, command.args, {
      cwd: directory,
      env: command.env,
      detached: true,
      stdio: ["ignore", log, log],
    });
    // A program that cannot be started has no process id; that is told below.
    child.once("error", () => {});
    child.unref();
    const startTicks = child.pid === undefined ? undefined : startTicksOf(child.pid);
    if (child.pid === undefined || startTicks === undefined)
      throw new Error(`start "${command.program}": it did not come to life`);
    const identity = { pid: child.pid, startTicks };
    writeFileSync(pidPath(directory), formatIdentity(identity));
    return identity;
  } finally {
    closeSync(log);
  }
}

/** The process that was started in `directory`, while it lives. A file left by one that is gone is removed. */
export function runningIn(directory: string): ProcessIdentity | undefined {
  const path = pidPath(directory);
  if (!existsSync(path)) return undefined;
  const identity = parseIdentity(readFileSync(path, "utf8"));
  if (identity !== undefined && isAlive(identity)) return identity;
  rmSync(path, { force: true });
  return undefined;
}

/** One line: process id and start in clock ticks. */
export function formatIdentity({ pid, startTicks }: ProcessIdentity): string {
  return `${pid} ${startTicks}\n`;
}

/** The opposite of `formatIdentity`; undefined for anything else. */
export function parseIdentity(text: string): ProcessIdentity | undefined {
  const [, pid, startTicks] = /^([1-9]\d*) (\d+)\n?$/.exec(text) ?? [];
  if (pid === undefined || startTicks === undefined) return undefined;
  return { pid: Number(pid), startTicks };
}

/**
 * Ends a process: SIGTERM, and SIGKILL when that is not enough. Nothing happens when the id is somebody else's.
 * Returns the signal that it took.
 */
export async function endProcess(
  identity: ProcessIdentity,
  termTimeoutMs: number = TERM_TIMEOUT_MS,
): Promise<NodeJS.Signals | undefined> {
  for (const [signal, timeoutMs] of [
    ["SIGTERM", termTimeoutMs],
    ["SIGKILL", KILL_TIMEOUT_MS],
  ] as const) {
    if (!isAlive(identity)) return undefined;
    process.kill(identity.pid, signal);
    const deadline = performance.now() + timeoutMs;
    while (performance.now() < deadline) {
      if (!isAlive(identity)) return signal;
      await sleep(POLL_MS);
    }
  }
  throw new Error(`end process ${identity.pid}: it outlives SIGKILL`);
}

/**
 * A port of the loopback interface that nobody listens on now, and that was not given before. It lies below those
 * that systems give to outgoing connections, one of which could take it before the server does.
 */
export async function freePort(given: Set<number>): Promise<number> {
  for (let attempt = 0; attempt < PORT_ATTEMPTS; attempt += 1) {
    const port = FIRST_PORT + Math.floor(Math.random() * COUNT_PORTS);
    if (given.has(port) || !(await canListen(port))) continue;
    given.add(port);
    return port;
  }
  throw new Error(`find a free port: none in ${PORT_ATTEMPTS} attempts from ${FIRST_PORT} on`);
}

function canListen(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer();
    // In use, mostly; whatever it is, this port will not do.
    server.once("error", () => resolve(false));
    server.listen(port, HOST, () => server.close(() => resolve(true)));
  });
}

function pidPath(directory: string): string {
  return join(directory, "pid");
}
