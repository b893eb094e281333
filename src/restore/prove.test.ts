import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import fc from "fast-check";
import { formatTxid, toChecksum, toTxid, type Txid } from "../base/ids.ts";
import { isMillraceError, MillraceError } from "../errors.ts";
import { systemClock } from "../platform/clock.ts";
import { BackgroundFlush } from "../platform/background-flush.ts";
import { nodeFiles } from "../platform/files.ts";
import { INDEX_TAIL_SIZE, locatePageIndex } from "../ltx/page-index.ts";
import { openFileStore } from "../storage/backends/file/file.ts";
import { openMemoryStore } from "../storage/backends/memory/memory.ts";
import type { ObjectStore } from "../storage/contract.ts";
import { LtxStore, type LtxFileInfo } from "../storage/ltx-store.ts";
import { ReplicaLine, samplePage, type ReplicaLineOptions } from "../testing/replica-line.ts";
import { assemble } from "./assemble.ts";
import { DecodePool } from "./decode-pool.ts";
import type { PatchLimits } from "./patches.ts";
import { planRestore } from "./listing.ts";
import { WHOLE_FILE_BYTES } from "./plan-file.ts";
import { assembleProven, type Proven } from "./prove.ts";
import { readBack } from "./read-back.ts";

let dir = "";
let pool = new DecodePool(1);
before(async () => {
  await pool[Symbol.asyncDispose]();
  pool = new DecodePool(2);
  dir = mkdtempSync(join(tmpdir(), "millrace-prove-"));
});
after(async () => {
  await pool[Symbol.asyncDispose]();
  rmSync(dir, { recursive: true });
});

const random = (): number => 0;

/** A file store, whose files threads read by themselves. */
function newFileStore(): LtxStore {
  const rootDirectory = mkdtempSync(join(dir, "replica-"));
  return new LtxStore(openFileStore({ rootDirectory }));
}

function newLine(options: Omit<ReplicaLineOptions, "store"> = {}): ReplicaLine {
  const store = new LtxStore(openMemoryStore({ clock: systemClock }));
  return new ReplicaLine({ ...options, store });
}

function pages(line: ReplicaLine, pgnos: readonly number[], seed: number): Map<number, Uint8Array> {
  return new Map(pgnos.map((pgno) => [pgno, samplePage(line.pageSize, seed * 1000 + pgno)]));
}

interface Restored {
  readonly assembled: Proven;
  readonly bytes: Uint8Array;
}

/** Plans and assembles into an empty file; the file gets its length as a restore gives it. */
async function prove(
  store: LtxStore,
  options: {
    readonly txid?: Txid;
    readonly spanPages?: number;
    readonly patchLimits?: PatchLimits;
  } = {},
): Promise<Restored> {
  const path = join(dir, "out.db");
  writeFileSync(path, "");
  const { files } = await planRestore(
    store,
    options.txid === undefined ? "latest" : { txid: options.txid },
  );
  const { spanPages, patchLimits } = options;
  await using flush = new BackgroundFlush("flush", path, 4096);
  const assembled = await assembleProven({
    store,
    files,
    pool,
    output: { path, files: nodeFiles },
    readBack: (whole) =>
      readBack(whole, { pool, files: nodeFiles, path, flush, signal: undefined }),
    clock: systemClock,
    random,
    spanPages,
    patchLimits,
    onPages: (_pages, bytes) => flush.wrote(bytes),
  });
  truncateSync(path, assembled.pages * assembled.pageSize);
  return { assembled, bytes: new Uint8Array(readFileSync(path)) };
}

async function failure(promise: Promise<unknown>): Promise<MillraceError> {
  try {
    await promise;
  } catch (error) {
    if (error instanceof MillraceError) return error;
    throw error;
  }
  throw new Error("it succeeded");
}

/** A line of a snapshot, a compacted file and two transactions. */
async function sampleLine(options: Omit<ReplicaLineOptions, "store"> = {}): Promise<ReplicaLine> {
  const line = newLine(options);
  await line.commit(6, pages(line, [1, 2, 3, 4, 5, 6], 1));
  await line.snapshot();
  await line.commit(8, pages(line, [2, 7, 8], 2));
  await line.commit(8, pages(line, [3], 3));
  if (options.checksums !== "tracked") await line.compact(1, 2, 3);
  await line.commit(7, pages(line, [1, 4], 4));
  return line;
}

/** The files that a plan to the newest TXID uses. */
async function planned(line: ReplicaLine): Promise<{ info: LtxFileInfo; bytes: Uint8Array }[]> {
  const { files } = await planRestore(line.store);
  return files.map((info) => ({
    info,
    bytes: line.bytesOf(info.level, info.minTxid, info.maxTxid),
  }));
}

