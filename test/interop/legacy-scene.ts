/**
 * A released Litestream of an older format at work: its daemon beside a real writer, and its own restore. For the tests
 * with such a program and for the script that makes the golden samples.
 */
import assert from "node:assert/strict";
import { execFile, spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { existsSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { setTimeout as pause } from "node:timers/promises";
import { promisify } from "node:util";
import { listFiles } from "../../tools/lib/files.ts";

/** `0.3` writes generations, `0.5` LTX files. */
export type LegacyVersion = "0.3" | "0.5";

export interface LegacySceneOptions {
  readonly program: string;
  readonly version: LegacyVersion;
  /** An empty directory. */
  readonly dir: string;
  readonly pageSize: number;
  /** Of the log; a checkpoint begins a new one. */
  readonly checkpointPages?: number | undefined;
}

/** One object of a replica. */
export interface SampleObject {
  readonly key: string;
  readonly createdAtMs: number;
}

const DEADLINE_MS = 30_000;
const POLL_MS = 20;

export class LegacyScene implements AsyncDisposable {
  readonly database: string;
  readonly replica: string;
  readonly #options: LegacySceneOptions;
  readonly #writer: DatabaseSync;
  #daemon: ChildProcess | undefined;
  #count = 0;

  constructor(options: LegacySceneOptions) {
    this.#options = options;
    this.database = join(options.dir, "app.db");
    this.replica = join(options.dir, "replica");
    this.#writer = new DatabaseSync(this.database);
    this.exec(`PRAGMA page_size = ${options.pageSize}; PRAGMA auto_vacuum = FULL`);
    this.exec("PRAGMA journal_mode = WAL; PRAGMA wal_autocheckpoint = 0");
    this.exec("PRAGMA busy_timeout = 5000; CREATE TABLE t (n INTEGER PRIMARY KEY, x)");
  }

  exec(sql: string): void {
    this.#writer.exec(sql);
  }

  /** One row in a transaction of its own. */
  insert(sizeBytes: number, isRandom = false): void {
    const value = isRandom ? `randomblob(${sizeBytes})` : `zeroblob(${sizeBytes})`;
    this.exec(`INSERT INTO t (x) VALUES (${value})`);
  }

  start(): void {
    assert.equal(this.#daemon, undefined);
    const config = join(this.#options.dir, "litestream.yml");
    writeFileSync(config, this.#config());
    this.#daemon = spawn(this.#options.program, ["replicate", "-config", config], {
      env: this.#env(),
      stdio: "ignore",
    });
  }

  async stop(): Promise<void> {
    const daemon = this.#daemon;
    this.#daemon = undefined;
    if (daemon === undefined || daemon.exitCode !== null) return;
    const exited = once(daemon, "exit");
    daemon.kill("SIGTERM");
    await exited;
  }

  /** Waits until the program itself restores everything that was written. */
  async caughtUp(): Promise<void> {
    const wanted = this.#digest(this.#writer);
    const end = Date.now() + DEADLINE_MS;
    for (;;) {
      const restored = await this.theirs().catch(() => undefined);
      if (restored !== undefined) {
        using db = new DatabaseSync(restored);
        if (this.#digest(db) === wanted) return;
      }
      assert.ok(Date.now() < end, `waited ${DEADLINE_MS} ms for the replica`);
      await pause(POLL_MS);
    }
  }

  /** What the program restores, as a file that nobody has open. */
  async theirs(options: readonly string[] = [], replica: string = this.replica): Promise<string> {
    this.#count += 1;
    const output = join(this.#options.dir, `theirs-${this.#count}.db`);
    const args = ["restore", ...options, "-o", output, `file://${replica}`];
    await promisify(execFile)(this.#options.program, args, {
      env: this.#env(),
      timeout: DEADLINE_MS,
    });
    assert.ok(existsSync(output), "the program restored something");
    return output;
  }

  /** Their newest state, byte for byte. */
  async theirBytes(options: readonly string[] = []): Promise<Buffer> {
    const path = await this.theirs(options);
    const bytes = readFileSync(path);
    rmSync(path);
    return bytes;
  }

  /** The objects of the replica with the store's times. */
  objects(): SampleObject[] {
    return listFiles(this.replica)
      .sort()
      .map((key) => ({ key, createdAtMs: Math.floor(statSync(join(this.replica, key)).mtimeMs) }));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
    this.#writer.close();
  }

  #digest(db: DatabaseSync): string {
    const columns = "sum(n), sum(length(x)), group_concat(hex(substr(x, 1, 8)))";
    return JSON.stringify(db.prepare(`SELECT ${columns} FROM (SELECT * FROM t ORDER BY n)`).get());
  }

  #env(): NodeJS.ProcessEnv {
    return { PATH: process.env["PATH"], HOME: this.#options.dir, TMPDIR: this.#options.dir };
  }

  #config(): string {
    const { version, checkpointPages = 10 } = this.#options;
    const replica = `type: file
        path: ${this.replica}
        sync-interval: 50ms`;
    const replicas =
      version === "0.3"
        ? `replicas:
      - ${replica}
        snapshot-interval: 1s`
        : `replica:
        ${replica}`;
    return `dbs:
  - path: ${this.database}
    monitor-interval: 50ms
    min-checkpoint-page-count: ${checkpointPages}
    ${replicas}
`;
  }
}
