/** The application's side of a session: what it is told to do, and what it measured. */
import { once } from "node:events";
import { ended, forkModule } from "../lib/child.ts";

/** Before the number that a transaction writes. */
export const MARK_PREFIX = "MILLRACE-BENCH-";

export interface WriterJob {
  readonly path: string;
  /** Commits are numbered from the one after this. */
  readonly firstSequence: number;
  /** People changed by a transaction: each costs a few pages. */
  readonly people: number;
  /** Mean pause between commits; 0: none. */
  readonly gapMs: number;
  readonly maxCommits?: number | undefined;
  readonly maxWalFrames?: number | undefined;
}

export interface Commit {
  readonly sequence: number;
  readonly beganMs: number;
  readonly endedMs: number;
}

export interface WriterReport {
  readonly commits: readonly Commit[];
  /** Frames that the job's transactions added to the log; counted only with `maxWalFrames`. */
  readonly walFrames: number;
}

/** Runs a job in a process of its own, to its end. */
export async function write(job: WriterJob): Promise<WriterReport> {
  const child = forkModule(new URL("./writer-process.ts", import.meta.url), []);
  const end = ended(child);
  child.send(job);
  const [report] = (await Promise.race([
    once(child, "message"),
    end.then(() => Promise.reject(new Error("the writer ended without a report"))),
  ])) as [WriterReport];
  await end;
  return report;
}
