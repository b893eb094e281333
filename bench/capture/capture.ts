/**
 * `capture`: what replication costs and how far behind the replica is, seen from outside: an ordinary application in a
 * process of its own, the replicator in another, and a watch on the replica's folder. With a peer, in turns.
 */
import { sampleDatabase } from "../lib/data.ts";
import type { BenchOptions } from "../lib/options.ts";
import type { Report } from "../lib/report.ts";
import { median, quantile } from "../lib/stats.ts";
import {
  startLitestream,
  startMillrace,
  type StartReplicator,
  type TimedEvent,
} from "./replicators.ts";
import { Session, type JobFigures } from "./session.ts";

const RATE_GAP_MS = 5;
const RATE_SYNC_MS = 20;
/** Longer than the default interval: every commit meets a replicator at rest. */
const ISOLATED_GAP_MS = 1600;
const PAGE_BYTES = 4096;
const ALONE = "without replication";

interface Side {
  readonly name: string;
  readonly start: StartReplicator | undefined;
}

interface Plan {
  readonly sample: string;
  readonly runs: number;
  readonly sides: readonly Side[];
  readonly isolatedCommits: number;
  readonly rateCommits: number;
  readonly bulkFrames: number;
}

/** Results of one side, one entry a run. */
type Runs<T> = Map<string, T[]>;

export async function benchCapture(options: BenchOptions, report: Report): Promise<void> {
  const { quick, peer } = options;
  const ours: Side = { name: "Millrace", start: startMillrace };
  const peers = peer === undefined ? [] : [{ name: "Litestream", start: startLitestream(peer) }];
  const plan: Plan = {
    sample: sampleDatabase(quick ? 16 : 100),
    runs: quick ? 1 : Math.min(options.runs, 3),
    sides: [ours, ...peers],
    isolatedCommits: quick ? 6 : 20,
    rateCommits: (options.seconds ?? (quick ? 5 : 20)) * (1000 / RATE_GAP_MS),
    bulkFrames: Math.ceil((quick ? 100e6 : 1000e6) / PAGE_BYTES),
  };
  await isolated(plan, report);
  await underLoad(plan, report);
  await bulk(plan, report);
}

/**
 * Runs one job on every side in turns. What they leave is removed at the end: for minutes ext4 looks through the inodes
 * that were deleted whenever it makes a file, which would cost the next side.
 */
async function inTurns<T>(
  plan: Plan,
  sides: readonly Side[],
  run: (session: Session) => Promise<T>,
  syncIntervalMs?: number,
): Promise<Runs<T>> {
  const results: Runs<T> = new Map(sides.map(({ name }) => [name, []]));
  using remains = new DisposableStack();
  for (let round = 0; round < plan.runs; round += 1) {
    for (const { name, start } of sides) {
      await using session = new Session({ sample: plan.sample, start, syncIntervalMs });
      remains.defer(() => session.remove());
      await session.ready();
      results.get(name)?.push(await run(session));
    }
  }
  return results;
}

async function isolated(plan: Plan, report: Report): Promise<void> {
  const commits = plan.isolatedCommits;
  report.section(
    `capture, isolated commits: default interval, ${plan.runs} runs of ${commits} commits, ms after the commit returned`,
  );
  const results = await inTurns(plan, plan.sides, async (session) => {
    await session.run({ people: 1, gapMs: ISOLATED_GAP_MS, maxCommits: commits });
    const { jobs } = await session.finish();
    return seen(jobs);
  });
  const [ours, peer] = latencies(results);
  latencyRows(report, ours, peer, {
    "visible in the replica, p50": { q: 0.5, limit: 15 },
    "visible in the replica, p99": { q: 0.99 },
    "visible in the replica, max": { q: 1, limit: 60 },
  });
  durableRows(report, results.get("Millrace") ?? []);
}

async function underLoad(plan: Plan, report: Report): Promise<void> {
  const seconds = (plan.rateCommits * RATE_GAP_MS) / 1000;
  report.section(
    `capture, 200 commits/s for ${seconds} s: sync interval ${RATE_SYNC_MS} ms, ${plan.runs} runs, ms`,
  );
  const alone: Side = { name: ALONE, start: undefined };
  const results = await inTurns(
    plan,
    [...plan.sides, alone],
    async (session) => {
      await session.run({ people: 1, gapMs: RATE_GAP_MS, maxCommits: plan.rateCommits });
      return session.finish();
    },
    RATE_SYNC_MS,
  );
  const figures = new Map(
    [...results].map(([name, runs]) => [name, runs.map(({ jobs }) => seen(jobs))]),
  );
  const [ours, peer] = latencies(figures);
  latencyRows(report, ours, peer, {
    "visible in the replica, p50": { q: 0.5, limit: 30 },
    "visible in the replica, p99": { q: 0.99, limit: 100 },
    "visible in the replica, max": { q: 1 },
  });
  durableRows(report, figures.get("Millrace") ?? []);
  locks(
    report,
    (results.get("Millrace") ?? []).flatMap(({ events }) => events),
  );
  commitLatency(
    report,
    new Map([...results].map(([name, runs]) => [name, runs.map(({ jobs }) => own(jobs))])),
  );
  for (const [name, runs] of results) {
    if (name === ALONE) continue;
    const percent = runs.flatMap(({ jobs }) =>
      jobs.map((job) => (100 * job.cpuSeconds) / job.wallSeconds),
    );
    report.measure(`CPU of ${name}`, { unit: "% of a core", samples: percent });
    const waits = runs.flatMap(({ jobs }) =>
      jobs.map((job) => (100 * job.waitSeconds) / job.wallSeconds),
    );
    report.measure(`  ready but without a processor`, { unit: "% of the time", samples: waits });
    fullCopies(report, name, runs);
  }
}