for (const checksums of ["tag", "none", "tracked"] as const) {
  test(`assembleProven() never passes a flipped bit off as the database (checksums: ${checksums})`, async () => {
    const line = await sampleLine({ checksums });
    const intact = await prove(line.store);
    assert.deepEqual(intact.bytes, line.image());
    const stride = checksums === "tag" ? 1 : 3;
    let refused = 0;
    let flips = 0;
    for (const { info, bytes } of await planned(line)) {
      const { framesEnd } = locatePageIndex(bytes.slice(-INDEX_TAIL_SIZE), bytes.length);
      // Header, index and trailer thoroughly, compressed pages here and there.
      for (let i = 0; i < bytes.length; i += i >= 100 && i < framesEnd ? 29 : stride) {
        const damaged = bytes.slice();
        damaged[i] = (bytes[i] ?? 0) ^ (1 << ((i * 5 + 3) % 8));
        await line.put(info, damaged);
        flips += 1;
        try {
          const { bytes: restored } = await prove(line.store);
          assert.deepEqual(restored, line.image(), `flip in byte ${i} of level ${info.level}`);
        } catch (error) {
          assert.ok(isMillraceError(error), String(error));
          assert.match(error.code, /^(ltx|restore)\//);
          const name = `level ${info.level} file ${formatTxid(info.minTxid)}-${formatTxid(info.maxTxid)}.ltx`;
          assert.ok(error.message.includes(name), `byte ${i} of ${name}: ${error.message}`);
          refused += 1;
        }
      }
      await line.put(info, bytes);
    }
    // Frames that newer files override, times and other spellings of the same page may differ without harm.
    assert.ok(refused > flips * (checksums === "none" ? 0.9 : 0.5), `${refused} of ${flips}`);
  });
}

test("assembleProven() refuses every truncation of every file that it needs", async () => {
  for (const checksums of ["tag", "none"] as const) {
    const line = await sampleLine({ checksums });
    for (const { info, bytes } of await planned(line)) {
      for (let size = 100; size < bytes.length; size += 19) {
        await line.put(info, bytes.slice(0, size));
        const error = await failure(prove(line.store));
        assert.match(error.code, /^ltx\/(truncated|invalid)$/, `${size} bytes`);
        assert.match(error.message, new RegExp(`level ${info.level} file`));
      }
      await line.put(info, bytes);
    }
  }
});

test("assembleProven() names level, file, page, offset and reason of a corrupt frame", async () => {
  const line = await sampleLine();
  const bytes = line.bytesOf(1, toTxid(2), toTxid(3)).slice();
  // The payload size of the first frame, page 2, which newer files do not override.
  bytes[109] = (bytes[109] ?? 0) ^ 0x10;
  await line.put({ level: 1, minTxid: toTxid(2), maxTxid: toTxid(3) }, bytes);
  const error = await failure(prove(line.store));
  assert.equal(error.code, "ltx/invalid");
  assert.match(error.message, /level 1 file 0{15}2-0{15}3\.ltx.*page 2 at offset 100/);
  assert.equal(error.details["level"], 1);
  assert.equal(error.details["pgno"], 2);
  assert.equal(error.details["offset"], 100);
  assert.ok(error.hint !== undefined && error.details["foundBy"] !== undefined);
});

test("assembleProven() reports every damaged file of the plan, the newest first", async () => {
  const line = await sampleLine();
  for (const { info, bytes } of await planned(line)) {
    const damaged = bytes.slice();
    damaged[damaged.length - 1] = (bytes.at(-1) ?? 0) ^ 1;
    damaged[104] = (bytes[104] ?? 0) ^ 0x80;
    await line.put(info, damaged);
  }
  const error = await failure(prove(line.store));
  assert.match(error.message, /level 0 file .*; 2 more files are damaged/);
  assert.equal((error.details["damaged"] as string[]).length, 3);
});

test("assembleProven() refuses sound files of different lineages", async () => {
  const one = await sampleLine();
  const other = newLine();
  await other.commit(3, pages(other, [1, 2, 3], 77));
  const snapshot = await other.snapshot();
  await one.put(snapshot, other.bytesOf(9, toTxid(1), toTxid(1)));
  const error = await failure(prove(one.store));
  assert.equal(error.code, "restore/unproven");
  assert.match(error.message, /recorded at capture was [89a-f][0-9a-f]{15}/);
});

test("assembleProven() gives zeros, not stale pages, where the database shrank and grew [hazard 85]", async () => {
  for (const checksums of ["tag", "tracked"] as const) {
    const line = newLine({ checksums });
    await line.commit(9, pages(line, [1, 2, 3, 4, 5, 6, 7, 8, 9], 1));
    await line.snapshot();
    await line.commit(3, pages(line, [1], 2));
    await line.commit(9, pages(line, [1, 9], 3));
    const { assembled, bytes } = await prove(line.store);
    assert.deepEqual(bytes, line.image());
    assert.deepEqual(bytes.slice(3 * 512, 8 * 512), new Uint8Array(5 * 512));
    assert.equal(assembled.zeroPages, 5);
    assert.equal(assembled.proof, "database-checksum");
  }
});

test("assembleProven() does not invent pages that nothing proves to be zeros", async () => {
  const line = newLine({ checksums: "none" });
  await line.commit(9, pages(line, [1, 2, 3, 4, 5, 6, 7, 8, 9], 1));
  await line.commit(3, pages(line, [1], 2));
  await line.commit(9, pages(line, [1, 9], 3));
  const error = await failure(prove(line.store));
  assert.equal(error.code, "restore/unproven");
  assert.deepEqual(error.details, { zeroPages: 5, firstZeroPgno: 4 });
});

test("assembleProven() starts at a complete file when the page size changed, and refuses a mix otherwise", async () => {
  const old = newLine({ pageSize: 1024 });
  await old.commit(3, pages(old, [1, 2, 3], 1));
  await old.snapshot();
  const grown = new ReplicaLine({ store: old.store, pageSize: 512 });
  await grown.commit(6, pages(grown, [1, 2, 3, 4, 5, 6], 2));
  await grown.commit(6, pages(grown, [1, 2, 3, 4, 5, 6], 2));
  const { assembled, bytes } = await prove(old.store, { txid: toTxid(2) });
  assert.deepEqual(bytes, grown.image());
  assert.equal(assembled.filesUsed, 1);
  assert.equal(assembled.pageSize, 512);
  await grown.commit(7, pages(grown, [7], 3));
  assert.deepEqual((await prove(old.store)).bytes, grown.image());
  assert.deepEqual((await prove(old.store, { txid: toTxid(1) })).assembled.pageSize, 1024);
  const foreign = newLine({ pageSize: 2048 });
  for (let i = 1; i <= 4; i += 1)
    await foreign.commit(3, pages(foreign, i < 4 ? [1, 2, 3] : [2], i));
  const last = { level: 0, minTxid: toTxid(4), maxTxid: toTxid(4) };
  await old.store.write(last, foreign.bytesOf(0, toTxid(4), toTxid(4)), { createdAtMs: 1 });
  const error = await failure(prove(old.store));
  assert.equal(error.code, "restore/gap");
  assert.match(error.message, /pages of 512 bytes, .* of 2048/);
});

test("assembleProven() restores an empty database", async () => {
  const line = newLine({ checksums: "tracked" });
  await line.commit(2, pages(line, [1, 2], 1));
  await line.commit(0, new Map());
  const { assembled, bytes } = await prove(line.store);
  assert.equal(bytes.length, 0);
  assert.equal(assembled.databaseChecksum, toChecksum(1n << 63n));
  assert.equal(assembled.proof, "database-checksum");
});

test("assemble() gives the same database in one span and in many", async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.integer({ min: 1, max: 40 }),
      fc.constantFrom("tag", "none" as const),
      async (spanPages, checksums) => {
        const line = newLine({ checksums: checksums === "none" ? "none" : "tag" });
        await line.commit(
          30,
          pages(
            line,
            Array.from({ length: 30 }, (_, i) => i + 1),
            1,
          ),
        );
        await line.commit(33, pages(line, [2, 9, 17, 31, 32, 33], 2));
        await line.commit(21, pages(line, [1, 20], 3));
        await line.commit(25, pages(line, [22, 23, 24, 25], 4));
        if (checksums === "tag") {
          const { assembled, bytes } = await prove(line.store, { spanPages });
          assert.deepEqual(bytes, line.image());
          assert.equal(assembled.zeroPages, 0);
        } else {
          await line.commit(25, pages(line, [22], 5));
          assert.deepEqual((await prove(line.store, { spanPages })).bytes, line.image());
        }
      },
    ),
    { numRuns: 20 },
  );
});

