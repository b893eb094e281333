/** The real command, run as a user would: `bin/millrace.js` in a process, in a directory of its own. */
import assert from "node:assert/strict";
import { spawn, type ChildProcess, type SpawnOptions } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { text } from "node:stream/consumers";
import { setTimeout as pause } from "node:timers/promises";
import { pathToFileURL } from "node:url";
import { DatabaseSync } from "node:sqlite";

const ROOT = dirname(dirname(import.meta.dirname));
const BIN = join(ROOT, "bin", "millrace.js");
export const DEADLINE_MS = 30_000;

export interface Outcome {
  /** Exit status; `undefined` when a signal ended it. */
  readonly status: number | undefined;
  readonly signal: NodeJS.Signals | undefined;
  readonly stdout: string;
  readonly stderr: string;
}

export interface RunOptions {
  readonly cwd?: string | undefined;
  readonly env?: Readonly<Record<string, string | undefined>> | undefined;
  readonly uid?: number | undefined;
  /** After which the process is killed; default 60 s. */
  readonly deadlineMs?: number | undefined;
}

/** A running `millrace`. */
export class Running {
  readonly child: ChildProcess;
  readonly outcome: Promise<Outcome>;

  constructor(args: readonly string[], options: RunOptions = {}) {
    const spawning: SpawnOptions = {
      cwd: options.cwd,
      stdio: ["ignore", "pipe", "pipe"],
      // Nothing of the machine's configuration, and not the test runner's.
      env: { PATH: process.env["PATH"], HOME: tmpdir(), TMPDIR: tmpdir(), ...options.env },
      ...(options.uid === undefined ? {} : { uid: options.uid, gid: options.uid }),
    };
    this.child = spawn(process.execPath, [BIN, ...args], spawning);
    this.outcome = this.#watch(options.deadlineMs ?? DEADLINE_MS * 2);
  }

  async #watch(deadlineMs: number): Promise<Outcome> {
    const { stdout, stderr } = this.child;
    assert.ok(stdout !== null && stderr !== null);
    const timer = setTimeout(() => this.child.kill("SIGKILL"), deadlineMs);
    const texts = Promise.all([text(stdout), text(stderr)]);
    const [code, signal] = (await once(this.child, "exit")) as [
      number | null,
      NodeJS.Signals | null,
    ];
    clearTimeout(timer);
    const [out, err] = await texts;
    return { status: code ?? undefined, signal: signal ?? undefined, stdout: out, stderr: err };
  }

  kill(signal: NodeJS.Signals): void {
    this.child.kill(signal);
  }
}

export function millrace(args: readonly string[], options: RunOptions = {}): Promise<Outcome> {
  return new Running(args, options).outcome;
}

/** A directory that goes away with the test. */
export class Place implements Disposable {
  readonly dir: string = mkdtempSync(join(tmpdir(), "millrace-e2e-"));

  path(...parts: string[]): string {
    return join(this.dir, ...parts);
  }

  url(...parts: string[]): string {
    return pathToFileURL(this.path(...parts)).href;
  }

  write(name: string, content: string | Uint8Array): string {
    const path = this.path(name);
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, content);
    return path;
  }

  /** A database in WAL mode with `count` rows, left without its application. */
  database(name = "app.db", count = 3): string {
    const path = this.path(name);
    using db = new DatabaseSync(path);
    db.exec("PRAGMA journal_mode = WAL; CREATE TABLE IF NOT EXISTS t (n INTEGER, x BLOB)");
    const insert = db.prepare("INSERT INTO t VALUES (?, randomblob(500))");
    for (let n = 1; n <= count; n += 1) insert.run(n);
    return path;
  }

  [Symbol.dispose](): void {
    rmSync(this.dir, { recursive: true, force: true });
  }
}

/** The numbers in a restored database, which nobody else has open. */
export function rows(path: string): number[] {
  using db = new DatabaseSync(path, { readOnly: true });
  return db
    .prepare("SELECT n FROM t ORDER BY n")
    .all()
    .map((row) => Number(row["n"]));
}

export function numbers(count: number): number[] {
  return Array.from({ length: count }, (_, index) => index + 1);
}

export async function until(
  what: string,
  condition: () => boolean | Promise<boolean>,
  deadlineMs: number = DEADLINE_MS,
): Promise<void> {
  for (const end = Date.now() + deadlineMs; !(await condition());) {
    if (Date.now() > end) assert.fail(`waited ${deadlineMs} ms for: ${what}`);
    await pause(10);
  }
}

/** Asserts the exit status, showing everything when it is another one. */
export function assertStatus(outcome: Outcome, status: number): void {
  assert.equal(outcome.status, status, JSON.stringify(outcome, undefined, 2));
}

/** Asserts a failure: status, code, and words of the message. */
export function assertFailure(
  outcome: Outcome,
  status: number,
  code: string,
  message: RegExp,
): void {
  assertStatus(outcome, status);
  assert.match(outcome.stderr, /^Error: /m);
  assert.match(outcome.stderr, new RegExp(`^Code: ${code}$`, "m"));
  assert.match(outcome.stderr, message);
  assert.doesNotMatch(outcome.stderr, /^\s+at /m, "no stack trace");
}
