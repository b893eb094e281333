/**
 * One database under one replicator: a copy of the sample database, the replicator in a process of its own, a watch
 * on the replica. Jobs of the application run one after the other; at the end everything is put together.
 */
import { copyFileSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { waitUntil } from "../lib/time.ts";
import { readReplicaFile, type ReplicaFile } from "./replica-files.ts";
import { ReplicaWatch } from "./replica-watch.ts";
import type { RunningReplicator, StartReplicator, TimedEvent } from "./replicators.ts";
import { MARK_PREFIX, write, type WriterJob, type WriterReport } from "./writer.ts";

/** A commit and how long it took to be found in the replica, in milliseconds. */
export interface SeenCommit {
  readonly sequence: number;
  readonly visibleMs: number;
  /** Until Millrace said that it is durable; NaN for a peer. */
  readonly durableMs: number;
}

export interface JobFigures extends WriterReport {
  /** What the replicator used from the job's start until its last transaction was in the replica. */
  readonly cpuSeconds: number;
  readonly waitSeconds: number;
  readonly wallSeconds: number;
  readonly seen: readonly SeenCommit[];
}

export interface SessionOptions {
  readonly sample: string;
  /** Absent: the application alone. */
  readonly start?: StartReplicator | undefined;
  readonly syncIntervalMs?: number | undefined;
}

const APPLICATION_SCHEMA = `
  PRAGMA journal_mode = WAL;
  CREATE TABLE visit (id INTEGER PRIMARY KEY, person INTEGER, at TEXT, note TEXT);
  CREATE INDEX visit_person ON visit (person);
  CREATE TABLE mark (id INTEGER PRIMARY KEY, text TEXT);
  INSERT INTO mark VALUES (1, '${MARK_PREFIX}000000000000');
`;

export class Session implements AsyncDisposable {
  readonly #directory: string;
  readonly #path: string;
  readonly #keeper: DatabaseSync;
  readonly #markPgno: number;
  readonly #watch: ReplicaWatch | undefined;
  readonly #replicator: RunningReplicator | undefined;
  readonly #read = new Map<string, ReplicaFile>();
  #jobs: {
    readonly report: WriterReport;
    readonly figures: Omit<JobFigures, keyof WriterReport | "seen">;
  }[] = [];
  #sequence = 0;
  #isStopped = false;

  constructor(options: SessionOptions) {
    this.#directory = mkdtempSync(join(tmpdir(), "millrace-bench-capture-"));
    this.#path = join(this.#directory, "app.db");
    copyFileSync(options.sample, this.#path);
    this.#keeper = new DatabaseSync(this.#path);
    this.#keeper.exec(APPLICATION_SCHEMA);
    const query = "SELECT rootpage FROM sqlite_schema WHERE name = 'mark'";
    this.#markPgno = Number(this.#keeper.prepare(query).get()?.["rootpage"]);
    if (options.start === undefined) return;
    const replica = join(this.#directory, "replica");
    this.#watch = new ReplicaWatch(replica);
    this.#replicator = options.start(
      { databases: [{ path: this.#path, replica }], syncIntervalMs: options.syncIntervalMs },
      this.#directory,
    );
  }

  /** Waits for the first complete copy, and a little commit after it. */
  async ready(): Promise<void> {
    if (this.#watch === undefined) return;
    await waitUntil("the first file", () => (this.#watch?.names().length ?? 0) > 0);
    await this.run({ people: 1, gapMs: 0, maxCommits: 1 });
    this.#jobs = [];
  }

  /** Runs a job and waits until its last transaction is in the replica. */
  async run(job: Omit<WriterJob, "path" | "firstSequence">): Promise<void> {
    const replicator = this.#replicator;
    const before = replicator?.figures();
    const startMs = performance.now();
    const report = await write({ ...job, path: this.#path, firstSequence: this.#sequence });
    this.#sequence += report.commits.length;
    if (replicator !== undefined) {
      await waitUntil("the last commit in the replica", () => this.#newest() >= this.#sequence);
    }
    const wallSeconds = (performance.now() - startMs) / 1000;
    const after = replicator?.figures();
    this.#jobs.push({
      report,
      figures: {
        wallSeconds,
        cpuSeconds: (after?.cpuSeconds ?? 0) - (before?.cpuSeconds ?? 0),
        waitSeconds: (after?.waitSeconds ?? 0) - (before?.waitSeconds ?? 0),
      },
    });
  }

  /** The newest transaction in the replica. */
  #newest(): number {
    // A replicator may add transactions of its own.
    for (const name of this.#watch?.names().toReversed() ?? []) {
      const { sequence } = this.#file(name);
      if (sequence > 0) return sequence;
    }
    return 0;
  }

  #file(name: string): ReplicaFile {
    const known = this.#read.get(name);
    if (known !== undefined) return known;
    const file = readReplicaFile(this.#watch?.directory ?? "", name, this.#markPgno);
    this.#read.set(name, file);
    return file;
  }

  /** Ends the replicator and puts everything together. */
  async finish(): Promise<{
    readonly jobs: readonly JobFigures[];
    readonly events: readonly TimedEvent[];
    /** Level 0 files that hold nearly every page. */
    readonly fullCopies: number;
  }> {
    this.#isStopped = true;
    const events = (await this.#replicator?.stop()) ?? [];
    const files = (this.#watch?.names() ?? []).map((name) => this.#file(name));
    const places = placesOf(files, events, (name) => this.#watch?.seenAt(name) ?? Number.NaN);
    const jobs = this.#jobs.map(({ report, figures }) => ({
      ...report,
      ...figures,
      seen: this.#replicator === undefined ? [] : find(report, places),
    }));
    const fullCopies = files.filter(({ pages, commit }) => pages > 0.9 * commit).length;
    return { jobs, events, fullCopies };
  }

  /** After it was disposed. */
  remove(): void {
    rmSync(this.#directory, { recursive: true });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (!this.#isStopped) await this.#replicator?.stop();
    this.#watch?.[Symbol.dispose]();
    this.#keeper.close();
  }
}

interface Place {
  readonly sequence: number;
  readonly visibleMs: number;
  readonly durableMs: number;
}

/** When the transactions up to a number were visible, and when durable; in order. */
function placesOf(
  files: readonly ReplicaFile[],
  events: readonly TimedEvent[],
  seenAt: (name: string) => number,
): Place[] {
  let newest = 0;
  const durable = events.flatMap(({ atMs, event }) =>
    event.type === "durable" ? [{ atMs, txid: event.txid }] : [],
  );
  return files.map(({ name, maxTxid, sequence }) => ({
    sequence: (newest = Math.max(newest, sequence)),
    visibleMs: seenAt(name),
    durableMs: durable.find(({ txid }) => txid >= maxTxid)?.atMs ?? Number.NaN,
  }));
}

function find(report: WriterReport, places: readonly Place[]): SeenCommit[] {
  let index = 0;
  return report.commits.map(({ sequence, endedMs }) => {
    while (index < places.length && (places[index]?.sequence ?? 0) < sequence) index += 1;
    const place = places[index];
    return {
      sequence,
      visibleMs: (place?.visibleMs ?? Number.NaN) - endedMs,
      durableMs: (place?.durableMs ?? Number.NaN) - endedMs,
    };
  });
}