async function bulk(plan: Plan, report: Report): Promise<void> {
  const mb = Math.round((plan.bulkFrames * PAGE_BYTES) / 1e6);
  report.section(
    `capture, as fast as the application can: ${mb} MB of WAL, default interval, ${plan.runs} runs`,
  );
  const results = await inTurns(plan, plan.sides, async (session) => {
    await session.run({ people: 50, gapMs: 0, maxWalFrames: plan.bulkFrames });
    return session.finish();
  });
  const perGb = (name: string): number[] =>
    (results.get(name) ?? []).flatMap(({ jobs }) =>
      jobs.map((job) => job.cpuSeconds / ((job.walFrames * PAGE_BYTES) / 1e9)),
    );
  const peer = plan.sides[1];
  report.measure("CPU seconds per GB of WAL", {
    unit: "s",
    samples: perGb("Millrace"),
    against: peer && { name: peer.name, samples: perGb(peer.name), better: "lower" },
  });
  for (const [name, runs] of results) fullCopies(report, name, runs);
}

interface Latencies {
  readonly name: string;
  /** One list of samples a run, ms. */
  readonly runs: readonly (readonly number[])[];
}

interface Seen {
  readonly visible: readonly number[];
  readonly durable: readonly number[];
}

function seen(jobs: readonly JobFigures[]): Seen {
  const all = jobs.flatMap((job) => job.seen);
  return {
    visible: all.map(({ visibleMs }) => visibleMs),
    durable: all.map(({ durableMs }) => durableMs),
  };
}

/** How long the application's commits took. */
function own(jobs: readonly JobFigures[]): readonly number[] {
  return jobs.flatMap((job) => job.commits.map(({ beganMs, endedMs }) => endedMs - beganMs));
}

function latencies(results: Runs<Seen>): [Latencies, Latencies | undefined] {
  const of = (name: string): Latencies => ({
    name,
    runs: (results.get(name) ?? []).map(({ visible }) => visible),
  });
  return [of("Millrace"), results.has("Litestream") ? of("Litestream") : undefined];
}

function latencyRows(
  report: Report,
  ours: Latencies,
  peer: Latencies | undefined,
  rows: Readonly<Record<string, { readonly q: number; readonly limit?: number }>>,
): void {
  for (const [name, { q, limit }] of Object.entries(rows)) {
    const at = (side: Latencies): number[] => side.runs.map((run) => quantile(run, q));
    report.measure(name, {
      unit: "ms",
      samples: at(ours),
      against: peer && { name: peer.name, samples: at(peer), better: "lower" },
      target: limit === undefined ? undefined : { better: "lower", limit },
    });
    if (peer !== undefined) report.measure(`  ${peer.name}`, { unit: "ms", samples: at(peer) });
  }
}

function durableRows(report: Report, runs: readonly Seen[]): void {
  for (const [name, q] of [
    ["p50", 0.5],
    ["p99", 0.99],
    ["max", 1],
  ] as const) {
    const samples = runs.map(({ durable }) => quantile(durable, q));
    report.measure(`reported durable, ${name}`, { unit: "ms", samples });
  }
}

function locks(report: Report, events: readonly TimedEvent[]): void {
  const checkpoints = events.flatMap(({ event }) => (event.type === "checkpoint" ? [event] : []));
  const held = checkpoints.map(({ lockHeldMs }) => lockHeldMs);
  const restarted = checkpoints.filter((event) => event.restarted).length;
  report.note(`${checkpoints.length} checkpoints, ${restarted} of them restarted the log`);
  report.measure("write lock held by a checkpoint, p50", {
    unit: "ms",
    samples: [quantile(held, 0.5)],
  });
  report.measure("write lock held by a checkpoint, p99", {
    unit: "ms",
    samples: [quantile(held, 0.99)],
    target: { better: "lower", limit: 20 },
  });
  report.measure("write lock held by a checkpoint, max", {
    unit: "ms",
    samples: [quantile(held, 1)],
  });
}

function commitLatency(report: Report, runs: Runs<readonly number[]>): void {
  const alone = runs.get(ALONE) ?? [];
  for (const [label, q] of [
    ["p50", 0.5],
    ["p99", 0.99],
    ["max", 1],
  ] as const) {
    const at = (samples: readonly (readonly number[])[]): number[] =>
      samples.map((run) => quantile(run, q));
    report.measure(`own commits ${ALONE}, ${label}`, { unit: "ms", samples: at(alone) });
    for (const [name, samples] of runs) {
      if (name === ALONE) continue;
      const isTarget = name === "Millrace" && label === "p99";
      report.measure(`own commits with ${name}, ${label}`, {
        unit: "ms",
        samples: at(samples),
        against: { name: "its speed alone", samples: at(alone), better: "lower" },
        target: isTarget ? { better: "lower", limit: 1.5 * median(at(alone)) } : undefined,
      });
    }
  }
}

function fullCopies(
  report: Report,
  name: string,
  runs: readonly { readonly fullCopies: number }[],
): void {
  const copies = runs.map((run) => run.fullCopies);
  if (name === "Millrace")
    report.check(
      "full copies in each run",
      copies.every((count) => count === 1),
      copies.join(", "),
    );
  else report.note(`${name}: full copies in each run at level 0: ${copies.join(", ")}`);
}
