/** What the kernel knows about a running process. Linux only. */
import { readdirSync, readFileSync } from "node:fs";

const TICKS_PER_SECOND = 100;
/** Index of user ticks in /proc/PID/stat after the command's closing parenthesis. */
const USER_TICKS = 11;

export interface ProcessFigures {
  /** CPU seconds of all its threads, also ended ones; to 10 ms. */
  readonly cpuSeconds: number;
  /** CPU seconds of its living threads, exact. */
  readonly threadSeconds: number;
  /** Seconds that its living threads were ready to run but had no processor. */
  readonly waitSeconds: number;
  readonly peakRssBytes: number;
  /** Bytes given to write calls, and how many calls those were: files, pipes and wake-ups. */
  readonly writtenBytes: number;
  readonly writes: number;
  readonly reads: number;
}

/** Throws when there is no such process or no /proc. */
export function processFigures(pid: number): ProcessFigures {
  const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  const ticks = Number(fields[USER_TICKS]) + Number(fields[USER_TICKS + 1]);
  const status = readFileSync(`/proc/${pid}/status`, "utf8");
  const io = readFileSync(`/proc/${pid}/io`, "utf8");
  let threadNs = 0;
  let waitNs = 0;
  for (const task of readdirSync(`/proc/${pid}/task`)) {
    const [run, wait] = readFileSync(`/proc/${pid}/task/${task}/schedstat`, "utf8").split(" ");
    threadNs += Number(run);
    waitNs += Number(wait);
  }
  return {
    cpuSeconds: ticks / TICKS_PER_SECOND,
    threadSeconds: threadNs / 1e9,
    waitSeconds: waitNs / 1e9,
    peakRssBytes: field(status, "VmHWM") * 1024,
    writtenBytes: field(io, "wchar"),
    writes: field(io, "syscw"),
    reads: field(io, "syscr"),
  };
}

function field(text: string, name: string): number {
  return Number(new RegExp(`^${name}:\\s+(\\d+)`, "m").exec(text)?.[1] ?? Number.NaN);
}
