/**
 * One of the daemons that take over from each other: the real command with a configuration and a local directory of its
 * own, which is killed, paused, ended and started again. Its log is JSON, and is kept over all of its lives.
 */
import assert from "node:assert/strict";
import { metaPaths } from "../../src/capture/meta-dir.ts";
import { readStatusFile, type StatusRecord } from "../../src/daemon/status-file.ts";
import { nodeFiles } from "../../src/platform/files.ts";
import { Script } from "./script.ts";
import { until, type Place } from "../e2e/harness.ts";

const MILLRACE = new URL("../../bin/millrace.js", import.meta.url);
const LAST_LINES = 25;

/** What a daemon wrote, and when it came here. */
export interface LogLine {
  readonly msg: string;
  readonly txid?: string | undefined;
  readonly minTXID?: string | undefined;
  readonly maxTXID?: string | undefined;
  readonly level?: string | number | undefined;
  readonly field_level?: number | undefined;
  readonly epoch?: number | undefined;
  readonly reason?: string | undefined;
  readonly code?: string | undefined;
  readonly durable?: boolean | undefined;
  /** By the daemon's clock, Unix ms. */
  readonly atMs: number;
  /** By this process's clock, Unix ms. */
  readonly receivedMs: number;
}

export interface DaemonOptions {
  readonly name: string;
  readonly place: Place;
  /** Of the database. */
  readonly path: string;
  readonly url: string;
  readonly env: Readonly<Record<string, string>>;
  readonly lease: string;
  readonly ttlMs: number;
}

export class FailoverDaemon {
  readonly name: string;
  readonly lines: LogLine[] = [];
  readonly metaDir: string;
  readonly #config: string;
  readonly #env: Readonly<Record<string, string | undefined>>;
  #script: Script | undefined;
  /** Index of the first line of its present life. */
  #bornAt = 0;

  constructor(options: DaemonOptions) {
    const { name, place, path, url, lease, ttlMs } = options;
    this.name = name;
    this.metaDir = place.path(`meta-${name}`);
    const replica = { url, "sync-interval": "100ms", lease, "lease-ttl": `${ttlMs}ms` };
    const text = JSON.stringify({
      logging: { level: "debug", type: "json" },
      "shutdown-sync-timeout": "20s",
      dbs: [{ path, "meta-path": this.metaDir, replica }],
    });
    this.#config = place.write(`${name}.yml`, text);
    // Nothing of the machine's own settings.
    this.#env = { PATH: process.env["PATH"], HOME: place.dir, TMPDIR: place.dir, ...options.env };
  }

  start(): void {
    assert.ok(!this.isRunning, `${this.name} runs`);
    this.#bornAt = this.lines.length;
    const args = ["replicate", "-no-expand-env", "-config", this.#config];
    this.#script = new Script(MILLRACE, args, {
      env: this.#env,
      onLine: (line) => this.#read(line),
    });
  }

  get isRunning(): boolean {
    return this.#script?.running === true;
  }

  /** `running`, 0 or another status, or the signal. */
  get outcome(): string {
    const { exitCode, signalCode } = this.#script?.child ?? {};
    return String(exitCode ?? signalCode ?? "running");
  }

  get bornAt(): number {
    return this.#bornAt;
  }

  get status(): StatusRecord | undefined {
    return readStatusFile(nodeFiles, metaPaths(this.metaDir).status);
  }

  signal(name: NodeJS.Signals): void {
    this.#script?.child.kill(name);
  }

  async ended(): Promise<void> {
    await this.#script?.ended();
  }

  async kill(): Promise<void> {
    if (this.isRunning) this.signal("SIGCONT");
    await this.#script?.kill();
  }

  /** The lines with this message from the `from`-th on. */
  find(msg: string, from = 0): LogLine[] {
    return this.lines.slice(from).filter((line) => line.msg === msg);
  }

  /** Whether it has the lease, by the last that it said. */
  get isHolder(): boolean {
    const last = this.lines.slice(this.#bornAt).findLast(({ msg }) => LEASE_LINES.includes(msg));
    return this.isRunning && last?.msg === "lease acquired";
  }

  get isWaiting(): boolean {
    const last = this.lines.slice(this.#bornAt).findLast(({ msg }) => LEASE_LINES.includes(msg));
    return this.isRunning && last?.msg === "lease is held by another process, waiting";
  }

  /** Waits for a line; shows the last ones when it does not come. */
  async said(msg: string, from: number, deadlineMs: number): Promise<LogLine> {
    await this.holds(`"${msg}"`, () => this.find(msg, from).length > 0, deadlineMs);
    const [line] = this.find(msg, from);
    assert.ok(line !== undefined);
    return line;
  }

  /** Waits for a condition; shows the last lines when it does not come. */
  async holds(what: string, condition: () => boolean, deadlineMs: number): Promise<void> {
    try {
      await until(`${this.name}: ${what}`, condition, deadlineMs);
    } catch (error) {
      console.log(this.describe());
      throw error;
    }
  }

  describe(): string {
    const lines = this.lines.slice(-LAST_LINES).map((line) => JSON.stringify(line));
    return [`${this.name}: ${this.outcome}`, ...lines].join("\n");
  }

  #read(line: string): void {
    if (!line.startsWith("{")) return;
    const receivedMs = Date.now();
    const fields = JSON.parse(line) as LogLine & { readonly time: string };
    this.lines.push({ ...fields, atMs: Date.parse(fields.time), receivedMs });
  }
}

const LEASE_LINES: readonly string[] = [
  "lease acquired",
  "lease lost",
  "lease released",
  "lease is held by another process, waiting",
];
