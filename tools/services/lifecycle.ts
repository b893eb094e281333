/**
 * Starts and stops one server: an empty folder, a launch, a bounded wait for a real answer, an entry in the state
 * file. What a start leaves behind when it is interrupted, the next start or stop finds and ends.
 */
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import {
  answers,
  isAlive,
  type ProcessIdentity,
  readServices,
  type ServiceEntry,
} from "../../src/testing/services.ts";
import { removeAccount } from "./account.ts";
import { programPath } from "./install.ts";
import { endProcess, freePort, launch, logPath, runningIn } from "./process.ts";
import { lastLines } from "./run-program.ts";
import type { Launch, Server } from "./server.ts";

export interface Folders {
  /** Of the built programs. */
  readonly root: string;
  /** Of what runs. */
  readonly run: string;
}

export interface StartOptions {
  readonly readyTimeoutMs?: number | undefined;
}

/** The process was gone before it was ready. */
class EndedError extends Error {}

const READY_TIMEOUT_MS = 60_000;
const POLL_MS = 50;
const SHARED_FILE = "shared-directories";
const SHARED_PREFIX = "millrace-service-";

/** Whether the server runs and answers, by its entry in the state file. */
export async function isRunning(folders: Folders, server: Server): Promise<boolean> {
  const entry = readServices(folders.run)[server.name];
  return entry !== undefined && isAlive(entry) && (await answers(entry.port));
}

/**
 * Starts a server that does not run, in an emptied folder, and returns its entry once it is ready. One that ends at
 * once is tried once more: somebody else may have taken its port in between.
 * Throws with the end of its log when it dies or does not become ready in time (a minute); nothing of it runs then.
 */
export async function start(
  folders: Folders,
  server: Server,
  options: StartOptions = {},
): Promise<ServiceEntry> {
  try {
    return await startOnce(folders, server, options);
  } catch (error) {
    const isEnded = error instanceof Error && error.cause instanceof EndedError;
    if (!isEnded) throw error;
    return await startOnce(folders, server, options);
  }
}

async function startOnce(
  folders: Folders,
  server: Server,
  { readyTimeoutMs = READY_TIMEOUT_MS }: StartOptions,
): Promise<ServiceEntry> {
  await stop(folders, server);
  const directory = join(folders.run, server.name);
  mkdirSync(directory, { recursive: true, mode: 0o700 });
  const program = programPath(folders.root, server.recipe);
  try {
    const given = new Set<number>();
    const prepared = await server.prepare({
      program,
      directory,
      freePort: () => freePort(given),
      sharedDirectory: () => sharedDirectory(directory),
    });
    const identity = launch(directory, {
      program: prepared.isScript === true ? process.execPath : program,
      args: prepared.isScript === true ? [program, ...prepared.args] : prepared.args,
      env: bareEnvironment(directory, prepared.env),
    });
    await becomeReady(prepared, identity, readyTimeoutMs);
    const entry: ServiceEntry = { ...prepared.service, ...identity, port: prepared.port };
    writeEntry(folders.run, server.name, entry);
    return entry;
  } catch (error) {
    const log = readLog(directory);
    await stop(folders, server, { keepFolder: true });
    throw new Error(`start "${server.name}": ${messageOf(error)}${log}`, { cause: error });
  }
}

/** Ends the server if it runs, and removes its folder, its entry and whatever else it had. True when it ran. */
export async function stop(
  folders: Folders,
  server: Server,
  options: { readonly keepFolder?: boolean } = {},
): Promise<boolean> {
  const directory = join(folders.run, server.name);
  const identity = runningIn(directory);
  writeEntry(folders.run, server.name, undefined);
  if (identity !== undefined) await endProcess(identity);
  removeAccount(directory);
  removeSharedDirectories(directory);
  if (options.keepFolder !== true) rmSync(directory, { recursive: true, force: true });
  return identity !== undefined;
}

async function becomeReady(
  { ready }: Launch,
  identity: ProcessIdentity,
  timeoutMs: number,
): Promise<void> {
  const deadline = performance.now() + timeoutMs;
  let last: unknown;
  while (performance.now() < deadline) {
    if (!isAlive(identity)) throw new EndedError("it ended at once");
    try {
      await ready();
      return;
    } catch (error) {
      // Not yet, most likely; the last one is told when there is no success in time.
      last = error;
    }
    await sleep(POLL_MS);
  }
  throw new Error(`it is not ready after ${timeoutMs / 1_000} s: ${messageOf(last)}`);
}

/** Neither proxies nor credentials nor language of the caller; a home of its own. */
function bareEnvironment(
  directory: string,
  env: Readonly<Record<string, string>> = {},
): Record<string, string> {
  const path = process.env["PATH"] ?? "/usr/bin:/bin";
  return { PATH: path, HOME: directory, TMPDIR: directory, LANG: "C.UTF-8", ...env };
}

/** Replaces one entry of the state file, or removes it. The caller holds the lock of the run folder. */
export function writeEntry(run: string, name: string, entry: ServiceEntry | undefined): void {
  const { [name as keyof object]: _, ...others } = readServices(run);
  const next = entry === undefined ? others : { ...others, [name]: entry };
  const path = join(run, "services.json");
  mkdirSync(run, { recursive: true, mode: 0o700 });
  writeFileSync(`${path}.new`, `${JSON.stringify(next, null, 2)}\n`, { mode: 0o600 });
  renameSync(`${path}.new`, path);
}

function sharedDirectory(directory: string): string {
  const path = mkdtempSync(join(tmpdir(), SHARED_PREFIX));
  writeFileSync(join(directory, SHARED_FILE), `${path}\n`, { flag: "a" });
  chmodSync(path, 0o755);
  return path;
}

function removeSharedDirectories(directory: string): void {
  const list = join(directory, SHARED_FILE);
  if (!existsSync(list)) return;
  for (const path of readFileSync(list, "utf8").trim().split("\n")) {
    if (!path.startsWith("/") || !path.includes(`/${SHARED_PREFIX}`))
      throw new Error(`remove "${path}": not a folder of ours (listed in ${list})`);
    rmSync(path, { recursive: true, force: true });
  }
  rmSync(list);
}

function readLog(directory: string): string {
  const path = logPath(directory);
  if (!existsSync(path)) return "";
  const text = lastLines(readFileSync(path, "utf8"));
  return text.trim() === "" ? `\n  ${path} is empty` : `\n  the end of ${path}:\n${text}`;
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
