/**
 * `codec`: the hot loops in WebAssembly against their twin in TypeScript and against liblz4 in C, in turns on the
 * same pages. Figures are MB (10^6 bytes of uncompressed pages) a second of CPU time of one thread.
 */
import { readFileSync } from "node:fs";
import { parseWalHeader } from "../../src/wal/header.ts";
import { threadSeconds } from "../lib/cpu.ts";
import { sampleDatabase } from "../lib/data.ts";
import type { BenchOptions } from "../lib/options.ts";
import type { Report } from "../lib/report.ts";
import { sampleWal } from "../lib/wal-sample.ts";
import { fileLoops } from "./files.ts";
import { KernelLoops, type EncodedBatch } from "./kernels.ts";
import { LibLz4, type LibLz4Figures } from "./liblz4.ts";

const PAGE_SIZE = 4096;
const ENCODE_TARGET = 600;

export function benchCodec(options: BenchOptions, report: Report): void {
  const megabytes = options.quick ? 16 : 100;
  const path = sampleDatabase(megabytes);
  const pages = readFileSync(path);
  const mb = pages.length / 1e6;
  report.section(
    `codec: ${mb.toFixed(0)} MB of ${PAGE_SIZE} byte pages, one thread, ${options.runs} runs`,
  );
  kernels(options, report, { path, pages });
  wal(options, report, path);
  for (const { name, run } of fileLoops(path)) {
    run();
    const samples = Array.from({ length: options.runs }, () => mb / threadSeconds(run));
    report.measure(name, { unit: "MB/s", samples });
  }
}

function kernels(
  options: BenchOptions,
  report: Report,
  { path, pages }: { readonly path: string; readonly pages: Uint8Array },
): void {
  const mb = pages.length / 1e6;
  const wasm = new KernelLoops(PAGE_SIZE, "wasm");
  const twin = new KernelLoops(PAGE_SIZE, "twin");
  const batches: EncodedBatch[] = [];
  const encodedBytes = wasm.encode(pages, batches);
  using liblz4 = LibLz4.build();
  const c: LibLz4Figures[] = [];
  const rates = new Map<string, number[]>();
  const add = (name: string, run: () => void): void => {
    const samples = rates.get(name) ?? [];
    samples.push(mb / threadSeconds(run));
    rates.set(name, samples);
  };
  for (let round = -1; round < options.runs; round += 1) {
    // The first round only warms up.
    if (round === 0) rates.clear();
    for (const [engine, loops] of Object.entries({ wasm, twin })) {
      add(`encode ${engine}`, () => loops.encode(pages));
      add(`decode ${engine}`, () => loops.decode(batches));
      add(`checksum ${engine}`, () => loops.checksums(pages));
    }
    if (liblz4 !== undefined) c.push(liblz4.measure(path, PAGE_SIZE));
  }
  const compare = (what: string, name: string, target?: number): void => {
    const samples = rates.get(`${what} wasm`) ?? [];
    const peer = {
      name: "the twin",
      samples: rates.get(`${what} twin`) ?? [],
      better: "higher",
    } as const;
    const wanted =
      target === undefined ? undefined : ({ better: "higher", limit: target } as const);
    report.measure(name, { unit: "MB/s", samples, against: peer, target: wanted });
  };
  compare("encode", "encode: LZ4, file and page checksums", ENCODE_TARGET);
  compare("decode", "decode: the same back", undefined);
  compare("checksum", "page checksums alone", undefined);
  if (liblz4 === undefined) report.note("liblz4 in C: not present");
  const against = (what: string): { name: string; samples: number[]; better: "higher" } => ({
    name: "our kernel with checksums",
    samples: rates.get(`${what} wasm`) ?? [],
    better: "higher",
  });
  const version = c[0]?.version ?? "";
  if (liblz4 !== undefined) {
    const compress = c.slice(1).map((run) => run.compress);
    const decompress = c.slice(1).map((run) => run.decompress);
    report.measure(`liblz4 ${version} in C, compress only`, {
      unit: "MB/s",
      samples: compress,
      against: against("encode"),
    });
    report.measure(`liblz4 ${version} in C, decompress only`, {
      unit: "MB/s",
      samples: decompress,
      against: against("decode"),
    });
  }
  const ratio = (encodedBytes / pages.length).toFixed(4);
  const cRatio = c[0] === undefined ? "" : `, liblz4 without headers ${c[0].ratio}`;
  report.note(`encoded size by plain size: ${ratio}${cRatio}`);
}

function wal(options: BenchOptions, report: Report, path: string): void {
  const bytes = sampleWal(path, options.quick ? 16 : 100);
  const header = parseWalHeader(bytes);
  if (header === undefined) throw new Error("SQLite wrote no WAL header");
  const wasm = new KernelLoops(PAGE_SIZE, "wasm");
  const twin = new KernelLoops(PAGE_SIZE, "twin");
  const samples: { wasm: number[]; twin: number[] } = { wasm: [], twin: [] };
  for (let round = -1; round < options.runs; round += 1) {
    const rate = (loops: KernelLoops): number =>
      bytes.length / 1e6 / threadSeconds(() => loops.verifyWal(bytes, header));
    const rates = { wasm: rate(wasm), twin: rate(twin) };
    if (round < 0) continue;
    samples.wasm.push(rates.wasm);
    samples.twin.push(rates.twin);
  }
  report.measure("WAL: verify every frame", {
    unit: "MB/s",
    samples: samples.wasm,
    against: { name: "the twin", samples: samples.twin, better: "higher" },
  });
}
