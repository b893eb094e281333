/** The command line of the benchmarks. */
import { resolve } from "node:path";
import { parseArgs } from "node:util";

export interface BenchOptions {
  readonly benches: readonly string[];
  /** Path of a real Litestream to compare with. */
  readonly peer: string | undefined;
  /** Smaller data and fewer runs: to see that it works, not how fast. */
  readonly quick: boolean;
  readonly json: boolean;
  /** Runs of each side. */
  readonly runs: number;
  /** Length of a measured interval; each benchmark has its own default. */
  readonly seconds: number | undefined;
  /** Databases of the idle benchmark. */
  readonly databases: number;
  /** Store of the steady benchmark. */
  readonly store: string;
}

export function readOptions(args: readonly string[]): BenchOptions {
  const { values, positionals } = parseArgs({
    args: [...args],
    allowPositionals: true,
    options: {
      peer: { type: "string" },
      quick: { type: "boolean", default: false },
      json: { type: "boolean", default: false },
      runs: { type: "string" },
      seconds: { type: "string" },
      databases: { type: "string", default: "1" },
      store: { type: "string", default: "s3" },
    },
  });
  return {
    benches: positionals,
    peer: values.peer === undefined ? undefined : resolve(values.peer),
    quick: values.quick,
    json: values.json,
    runs: toCount("runs", values.runs ?? (values.quick ? "2" : "5")),
    seconds: values.seconds === undefined ? undefined : toCount("seconds", values.seconds),
    databases: toCount("databases", values.databases),
    store: values.store,
  };
}

function toCount(name: string, text: string): number {
  const value = Number(text);
  if (Number.isInteger(value) && value > 0) return value;
  throw new Error(`--${name} ${text}: wanted a whole number above zero`);
}
