/**
 * `restore`: from the file store to a new file, proven by the database checksum, in turns with `cp` of as many bytes
 * and with a real Litestream. Every run is a process of its own, measured from outside, start-up included; ours is the
 * command as it is published, compiled.
 */
import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { sampleDatabase } from "../lib/data.ts";
import type { BenchOptions } from "../lib/options.ts";
import type { Report } from "../lib/report.ts";
import { run, type RunFigures } from "../lib/run.ts";
import { databaseChecksum } from "./checksum.ts";
import { sampleReplica, type Replica, type Shape } from "./replica.ts";

const PAGE_SIZE = 4096;
const SETTLE_MS = 1500;
const BUILD = fileURLToPath(new URL("../../tools/build.ts", import.meta.url));
const COMMAND = fileURLToPath(new URL("../../dist/cli/main.js", import.meta.url));
const FULL_SHAPES: readonly Shape[] = [
  { files: 0, pages: 0 },
  { files: 30, pages: 2000 },
  { files: 2000, pages: 20 },
];
const QUICK_SHAPES: readonly Shape[] = [
  { files: 0, pages: 0 },
  { files: 10, pages: 200 },
  { files: 200, pages: 20 },
];

/** What of the command's JSON is used. */
interface RestoreReport {
  readonly proof: string;
  readonly database_checksum: string;
  readonly duration_ms: number;
}

/** One way to get the database's bytes into a new file. */
interface Contender {
  readonly name: string;
  readonly line: (output: string) => readonly [string, ...string[]];
  /** Throws unless the output is right. */
  readonly check: (output: string, figures: RunFigures) => void;
}

export async function benchRestore(options: BenchOptions, report: Report): Promise<void> {
  execFileSync(process.execPath, [BUILD], { stdio: ["ignore", "ignore", "inherit"] });
  const megabytes = options.quick ? 100 : 1080;
  const sample = sampleDatabase(megabytes);
  for (const shape of options.quick ? QUICK_SHAPES : FULL_SHAPES) {
    await restoreShape(options, report, sample, sampleReplica(sample, megabytes, shape));
  }
}

async function restoreShape(
  options: BenchOptions,
  report: Report,
  sample: string,
  replica: Replica,
): Promise<void> {
  const mb = replica.databaseBytes / 1e6;
  const runs = Math.min(options.runs, options.peer === undefined ? 5 : 3);
  report.section(
    `restore: ${mb.toFixed(0)} MB from 1 snapshot and ${replica.countFiles - 1} level 0 files ` +
      `(${(replica.ltxBytes / 1e6).toFixed(0)} MB), ${runs} runs`,
  );
  const contenders = contendersOf(options, sample, replica);
  const results = new Map<string, RunFigures[]>(contenders.map(({ name }) => [name, []]));
  // The first round fills the page cache and is not counted.
  for (let round = options.quick ? 0 : -1; round < runs; round += 1) {
    for (const contender of contenders) {
      if (round < 0 && contender.name === "Litestream") continue;
      const figures = await once(contender);
      if (round >= 0) results.get(contender.name)?.push(figures);
    }
  }
  rows(report, mb, results);
}

function contendersOf(options: BenchOptions, sample: string, replica: Replica): Contender[] {
  const proven = (_output: string, figures: RunFigures): void => {
    const found = JSON.parse(figures.stdout) as RestoreReport;
    const isRight = BigInt(`0x${found.database_checksum}`) === replica.databaseChecksum;
    if (found.proof !== "database-checksum" || !isRight)
      throw new Error(`restored another database: ${figures.stdout}`);
  };
  const same = (output: string): void => {
    if (databaseChecksum(output, PAGE_SIZE) !== replica.databaseChecksum)
      throw new Error("the peer restored another database");
  };
  const { peer } = options;
  return [
    { name: "cp", line: (output) => ["cp", sample, output], check: () => {} },
    {
      name: "Millrace",
      line: (output) => [
        process.execPath,
        COMMAND,
        "restore",
        "-json",
        "-o",
        output,
        `file://${replica.root}`,
      ],
      check: proven,
    },
    {
      name: "cp and flush",
      line: (output) => ["sh", "-c", 'cp "$0" "$1" && sync "$1"', sample, output],
      check: () => {},
    },
    ...(peer === undefined
      ? []
      : [
          {
            name: "Litestream",
            line: (output: string): [string, ...string[]] => [
              ...([peer, "restore", "-o", output] as const),
              `file://${replica.root}`,
            ],
            check: same,
          },
        ]),
  ];
}

async function once({ line, check }: Contender): Promise<RunFigures> {
  const directory = mkdtempSync(join(tmpdir(), "millrace-bench-restore-"));
  try {
    const output = join(directory, "restored.db");
    const [command, ...args] = line(output);
    const figures = await run(command, args);
    check(output, figures);
    return figures;
  } finally {
    rmSync(directory, { recursive: true });
    await settle();
  }
}

/** Lets the file system finish with what was removed: its blocks are discarded while the next run would write. */
async function settle(): Promise<void> {
  execFileSync("sync");
  await sleep(SETTLE_MS);
}

function rows(report: Report, mb: number, results: ReadonlyMap<string, RunFigures[]>): void {
  const rates = (name: string): number[] =>
    (results.get(name) ?? []).map(({ wallMs }) => mb / (wallMs / 1000));
  const ours = rates("Millrace");
  const inside = (results.get("Millrace") ?? []).map(
    ({ stdout }) => mb / ((JSON.parse(stdout) as RestoreReport).duration_ms / 1000),
  );
  report.measure("Millrace, whole process", {
    unit: "MB/s",
    samples: ours,
    against: { name: "cp and flush", samples: rates("cp and flush"), better: "higher" },
    target: { better: "higher", limit: 1000 },
  });
  report.measure("Millrace, the restore alone", { unit: "MB/s", samples: inside });
  for (const name of ["cp", "cp and flush", "Litestream"]) {
    if (results.has(name)) report.measure(name, { unit: "MB/s", samples: rates(name) });
  }
  const peer = rates("Litestream");
  if (peer.length > 0) {
    const ratios = ours.map((rate, round) => rate / (peer[round] ?? Number.NaN));
    const target = { better: "higher", limit: 10 } as const;
    report.measure("Millrace against Litestream, by turns", { unit: "x", samples: ratios, target });
  }
  for (const name of ["Millrace", "Litestream", "cp"]) {
    const figures = results.get(name);
    if (figures === undefined) continue;
    report.measure(`CPU of ${name}`, {
      unit: "s",
      samples: figures.map(({ cpuSeconds }) => cpuSeconds),
    });
  }
  for (const name of ["Millrace", "Litestream"]) {
    const figures = results.get(name);
    if (figures === undefined) continue;
    report.measure(`peak memory of ${name}`, {
      unit: "MB",
      samples: figures.map(({ peakRssBytes }) => peakRssBytes / 1e6),
      target: name === "Millrace" ? { better: "lower", limit: 300, of: "max" } : undefined,
    });
  }
}
