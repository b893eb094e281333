/**
 * Real servers for tests: one command that installs, starts and stops them. They listen on 127.0.0.1 only.
 *
 * Usage: node tools/services.ts install | start | stop | status [NAME...]        without names: all of them
 *   install  builds or installs what is missing      start   starts what does not run, and waits until it answers
 *   stop     ends what runs, by process id           status  says what is installed and what runs
 * Programs are kept in MILLRACE_SERVICES_DIR (~/.cache/millrace/services), what runs in MILLRACE_SERVICES_RUN
 * (its `run`). Exit status 1: something failed, or something asked for by name cannot be had on this machine.
 */
import { join } from "node:path";
import {
  isAlive,
  readServices,
  runDirectory,
  servicesDirectory,
  type ServiceName,
} from "../src/testing/services.ts";
import { SERVERS } from "./services/catalog.ts";
import { install, isInstalled, type Installed, missingTool } from "./services/install.ts";
import { type Folders, isRunning, start, stop } from "./services/lifecycle.ts";
import { locked } from "./services/lock.ts";
import { runningIn } from "./services/process.ts";
import type { Server } from "./services/server.ts";

const ACTIONS = ["install", "start", "stop", "status"] as const;

export interface ServicesCommand {
  readonly action: (typeof ACTIONS)[number];
  /** Empty: all. */
  readonly names: readonly ServiceName[];
}

/** One line of the outcome. `isFailure` makes the exit status 1. */
interface Outcome {
  readonly text: string;
  readonly isFailure?: boolean;
}

type Act = (server: Server, folders: Folders, isNamed: boolean) => Outcome | Promise<Outcome>;

/** Understands the command line; throws with the usage. */
export function parseArgs(args: readonly string[]): ServicesCommand {
  const [verb, ...names] = args;
  const action = ACTIONS.find((known) => known === verb);
  if (action === undefined)
    throw new Error(`usage: services ${ACTIONS.join(" | ")} [NAME...], not "${verb ?? ""}"`);
  const known = SERVERS.map(({ name }) => name);
  const unknown = names.find((name) => !known.some((candidate) => candidate === name));
  if (unknown !== undefined)
    throw new Error(`no service "${unknown}": there are ${known.join(", ")}`);
  return { action, names: known.filter((name) => names.includes(name)) };
}

function installOne(server: Server, folders: Folders, isNamed: boolean): Outcome {
  const { state, text } = installTimed(server, folders);
  const isFailure = state === "failed" || (state === "unavailable" && isNamed);
  return { text: `${state}: ${text}`, isFailure };
}

function installTimed(server: Server, folders: Folders): Installed {
  const begin = performance.now();
  const done = install(folders.root, server.recipe);
  if (done.state !== "installed") return done;
  return { ...done, text: `${done.text} in ${seconds(begin)}` };
}

async function startOne(server: Server, folders: Folders, isNamed: boolean): Promise<Outcome> {
  if (await isRunning(folders, server)) return { text: "runs already" };
  if (!isInstalled(folders.root, server.recipe)) {
    const why = missingTool(server.recipe) ?? `npm run services install ${server.name}`;
    return { text: `not installed: ${why}`, isFailure: isNamed };
  }
  const begin = performance.now();
  try {
    const { pid, port } = await start(folders, server);
    return { text: `started in ${seconds(begin)}: port ${port}, process ${pid}` };
  } catch (error) {
    return { text: error instanceof Error ? error.message : String(error), isFailure: true };
  }
}

async function stopOne(server: Server, folders: Folders): Promise<Outcome> {
  return { text: (await stop(folders, server)) ? "stopped" : "did not run" };
}

async function statusOne(server: Server, folders: Folders): Promise<Outcome> {
  const isThere = isInstalled(folders.root, server.recipe);
  return { text: `${isThere ? "installed" : "not installed"}, ${await runState(server, folders)}` };
}

async function runState(server: Server, folders: Folders): Promise<string> {
  const entry = readServices(folders.run)[server.name];
  if (entry === undefined) {
    const left = runningIn(join(folders.run, server.name));
    return left === undefined ? "stopped" : `process ${left.pid} never became ready`;
  }
  if (!isAlive(entry)) return `process ${entry.pid} is gone`;
  if (!(await isRunning(folders, server))) return `process ${entry.pid} does not answer`;
  return `runs on port ${entry.port}, process ${entry.pid}`;
}

function seconds(begin: number): string {
  return `${((performance.now() - begin) / 1_000).toFixed(1)} s`;
}

const ACTS: Readonly<Record<ServicesCommand["action"], Act>> = {
  install: installOne,
  start: startOne,
  stop: stopOne,
  status: statusOne,
};

async function main(): Promise<void> {
  const { action, names } = parseArgs(process.argv.slice(2));
  const folders: Folders = { root: servicesDirectory(), run: runDirectory() };
  const chosen = SERVERS.filter(({ name }) => names.length === 0 || names.includes(name));
  const act = async (): Promise<void> => {
    for (const server of chosen) {
      const outcome = await ACTS[action](server, folders, names.length > 0);
      console.log(`${server.name}: ${outcome.text}`);
      if (outcome.isFailure === true) process.exitCode = 1;
    }
  };
  if (action === "status") return act();
  const lock =
    action === "install" ? join(folders.root, "install.lock") : join(folders.run, "lock");
  return locked(lock, act);
}

if (import.meta.main) {
  try {
    await main();
  } catch (error) {
    console.error(`services: ${error instanceof Error ? error.message : String(error)}`);
    process.exitCode = 1;
  }
}
