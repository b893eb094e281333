/**
 * Drives Litestream's released reader and writer: a SQLite extension that presents a replica as a database. It runs
 * inside the sqlite3 program, so nothing of it is ever in our process.
 *
 * Hydrating is the strict oracle: every file of the replica goes through Litestream's own decoder and compactor, and
 * what comes out is a database file. Reading in place checks page indexes and the choice of files, also in the past.
 * Writing makes one level 0 file a process.
 *
 * The package `litestream-vfs` finds the extension for this system. It takes its settings from the database URI; logs
 * go to its standard output, which tells when hydrating has ended and how.
 */
import { execFile, spawn, spawnSync, type ChildProcess } from "node:child_process";
import { randomUUID } from "node:crypto";
import { once } from "node:events";
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { toTxid, type Txid } from "../base/ids.ts";

const PROGRAM = "sqlite3";
/** A call takes a quarter of a second on a quiet machine; a replica without files would be waited for without end. */
const CALL_TIMEOUT_MS = 60_000;
/** Hydrating takes as long as the database is large: 1 GiB of the smallest pages a minute. */
const HYDRATE_TIMEOUT_MS = 200_000;
/** How hydrating ends, or why it does not begin. */
const ENDING = /msg="hydration (?:complete|failed)"|unable to open database/;
const COMPLETE = 'msg="hydration complete"';
/** Logged for every page, and of no interest. */
const INDEX_ENTRY = 'msg="adding page index"';
/** Names no file: any name stands for the one replica. */
const DATABASE_NAME = "litestream.db";

/** What Litestream said when it refused a replica. */
export class LitestreamRefusal extends Error {}

/** The extension and what runs it, or why they cannot be used here. */
export type LitestreamVfsPlace = { readonly library: string } | { readonly missing: string };

let place: LitestreamVfsPlace | undefined;

/** Looks once for the extension and for a sqlite3 program that loads it. */
export function findLitestreamVfs(): LitestreamVfsPlace {
  place ??= lookForLitestreamVfs();
  return place;
}

function lookForLitestreamVfs(): LitestreamVfsPlace {
  let library: string;
  try {
    const { getLoadablePath } = createRequire(import.meta.url)("litestream-vfs") as {
      getLoadablePath: () => string;
    };
    library = getLoadablePath();
  } catch (error) {
    return { missing: `the package litestream-vfs is of no use here: ${firstLine(error)}` };
  }
  const { error, status, stderr } = spawnSync(PROGRAM, ["-batch", "-bail", ":memory:"], {
    input: `.load ${library}\n`,
    env: childEnvironment(tmpdir()),
    encoding: "utf8",
    timeout: CALL_TIMEOUT_MS,
  });
  if (error === undefined && status === 0) return { library };
  return { missing: `${PROGRAM} does not load ${library}: ${firstLine(error ?? stderr)}` };
}

function firstLine(problem: unknown): string {
  return String(problem).split("\n")[0] ?? "";
}

export class LitestreamVfs implements Disposable {
  readonly #library: string;
  /** Litestream leaves directories behind in its temporary directory. */
  readonly #scratch: string;
  /** Loading the extension takes longer than most calls: one process hydrates replicas one after another. */
  #session: Session | undefined;

  /** Throws when `findLitestreamVfs` says that something is missing. */
  constructor() {
    const found = findLitestreamVfs();
    if ("missing" in found) throw new Error(found.missing);
    this.#library = found.library;
    this.#scratch = mkdtempSync(join(tmpdir(), "millrace-litestream-"));
  }

  /** Each element becomes one transaction and one level 0 file of the replica in `directory`, made if absent. */
  async write(directory: string, transactions: readonly string[]): Promise<void> {
    const uri = replicaUri(directory, { write_enabled: "true", sync_interval: "1h" });
    await this.#run(transactions.map((sql) => `.open '${uri}'\n${sql}\n`).join(""));
  }

  /**
   * Runs SQL in a session in which the replica is attached as `r`, as of `beforeMs` (Unix, not included) or now.
   * Resolves to what sqlite3 prints.
   */
  query(
    directory: string,
    sql: string,
    options: { readonly beforeMs?: number | undefined } = {},
  ): Promise<string> {
    const { beforeMs } = options;
    const time = beforeMs === undefined ? undefined : new Date(beforeMs).toISOString();
    const travel =
      time === undefined
        ? ""
        : `.output /dev/null\nPRAGMA r.litestream_time = '${time}';\n.output\n`;
    return this.#run(`ATTACH '${replicaUri(directory)}' AS r;\n${travel}${sql}\n`);
  }

  /**
   * Writes a database file of the replica's newest state; resolves to its TXID. Rejects with `LitestreamRefusal`.
   * One call at a time.
   */
  async hydrate(directory: string, output: string): Promise<Txid> {
    for (const path of [output, `${output}.meta`]) rmSync(path, { force: true });
    await this.#hydrate(directory, output);
    return toTxid(BigInt(readFileSync(`${output}.meta`, "utf8")));
  }