test("assemble() opens no file that newer ones make superfluous", async () => {
  const line = newLine();
  for (let i = 1; i <= 6; i += 1) await line.commit(2, pages(line, [1, 2], i));
  const { assembled } = await prove(line.store);
  assert.equal(assembled.filesUsed, 1);
});

test("assemble() without a path proves the same", async () => {
  const line = await sampleLine();
  const { files } = await planRestore(line.store);
  const seen: number[] = [];
  const assembled = await assemble({
    store: line.store,
    files,
    pool,
    output: undefined,
    clock: systemClock,
    random,
    onBegin: (total, pageSize) => seen.push(total, pageSize),
    onPages: (count) => seen.push(count),
  });
  assert.equal(assembled.decodedChecksum, assembled.recordedChecksum);
  assert.deepEqual(seen.slice(0, 2), [7, 512]);
  assert.equal(
    seen.slice(2).reduce((a, b) => a + b, 0),
    7,
  );
});

/** Transactions as SQLite makes them: every page by which the database grows is written. */
const anyLine = fc.record({
  steps: fc.array(
    fc.record({
      commit: fc.integer({ min: 1, max: 60 }),
      changes: fc.uniqueArray(fc.integer({ min: 1, max: 60 }), { maxLength: 25 }),
      isZero: fc.integer({ min: 0, max: 3 }).map((n) => n === 0),
      snapshot: fc.integer({ min: 0, max: 4 }).map((n) => n === 0),
    }),
    { minLength: 1, maxLength: 9 },
  ),
  checksums: fc.constantFrom("tag" as const, "tracked" as const, "none" as const),
  pageFormat: fc.constantFrom("block" as const, "frame" as const),
  compacts: fc.array(fc.tuple(fc.integer({ min: 1, max: 9 }), fc.integer({ min: 1, max: 9 })), {
    maxLength: 2,
  }),
  target: fc.integer({ min: 1, max: 9 }),
  spanPages: fc.constantFrom(2 ** 28, 2 ** 28, 7, 32),
  patchLimits: fc.record({
    scratchBytes: fc.constantFrom(0, 2000, 2 ** 25),
    pages: fc.constantFrom(0, 1, 5, 2 ** 21),
  }),
});

