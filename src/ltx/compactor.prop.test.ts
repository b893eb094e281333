/**
 * Merging against a plain model: a database as a map of pages, changed file by file.
 *
 * In the model a file first cuts the database at its commit, then writes its pages. Growing over
 * pages without writing them leaves holes, which is the one case in which merging has to fail.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import * as fc from "fast-check";
import { toChecksum, toTxid } from "../base/ids.ts";
import type { Pgno } from "../base/ids.ts";
import { isMillraceError } from "../errors.ts";
import { openKernel } from "../kernel/kernel.ts";
import type { Kernel } from "../kernel/kernel.ts";
import { decodeSample, encodeSample, sampleHeader } from "../testing/ltx-samples.ts";
import { propertyOptions } from "../testing/property.ts";
import { SAMPLE_KINDS, sampleBytes, seeded } from "../testing/sample-pages.ts";
import { compactLtx } from "./compactor.ts";
import type { CompactOptions } from "./compactor.ts";
import { CHECKSUM_FLAG } from "./constants.ts";
import { MemorySink, memorySource } from "./memory.ts";
import { RollingChecksum } from "./rolling-checksum.ts";

const PAGE_SIZE = 512;
const MAX_COMMIT = 40;
const KERNEL = openKernel({ pageSize: PAGE_SIZE });

interface Change {
  readonly commit: number;
  readonly seed: number;
  /** Which of the existing pages are written, in percent. */
  readonly density: number;
  /** Leave out one of the pages that the database grows by. */
  readonly hole: boolean;
}

const anyChange = fc.record({
  commit: fc.nat(MAX_COMMIT),
  seed: fc.nat(),
  density: fc.constantFrom(0, 5, 50, 100),
  hole: fc.oneof({ weight: 9, arbitrary: fc.constant(false) }, fc.constant(true)),
});

type Database = Map<Pgno, Uint8Array>;

interface Written {
  readonly bytes: Uint8Array;
  readonly after: Database;
  readonly commit: number;
}

/** Writes a file for each change, starting from an empty database at TXID 1. */
function writeFiles(changes: readonly Change[], format: { readonly mixed: boolean }): Written[] {
  const database: Database = new Map();
  let before = 0;
  return changes.map(({ commit, seed, density, hole }, i) => {
    const next = seeded(seed);
    const grown = Math.max(0, commit - before);
    const left = hole && i > 0 && grown > 0 ? before + 1 + next(grown) : 0;
    const pages: Database = new Map();
    for (let pgno = 1; pgno <= commit; pgno++) {
      if (pgno === left || (pgno <= before && i > 0 && next(100) >= density)) continue;
      const kind = SAMPLE_KINDS[next(SAMPLE_KINDS.length)] ?? "text";
      pages.set(pgno, sampleBytes(PAGE_SIZE, kind, seed + pgno));
    }
    for (const pgno of database.keys()) if (pgno > commit) database.delete(pgno);
    for (const [pgno, page] of pages) database.set(pgno, page);
    before = commit;
    const txid = toTxid(i + 1);
    const header = sampleHeader({
      pageSize: PAGE_SIZE,
      commit,
      minTxid: txid,
      maxTxid: txid,
      databaseChecksum: checksumOf(database),
    });
    const pageFormat = format.mixed && i % 2 === 1 ? "frame" : "block";
    const bytes = encodeSample({ header, pages, pageFormat, kernel: KERNEL });
    return { bytes, after: new Map(database), commit };
  });
}

function checksumOf(database: Database): ReturnType<typeof toChecksum> {
  const sum = new RollingChecksum();
  for (const [pgno, page] of database) {
    KERNEL.input.set(page);
    sum.fold(KERNEL.pageChecksums(Uint32Array.of(pgno)));
  }
  return toChecksum(sum.value | CHECKSUM_FLAG);
}

function merge(
  files: readonly Uint8Array[],
  options: { kernel?: Kernel; memoryBytes?: number } = {},
): Uint8Array {
  const sink = new MemorySink();
  const inputs = files.map((bytes) => memorySource(bytes));
  const all: CompactOptions = { kernel: KERNEL, inputs, sink, ...options };
  compactLtx(all);
  return sink.toBytes();
}

/** `base` after a file was applied; unwritten growth leaves holes. */
function apply(base: Database, bytes: Uint8Array): Database {
  const { header, pages } = decodeSample(bytes, { kernel: KERNEL });
  const kept = [...base].filter(([pgno]) => pgno <= header.commit);
  return new Map([...kept, ...pages]);
}

function sorted(database: Database): [Pgno, Uint8Array][] {
  return [...database].sort(([a], [b]) => a - b);
}

/** Whether the file at `i` or a later one, up to `end`, grew over a page that none wrote since. */
function hasHole(files: readonly Written[], start: number, end: number): boolean {
  const range = files.slice(start, end);
  const last = range.at(-1);
  if (last === undefined) return false;
  const lowest = start === 0 ? 0 : Math.min(...range.map(({ commit }) => commit));
  for (let pgno = lowest + 1; pgno <= last.commit; pgno++) {
    if (!last.after.has(pgno)) return true;
  }
  return false;
}

const anyRange = fc.tuple(fc.nat(7), fc.nat(7));

test("a merged file has the effect of its inputs, or fails where a page is missing", () => {
  fc.assert(
    fc.property(
      fc.array(anyChange, { minLength: 1, maxLength: 8 }),
      anyRange,
      fc.boolean(),
      (changes, [from, length], mixed) => {
        const files = writeFiles(changes, { mixed });
        const start = Math.min(from, files.length - 1);
        const end = Math.min(files.length, start + 1 + length);
        const inputs = files.slice(start, end).map(({ bytes }) => bytes);
        const base = files[start - 1]?.after ?? new Map<Pgno, Uint8Array>();
        const wanted = files[end - 1]?.after ?? base;
        try {
          const merged = merge(inputs);
          assert.ok(!hasHole(files, start, end), "a hole is noticed");
          assert.deepEqual(sorted(apply(base, merged)), sorted(wanted));
        } catch (error) {
          assert.ok(isMillraceError(error, "ltx/missing-page"), String(error));
          assert.ok(hasHole(files, start, end), `no hole: ${error.message}`);
        }
      },
    ),
    propertyOptions(400),
  );
});

test("merging in any grouping, with any memory, makes the same bytes", () => {
  const sound = anyChange.map((change) => ({ ...change, hole: false }));
  fc.assert(
    fc.property(
      fc.array(sound, { minLength: 2, maxLength: 8 }),
      fc.nat(6),
      fc.constantFrom(0, 5_000, 1 << 20),
      (changes, split, memoryBytes) => {
        const files = writeFiles(changes, { mixed: true }).map(({ bytes }) => bytes);
        const middle = 1 + (split % (files.length - 1));
        const whole = merge(files);
        assert.deepEqual(merge(files, { memoryBytes }), whole);
        const twin = openKernel({ pageSize: PAGE_SIZE, batchPages: 3, twin: true });
        assert.deepEqual(merge(files, { kernel: twin }), whole);
        const parts = [files.slice(0, middle), files.slice(middle)].map((part) => merge(part));
        assert.deepEqual(merge(parts), whole);
      },
    ),
    propertyOptions(80),
  );
});
