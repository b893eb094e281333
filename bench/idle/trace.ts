/** Counts the system calls of a process that name a file, with strace where it is there. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { basename } from "node:path";

const STRACE = "/usr/bin/strace";

/** Calls in `seconds`, by the path they name, the database's own number left out; `undefined` without strace. */
export async function traceFileCalls(
  pid: number,
  seconds: number,
): Promise<ReadonlyMap<string, number> | undefined> {
  if (!existsSync(STRACE)) return undefined;
  const tracer = spawn(STRACE, ["-f", "-e", "trace=%file", "-p", String(pid)], {
    stdio: ["ignore", "ignore", "pipe"],
  });
  let text = "";
  tracer.stderr.setEncoding("utf8").on("data", (chunk: string) => (text += chunk));
  const end = once(tracer, "exit");
  await new Promise((resolve) => setTimeout(resolve, seconds * 1000));
  tracer.kill("SIGINT");
  await end;
  const counts = new Map<string, number>();
  for (const [, path = ""] of text.matchAll(/^(?:\[pid +\d+\] )?\w+\([^"\n]*"([^"\n]*)"/gm)) {
    const isReplica = path.includes("/replica");
    const name = (isReplica ? `…/replica…/${basename(path)}` : basename(path)).replace(/\d+/, "");
    counts.set(name, (counts.get(name) ?? 0) + 1);
  }
  return counts;
}
