/**
 * The machine and what else it was doing. Results of a busy machine are worth little; these figures say how busy
 * it was. Linux only; elsewhere they are left out.
 */
import { readFileSync } from "node:fs";
import { arch, cpus, loadavg, totalmem } from "node:os";

export function describeMachine(): string {
  const processors = cpus();
  const model = processors[0]?.model ?? "unknown processor";
  const memory = `${Math.round(totalmem() / 2 ** 30)} GiB`;
  return `${processors.length} x ${model} ${arch()}, ${memory}, Node ${process.versions.node}`;
}

const TICKS_PER_SECOND = 100;

/** CPU seconds of the whole machine since it started: used by somebody, and in total. */
function machineSeconds(): { readonly busy: number; readonly total: number } | undefined {
  try {
    const line = readFileSync("/proc/stat", "utf8").split("\n", 1)[0] ?? "";
    const [user = 0, nice = 0, system = 0, idle = 0, wait = 0, irq = 0, soft = 0, steal = 0] = line
      .split(/\s+/)
      .slice(1)
      .map((field) => Number(field) / TICKS_PER_SECOND);
    const busy = user + nice + system + irq + soft + steal;
    return { busy, total: busy + idle + wait };
  } catch {
    return undefined;
  }
}

/** Watches how busy the machine is. */
export class Noise {
  readonly #start = machineSeconds();

  /** One line about the time since this watch began. */
  describe(): string {
    const end = machineSeconds();
    const load = loadavg()
      .map((value) => value.toFixed(1))
      .join(" ");
    if (end === undefined || this.#start === undefined) return `load average ${load}`;
    const total = end.total - this.#start.total;
    const busy = total === 0 ? 0 : (end.busy - this.#start.busy) / total;
    return `all processors ${Math.round(busy * 100)} % busy (with the benchmark), load average ${load}`;
  }
}