test("assembleProven() gives the database of any TXID of any line, compacted anyhow, within any limits", async () => {
  await fc.assert(
    fc.asyncProperty(
      anyLine,
      async ({ steps, checksums, pageFormat, compacts, target, spanPages, patchLimits }) => {
        const line = newLine({ checksums, pageFormat });
        let size = 0;
        for (const [i, { commit, changes, isZero, snapshot }] of steps.entries()) {
          const changed = new Set(changes.filter((pgno) => pgno <= commit));
          for (let pgno = size + 1; pgno <= commit; pgno += 1) changed.add(pgno);
          const images = pages(line, [...changed], i + 1);
          if (isZero)
            for (const pgno of changed) if (pgno % 2 === 0) images.set(pgno, new Uint8Array(512));
          await line.commit(commit, images);
          size = commit;
          if (snapshot) await line.snapshot();
        }
        if (checksums !== "tracked") {
          for (const [from, to] of compacts)
            if (from < to && to <= steps.length) await line.compact(1, from, to);
        }
        const txid = toTxid(Math.min(target, steps.length));
        const { assembled, bytes } = await prove(line.store, { txid, spanPages, patchLimits });
        assert.deepEqual(bytes, line.image(txid));
        assert.equal(
          assembled.proof,
          checksums === "none" ? "file-checksums" : "database-checksum",
        );
      },
    ),
    { numRuns: 300 },
  );
});

test("assembleProven() reads local files by itself, and through the store when it cannot", async () => {
  const large = 3000;
  for (const isBroken of [false, true]) {
    const files = newFileStore();
    // A store that is mistaken about where its files are.
    const mistaken = { ...wrap(files.store), localPath: () => join(dir, "not-there.ltx") };
    const store = isBroken ? new LtxStore(mistaken) : files;
    const line = new ReplicaLine({ store, pageSize: 1024 });
    // Large enough that the snapshot is not read whole.
    const first = Array.from({ length: large }, (_, i) => i + 1);
    await line.commit(large, pages(line, first, 1));
    await line.snapshot();
    assert.ok(line.bytesOf(9, toTxid(1), toTxid(1)).length > WHOLE_FILE_BYTES);
    await line.commit(large + 2, pages(line, [5, 900, large + 1, large + 2], 2));
    await line.commit(large + 2, pages(line, [6, 900, 2999], 3));
    const { assembled, bytes } = await prove(store);
    assert.deepEqual(Buffer.compare(bytes, line.image()), 0);
    assert.equal(assembled.filesUsed, 3);
    const damaged = line.bytesOf(9, toTxid(1), toTxid(1)).slice();
    damaged[700_000] = (damaged[700_000] ?? 0) ^ 0x55;
    await line.put({ level: 9, minTxid: toTxid(1), maxTxid: toTxid(1) }, damaged);
    assert.match((await failure(prove(store))).message, /level 9 file 0{15}1-0{15}1\.ltx/);
  }
});

function wrap(store: ObjectStore): ObjectStore {
  return {
    type: store.type,
    capabilities: store.capabilities,
    get: (key, options) => store.get(key, options),
    head: (key, options) => store.head(key, options),
    put: (key, body, options) => store.put(key, body, options),
    list: (prefix, options) => store.list(prefix, options),
    delete: (keys, options) => store.delete(keys, options),
    [Symbol.asyncDispose]: () => store[Symbol.asyncDispose](),
  };
}
