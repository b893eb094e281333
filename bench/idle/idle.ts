/**
 * `idle`: what a replicator does while nobody writes: processor time, changed files, calls that name a file. Many
 * databases with `--databases`, a longer watch with `--seconds`.
 */
import { mkdirSync, mkdtempSync, readdirSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import {
  startLitestream,
  startMillrace,
  type ReplicatorJob,
  type StartReplicator,
} from "../capture/replicators.ts";
import type { BenchOptions } from "../lib/options.ts";
import type { ProcessFigures } from "../lib/process-figures.ts";
import type { Report } from "../lib/report.ts";
import { waitUntil } from "../lib/time.ts";
import { traceFileCalls } from "./trace.ts";

const SETTLE_MS = 5000;

interface IdleFigures {
  readonly seconds: number;
  readonly before: ProcessFigures;
  readonly after: ProcessFigures;
  /** Files that are not as they were. */
  readonly changed: readonly string[];
  readonly descriptors: number;
  /** Calls that name a file, by what they name; `undefined` when nothing can count them. */
  readonly calls: ReadonlyMap<string, number> | undefined;
  readonly traceSeconds: number;
}

export async function benchIdle(options: BenchOptions, report: Report): Promise<void> {
  const { databases, quick, peer } = options;
  const seconds = options.seconds ?? (quick ? 10 : 60);
  report.section(`idle: ${databases} databases of 12 KiB with an open application, ${seconds} s`);
  const ours = await watchIdle(startMillrace, databases, seconds);
  tell(report, "Millrace", ours, true);
  if (peer === undefined) return;
  tell(report, "Litestream", await watchIdle(startLitestream(peer), databases, seconds), false);
}

async function watchIdle(
  start: StartReplicator,
  databases: number,
  seconds: number,
): Promise<IdleFigures> {
  const directory = mkdtempSync(join(tmpdir(), "millrace-bench-idle-"));
  using stack = new DisposableStack();
  stack.defer(() => rmSync(directory, { recursive: true }));
  const job = makeDatabases(directory, databases, stack);
  const replicator = start(job, directory);
  try {
    await waitUntil("a first file of every replica", () => job.databases.every(hasFile), 120_000);
    await sleep(SETTLE_MS);
    const filesBefore = filesIn(directory);
    const before = replicator.figures();
    const startMs = performance.now();
    await sleep(seconds * 1000);
    const after = replicator.figures();
    const lasted = (performance.now() - startMs) / 1000;
    const filesAfter = filesIn(directory);
    const traceSeconds = Math.min(seconds, 20);
    const calls = await traceFileCalls(replicator.pid, traceSeconds);
    return {
      seconds: lasted,
      before,
      after,
      changed: differences(filesBefore, filesAfter),
      descriptors: readdirSync(`/proc/${replicator.pid}/fd`).length,
      calls,
      traceSeconds,
    };
  } finally {
    await replicator.stop();
  }
}

function makeDatabases(
  directory: string,
  databases: number,
  applications: DisposableStack,
): ReplicatorJob {
  mkdirSync(join(directory, "data"));
  return {
    databases: Array.from({ length: databases }, (_, index) => {
      const path = join(directory, "data", `app${index}.db`);
      const database = applications.adopt(new DatabaseSync(path), (open) => open.close());
      database.exec("PRAGMA journal_mode = WAL; CREATE TABLE a (x); CREATE TABLE b (y)");
      database.exec("INSERT INTO a VALUES ('something')");
      return { path, replica: join(directory, `replica${index}`) };
    }),
  };
}

function hasFile({ replica }: ReplicatorJob["databases"][number]): boolean {
  try {
    return readdirSync(join(replica, "ltx", "0")).length > 0;
  } catch {
    return false; // Not made yet.
  }
}

/** Size and times of every file below. */
function filesIn(directory: string): Map<string, string> {
  const files = new Map<string, string>();
  for (const name of readdirSync(directory, { recursive: true, encoding: "utf8" })) {
    const { size, mtimeMs, ctimeMs } = statSync(join(directory, name));
    files.set(name, `${size} ${mtimeMs} ${ctimeMs}`);
  }
  return files;
}

function differences(
  before: ReadonlyMap<string, string>,
  after: ReadonlyMap<string, string>,
): string[] {
  const names = new Set([...before.keys(), ...after.keys()]);
  return [...names].filter((name) => before.get(name) !== after.get(name));
}

function tell(report: Report, name: string, figures: IdleFigures, isOurs: boolean): void {
  const { seconds, before, after, changed, calls, traceSeconds } = figures;
  const percent = (100 * (after.threadSeconds - before.threadSeconds)) / seconds;
  report.measure(`CPU of ${name}`, {
    unit: "% of a core",
    samples: [percent],
    target: isOurs ? { better: "lower", limit: 0.1 } : undefined,
  });
  if (isOurs) report.check("files unchanged", changed.length === 0, list(changed));
  else report.note(`${name}: files changed: ${list(changed)}`);
  if (calls === undefined) report.note("calls that name a file: not counted, strace is absent");
  else {
    const store = [...calls].filter(([path]) => path.includes("/replica"));
    const requests = store.reduce((sum, [, count]) => sum + count, 0);
    if (isOurs)
      report.check("no store request", requests === 0, `${requests} in ${traceSeconds} s`);
    else report.note(`${name}: calls into the replica: ${requests} in ${traceSeconds} s`);
    for (const [path, count] of [...calls].sort((a, b) => b[1] - a[1]).slice(0, 4)) {
      report.note(`  ${(count / traceSeconds).toFixed(1)} calls a second name ${path}`);
    }
  }
  const writes = (after.writes - before.writes) / seconds;
  report.measure(`${name}: write calls, wake-ups included`, { unit: "/s", samples: [writes] });
  report.measure(`${name}: peak memory`, { unit: "MB", samples: [after.peakRssBytes / 1e6] });
  report.measure(`${name}: open descriptors`, { unit: "", samples: [figures.descriptors] });
}

function list(names: readonly string[]): string {
  return names.length === 0 ? "none changed" : names.slice(0, 5).join(", ");
}

function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
