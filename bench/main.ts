/**
 * Benchmarks: `npm run bench -- codec | capture | restore | idle | steady [--peer PATH] [--quick] [--json]`.
 *
 * Every figure comes with its spread and, where there is one, with the ratio to a peer measured in turns with it. See
 * docs/benchmarks.md.
 */
import { describeMachine, Noise } from "./lib/machine.ts";
import { readOptions, type BenchOptions } from "./lib/options.ts";
import { Report } from "./lib/report.ts";

type Bench = (options: BenchOptions, report: Report) => Promise<void> | void;

/** Loaded when asked for, so that one that cannot run does not keep the others from it. */
const BENCHES: Readonly<Record<string, () => Promise<Bench>>> = {
  codec: async () => (await import("./codec/codec.ts")).benchCodec,
  capture: async () => (await import("./capture/capture.ts")).benchCapture,
  restore: async () => (await import("./restore/restore.ts")).benchRestore,
  idle: async () => (await import("./idle/idle.ts")).benchIdle,
  steady: async () => (await import("./steady/steady.ts")).benchSteady,
};

async function main(): Promise<void> {
  const options = readOptions(process.argv.slice(2));
  const names = options.benches.length === 0 ? Object.keys(BENCHES) : options.benches;
  const report = new Report((line) => {
    if (!options.json) console.log(line);
  });
  report.section(describeMachine());
  for (const name of names) {
    const load = BENCHES[name];
    if (load === undefined) {
      throw new Error(`no benchmark "${name}": there are ${Object.keys(BENCHES).join(", ")}`);
    }
    const bench = await load();
    const noise = new Noise();
    await bench(options, report);
    report.note(noise.describe());
  }
  if (options.json) {
    const { records, notes } = report;
    console.log(JSON.stringify({ machine: describeMachine(), records, notes }, undefined, 2));
  }
}

await main();
