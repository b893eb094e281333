/** The replicators that are measured: Millrace, and Litestream where its binary was given. */
import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { writeFileSync } from "node:fs";
import type { ReplicationEvent } from "../../src/daemon/contract.ts";
import { ended, forkModule } from "../lib/child.ts";
import { processFigures, type ProcessFigures } from "../lib/process-figures.ts";

export interface ReplicatorJob {
  readonly databases: readonly { readonly path: string; readonly replica: string }[];
  /** The replicator's own default when absent. */
  readonly syncIntervalMs?: number | undefined;
}

export interface TimedEvent {
  readonly atMs: number;
  readonly event: ReplicationEvent;
}

/** What Millrace's process tells when it stops. */
export interface MillraceReport {
  readonly durable: boolean;
  readonly events: readonly TimedEvent[];
}

/** A running replicator. */
export interface RunningReplicator {
  readonly pid: number;
  figures(): ProcessFigures;
  /** Ends it in order; Millrace's events, none from a peer. */
  stop(): Promise<readonly TimedEvent[]>;
}

export type StartReplicator = (job: ReplicatorJob, directory: string) => RunningReplicator;

export const startMillrace: StartReplicator = (job) => {
  const url = new URL("./millrace-process.ts", import.meta.url);
  const child = forkModule(url, [JSON.stringify(job)]);
  const end = ended(child);
  // Looked at when it is stopped.
  end.catch(() => {});
  return {
    ...common(child),
    stop: async () => {
      child.send("stop");
      const reply = once(child, "message") as Promise<[MillraceReport]>;
      const [report] = await Promise.race([
        reply,
        end.then(() => Promise.reject(new Error("Millrace ended without a report"))),
      ]);
      await end;
      if (!report.durable) throw new Error("Millrace could not make everything durable");
      return report.events;
    },
  };
};

/** Starts the Litestream binary at `path`. Its monitor looks as often as it syncs, else the interval would not hold. */
export function startLitestream(path: string): StartReplicator {
  return (job, directory) => {
    const interval = job.syncIntervalMs;
    const dbs = job.databases.map((database) => ({
      path: database.path,
      ...(interval === undefined ? {} : { "monitor-interval": `${interval}ms` }),
      replica: {
        url: `file://${database.replica}`,
        ...(interval === undefined ? {} : { "sync-interval": `${interval}ms` }),
      },
    }));
    const config = `${directory}/litestream.yml`;
    // JSON is YAML.
    writeFileSync(config, JSON.stringify({ dbs }));
    const child = spawn(path, ["replicate", "-config", config], { stdio: "ignore" });
    const end = once(child, "exit");
    return {
      ...common(child),
      stop: async () => {
        child.kill("SIGTERM");
        await end;
        return [];
      },
    };
  };
}

function common(child: ChildProcess): Pick<RunningReplicator, "pid" | "figures"> {
  const { pid } = child;
  if (pid === undefined) throw new Error("the replicator did not start");
  return { pid, figures: () => processFigures(pid) };
}