  /**
   * Compares the replica's newest state with the file `expected`, byte for byte, without storing it: it is written to
   * a named pipe. Resolves to what `cmp` prints, nothing when they are equal. One call at a time.
   */
  async compare(directory: string, expected: string): Promise<string> {
    const pipe = join(this.#scratch, `pipe-${randomUUID()}`);
    const { status, stderr } = spawnSync("mkfifo", [pipe], { encoding: "utf8" });
    if (status !== 0) throw new Error(`mkfifo ${pipe}: ${stderr}`);
    // Open at both ends from here on, so that neither side waits for one who never comes.
    const writeEnd = openSync(pipe, "r+");
    const readEnd = openSync(pipe, "r");
    const child = spawn("cmp", ["-", expected], { stdio: [readEnd, "pipe", "pipe"] });
    closeSync(readEnd);
    const said: string[] = [];
    for (const stream of [child.stdout, child.stderr]) {
      stream?.setEncoding("utf8").on("data", (text: string) => said.push(text.trim()));
    }
    const ended = once(child, "close");
    try {
      await this.#hydrate(directory, pipe);
    } finally {
      closeSync(writeEnd);
      rmSync(pipe);
      await ended;
    }
    return said.join(" ");
  }

  /** Opens the replica, stays until hydrating has ended, and closes it. */
  async #hydrate(directory: string, output: string): Promise<void> {
    const uri = replicaUri(directory, { hydration_enabled: "true", hydration_path: output });
    const session = (this.#session ??= new Session(this.#library, this.#scratch));
    try {
      // Errors of the query are no verdict: hydrating goes on beside it.
      session.send(`.open '${uri}'\nSELECT 1 FROM sqlite_master LIMIT 0;\n`);
      await session.settle();
      const ending = await session.hear(ENDING, HYDRATE_TIMEOUT_MS);
      session.send(".open ':memory:'\n");
      await session.settle();
      session.forget();
      if (ending.includes(COMPLETE)) return;
      throw new LitestreamRefusal(`hydrate "${directory}": ${ending}`);
    } catch (error) {
      if (session.hasEnded) this.#session = undefined;
      throw error;
    }
  }

  #run(script: string): Promise<string> {
    return new Promise((resolve, reject) => {
      const child = execFile(
        PROGRAM,
        ["-batch", "-bail"],
        {
          env: { ...childEnvironment(this.#scratch), LITESTREAM_LOG_FILE: "/dev/null" },
          timeout: CALL_TIMEOUT_MS,
          killSignal: "SIGKILL",
          maxBuffer: 64 * 1024 * 1024,
        },
        (error, stdout, stderr) => {
          if (error === null) resolve(stdout);
          else reject(new LitestreamRefusal(stderr.trim() || error.message));
        },
      );
      child.stdin?.on("error", () => {});
      child.stdin?.end(`.load ${this.#library}\n${script}`);
    });
  }

  [Symbol.dispose](): void {
    this.#session?.[Symbol.dispose]();
    rmSync(this.#scratch, { recursive: true, force: true });
  }
}

/** A sqlite3 process with the extension. What it and Litestream say comes as one stream of lines. */
class Session implements Disposable {
  readonly #child: ChildProcess;
  #lines: string[] = [];
  #wake: () => void = () => {};
  hasEnded = false;

  constructor(library: string, scratch: string) {
    // One stream for both, so that an error comes before the mark that follows it.
    this.#child = spawn("sh", ["-c", `exec ${PROGRAM} -batch 2>&1`], {
      env: { ...childEnvironment(scratch), LITESTREAM_LOG_LEVEL: "DEBUG" },
      stdio: ["pipe", "pipe", "inherit"],
    });
    // A process that has ended is told of by its closing; writing to it is no error of its own.
    this.#child.stdin?.on("error", () => {});
    let rest = "";
    this.#child.stdout?.setEncoding("utf8").on("data", (text: string) => {
      const lines = `${rest}${text}`.split("\n");
      rest = lines.pop() ?? "";
      for (const line of lines) if (!line.includes(INDEX_ENTRY)) this.#lines.push(line);
      this.#wake();
    });
    this.#child.on("close", () => {
      this.hasEnded = true;
      this.#wake();
    });
    this.send(`.load ${library}\n`);
  }

  send(script: string): void {
    this.#child.stdin?.write(script);
  }

  /** Waits until everything sent has been done. */
  async settle(): Promise<void> {
    const mark = `mark-${randomUUID()}`;
    // By a shell, because the program's own output would wait in a buffer.
    this.send(`.shell echo ${mark}\n`);
    await this.hear(new RegExp(mark), CALL_TIMEOUT_MS);
  }

  /** The first line that matches and was not forgotten, now or when it comes. Rejects when the process ends before. */
  async hear(pattern: RegExp, timeoutMs: number): Promise<string> {
    let timedOut = false;
    const timer = setTimeout(() => {
      timedOut = true;
      this.#child.kill("SIGKILL");
    }, timeoutMs);
    try {
      for (;;) {
        const line = this.#lines.find((text) => pattern.test(text));
        if (line !== undefined) return line;
        if (this.hasEnded) {
          const reason = timedOut ? `timed out after ${timeoutMs} ms` : "ended";
          throw new LitestreamRefusal(`${PROGRAM} ${reason}: ${this.#lines.slice(-20).join("; ")}`);
        }
        await new Promise<void>((resolve) => {
          this.#wake = resolve;
        });
      }
    } finally {
      clearTimeout(timer);
    }
  }

  forget(): void {
    this.#lines = [];
  }

  [Symbol.dispose](): void {
    this.#child.kill();
  }
}

/** Nothing of this process's settings may reach Litestream: credentials, certificates, its own variables. */
function childEnvironment(temporary: string): NodeJS.ProcessEnv {
  return { PATH: process.env["PATH"], HOME: temporary, TMPDIR: temporary };
}

function replicaUri(directory: string, settings: Readonly<Record<string, string>> = {}): string {
  const query = new URLSearchParams({
    vfs: "litestream",
    replica_url: `file://${directory}`,
    poll_interval: "1h",
    ...settings,
  });
  return `file:${DATABASE_NAME}?${query.toString()}`;
}
