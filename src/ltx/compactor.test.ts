import assert from "node:assert/strict";
import { test } from "node:test";
import { NO_CHECKSUM, toChecksum, toTxid } from "../base/ids.ts";
import type { Pgno } from "../base/ids.ts";
import { openKernel } from "../kernel/kernel.ts";
import { decodeSample, encodeSample, sampleHeader } from "../testing/ltx-samples.ts";
import { sampleBytes } from "../testing/sample-pages.ts";
import { LtxCompactor, compactLtx } from "./compactor.ts";
import type { CompactOptions, CompactResult } from "./compactor.ts";
import { CHECKSUM_FLAG } from "./constants.ts";
import { LtxDecoder, verifyLtx } from "./decoder.ts";
import { lockPgno } from "./header.ts";
import type { LtxHeader } from "./header.ts";
import { MemorySink, memorySource } from "./memory.ts";

const PAGE_SIZE = 512;
const KERNEL = openKernel({ pageSize: PAGE_SIZE });

/** The page `pgno` as TXID `txid` wrote it. */
function page(pgno: Pgno, txid: number, pageSize = PAGE_SIZE): Uint8Array<ArrayBuffer> {
  return sampleBytes(pageSize, txid % 2 === 0 ? "text" : "btree", txid * 100 + pgno);
}

/** A file of one TXID with the given pages. */
function file(
  txid: number,
  commit: number,
  pgnos: readonly Pgno[],
  fields: Partial<LtxHeader> = {},
): Uint8Array {
  const pageSize = fields.pageSize ?? PAGE_SIZE;
  const id = toTxid(txid);
  const header = sampleHeader({
    pageSize,
    commit,
    minTxid: id,
    maxTxid: id,
    timestampMs: txid,
    ...fields,
  });
  const pages = new Map(pgnos.map((pgno) => [pgno, page(pgno, txid, pageSize)]));
  const tracked = header.flags === 0;
  const finish = tracked ? { postApplyChecksum: toChecksum(CHECKSUM_FLAG | BigInt(txid)) } : {};
  return encodeSample({ header, pages, finish });
}

function compact(
  files: readonly Uint8Array[],
  options: Partial<CompactOptions> = {},
): { bytes: Uint8Array; result: CompactResult } {
  const sink = new MemorySink();
  const inputs = files.map((bytes, i) => memorySource(bytes, `input ${i}`));
  const result = compactLtx({ kernel: KERNEL, inputs, sink, ...options });
  return { bytes: sink.toBytes(), result };
}

/** Which TXID each page of the merged file comes from. */
function origins(bytes: Uint8Array, txids: readonly number[]): Record<Pgno, number | undefined> {
  const { pages } = decodeSample(bytes);
  return Object.fromEntries(
    [...pages].map(([pgno, found]) => [
      pgno,
      txids.find((txid) => Buffer.from(found).equals(page(pgno, txid))),
    ]),
  );
}

test("compactLtx() keeps the newest version of each page", () => {
  const { bytes } = compact([file(2, 9, [1, 3, 5]), file(3, 9, [3, 4]), file(4, 9, [5])]);
  assert.deepEqual(origins(bytes, [2, 3, 4]), { 1: 2, 3: 3, 4: 3, 5: 4 });
});

test("compactLtx() takes its header from the first and the last input", () => {
  const files = [
    file(2, 5, [1], { walOffset: 32, walSize: 536, walSalt1: 1, walSalt2: 2, nodeId: 3n }),
    file(3, 7, [6, 7], { databaseChecksum: toChecksum(CHECKSUM_FLAG | 5n) }),
    file(4, 7, [2], { maxTxid: toTxid(6), databaseChecksum: toChecksum(CHECKSUM_FLAG | 6n) }),
  ];
  const { bytes, result } = compact(files);
  assert.deepEqual(
    result.header,
    sampleHeader({
      pageSize: PAGE_SIZE,
      commit: 7,
      minTxid: toTxid(2),
      maxTxid: toTxid(6),
      timestampMs: 4,
      databaseChecksum: toChecksum(CHECKSUM_FLAG | 6n),
    }),
  );
  const proof = verifyLtx(memorySource(bytes));
  assert.deepEqual(proof.header, result.header);
  assert.equal(proof.fileChecksum, result.fileChecksum);
  assert.equal(proof.pageCount, result.pageCount);
  assert.equal(bytes.length, result.sizeBytes);
});

test("compactLtx() carries no database checksum when the last input has none", () => {
  const files = [file(2, 5, [1], { databaseChecksum: toChecksum(CHECKSUM_FLAG) }), file(3, 5, [2])];
  assert.equal(compact(files).result.header.databaseChecksum, NO_CHECKSUM);
});

test("compactLtx() turns the checksum of a tracked chain into the tag, and mixes chains", () => {
  const tracked = { flags: 0, preApplyChecksum: toChecksum(CHECKSUM_FLAG) };
  const last = compact([file(2, 5, [1]), file(3, 5, [2], tracked)]);
  assert.equal(last.result.header.databaseChecksum, toChecksum(CHECKSUM_FLAG | 3n));
  assert.equal(verifyLtx(memorySource(last.bytes)).postApplyChecksum, NO_CHECKSUM);
  const first = compact([file(2, 5, [1], tracked), file(3, 5, [2])]);
  assert.equal(first.result.header.databaseChecksum, NO_CHECKSUM);
});

/** Each page's frame as it stands in the file. */
function framesOf(bytes: Uint8Array): Map<Pgno, Uint8Array> {
  const decoder = new LtxDecoder({ kernel: KERNEL, source: memorySource(bytes) });
  const frames = new Map<Pgno, Uint8Array>();
  for (let batch = decoder.next(); batch !== undefined; batch = decoder.next()) {
    let at = 0;
    for (const [i, pgno] of batch.pgnos.entries()) {
      const size = batch.frameSizes[i] ?? 0;
      frames.set(pgno, batch.frames.slice(at, at + size));
      at += size;
    }
  }
  return frames;
}

test("compactLtx() copies frames as they are, of either kind", () => {
  const header = sampleHeader({ pageSize: PAGE_SIZE, commit: 5, minTxid: toTxid(3) });
  const pages = new Map([[2, page(2, 3)]]);
  const legacy = encodeSample({ header, pages, pageFormat: "frame" });
  const block = file(2, 5, [1, 2]);
  const wanted = new Map([...framesOf(block), ...framesOf(legacy)]);
  assert.deepEqual(framesOf(compact([block, legacy]).bytes), wanted);
});

test("compactLtx() of one input rewrites nothing but the header", () => {
  const input = file(2, 9, [1, 3, 5]);
  assert.deepEqual(compact([input]).bytes, input);
});

test("compactLtx() drops pages beyond the last commit", () => {
  const { bytes } = compact([file(2, 9, [1, 8, 9]), file(3, 8, [2])]);
  assert.deepEqual(origins(bytes, [2, 3]), { 1: 2, 2: 3, 8: 2 });
});

test("compactLtx() lets no page come back that a shrink had cut off [hazard 85]", () => {
  const files = [file(2, 9, [1, 7, 8, 9]), file(3, 6, [2]), file(4, 9, [7, 8, 9])];
  assert.deepEqual(origins(compact(files).bytes, [2, 3, 4]), { 1: 2, 2: 3, 7: 4, 8: 4, 9: 4 });
});

test("compactLtx() fails when a page that was cut off is not written again", () => {
  const files = [file(2, 9, [1, 7, 8, 9]), file(3, 6, [2]), file(4, 9, [7, 9])];
  assert.throws(() => compact(files), {
    code: "ltx/missing-page",
    message: /TXID 2 to 4: page 8 of 9 is in no input that counts/,
  });
  const atEnd = [file(2, 9, [1]), file(3, 6, [2]), file(4, 9, [7, 8])];
  assert.throws(() => compact(atEnd), { code: "ltx/missing-page", message: /page 9 of 9/ });
  const growth = [file(2, 5, [1]), file(3, 7, [6])];
  assert.throws(() => compact(growth), { code: "ltx/missing-page", message: /page 7 of 7/ });
  const first = [file(2, 5, [1]), file(3, 7, [7])];
  assert.throws(() => compact(first), { code: "ltx/missing-page", message: /page 6 of 7/ });
});

test("compactLtx() does not miss pages that were there all along", () => {
  const { bytes } = compact([file(2, 9, [1]), file(3, 9, [9]), file(4, 9, [5])]);
  assert.deepEqual(origins(bytes, [2, 3, 4]), { 1: 2, 5: 4, 9: 3 });
});

test("compactLtx() makes a snapshot of a snapshot and changes", () => {
  const files = [file(1, 3, [1, 2, 3]), file(2, 5, [2, 4, 5]), file(3, 4, [1])];
  const { bytes, result } = compact(files);
  assert.deepEqual(origins(bytes, [1, 2, 3]), { 1: 3, 2: 2, 3: 1, 4: 2 });
  assert.equal(result.header.minTxid, 1n);
});

test("compactLtx() fails for a snapshot with a hole", () => {
  const files = [file(1, 3, [1, 2, 3]), file(2, 6, [4, 6])];
  assert.throws(() => compact(files), {
    code: "ltx/missing-page",
    message: /TXID 1 to 2: page 5 of 6 is in no input that counts: a snapshot has all pages/,
  });
});

test("compactLtx() declares a complete file a snapshot when asked to", () => {
  const complete = file(7, 3, [1, 2, 3]);
  const { bytes, result } = compact([complete, file(8, 3, [2])], { minTxid: toTxid(1) });
  assert.equal(result.header.minTxid, 1n);
  assert.equal(result.header.maxTxid, 8n);
  assert.deepEqual(origins(bytes, [7, 8]), { 1: 7, 2: 8, 3: 7 });
  verifyLtx(memorySource(bytes));
  const partial = [file(7, 3, [1, 3])];
  assert.throws(() => compact(partial, { minTxid: toTxid(1) }), { code: "ltx/missing-page" });
  assert.throws(() => compact([complete], { minTxid: toTxid(5) }), { code: "ltx/misuse" });
  assert.equal(compact([complete], { minTxid: toTxid(7) }).result.header.minTxid, 7n);
});

test("compactLtx() proves a snapshot by the checksum that its last input declares", () => {
  const base = file(1, 3, [1, 2, 3]);
  const { databaseChecksum } = verifyLtx(memorySource(compact([base, file(2, 3, [2])]).bytes));
  const good = [base, file(2, 3, [2], { databaseChecksum })];
  assert.equal(compact(good).result.header.databaseChecksum, databaseChecksum);
  const wrong = toChecksum(databaseChecksum ^ 1n);
  const sink = new MemorySink();
  const inputs = [base, file(2, 3, [2], { databaseChecksum: wrong })].map((x) => memorySource(x));
  assert.throws(() => compactLtx({ kernel: KERNEL, inputs, sink }), {
    code: "ltx/checksum-mismatch",
    message: /up to TXID 2: database checksum/,
  });
  assert.throws(() => verifyLtx(memorySource(sink.toBytes())), "no valid output");
});

test("compactLtx() leaves no valid output when any input is damaged, used or not", () => {
  const files = [file(2, 9, [1, 8]), file(3, 9, [1, 8]), file(4, 7, [1])];
  for (const [i, bytes] of files.entries()) {
    for (const at of [bytes.length - 1, bytes.length - 30, 110, 105, 50]) {
      const damaged = bytes.slice();
      damaged[at] = (damaged[at] ?? 0) ^ 4;
      const sink = new MemorySink();
      const inputs = files.map((x, j) => memorySource(i === j ? damaged : x));
      assert.throws(() => compactLtx({ kernel: KERNEL, inputs, sink }), `input ${i}, byte ${at}`);
      assert.throws(() => verifyLtx(memorySource(sink.toBytes())), `input ${i}, byte ${at}`);
    }
  }
});

test("compactLtx() refuses inputs that do not belong together [hazard 89]", () => {
  const misuse = (message: RegExp): object => ({ code: "ltx/misuse", message });
  assert.throws(() => compact([]), misuse(/no inputs/));
  assert.throws(() => compact([file(2, 9, [1]), file(4, 9, [1])]), misuse(/TXID 4 to 4 after 2/));
  assert.throws(() => compact([file(3, 9, [1]), file(2, 9, [1])]), misuse(/TXID 2 to 2 after 3/));
  assert.throws(() => compact([file(2, 9, [1]), file(2, 9, [1])]), misuse(/TXID 2 to 2 after 2/));
  const other = file(3, 9, [1], { pageSize: 1024 });
  assert.throws(() => compact([file(2, 9, [1]), other]), misuse(/header says 1024/));
});

test("compactLtx() allows files that overlap", () => {
  const wide = file(2, 9, [1, 2], { maxTxid: toTxid(5) });
  const { bytes } = compact([wide, file(4, 9, [2, 3], { maxTxid: toTxid(6) })]);
  assert.deepEqual(origins(bytes, [2, 4]), { 1: 2, 2: 4, 3: 4 });
});

test("compactLtx() merges emptied databases", () => {
  const gone = compact([file(2, 9, [1, 2]), file(3, 0, [])]);
  assert.equal(gone.result.pageCount, 0);
  assert.equal(gone.result.header.commit, 0);
  const back = compact([file(2, 9, [1, 2]), file(3, 0, []), file(4, 2, [1, 2])]);
  assert.deepEqual(origins(back.bytes, [2, 3, 4]), { 1: 4, 2: 4 });
});

test("compactLtx() passes over the lock page", () => {
  const pageSize = 65536;
  const lock = lockPgno(pageSize);
  const kernel = openKernel({ pageSize });
  const grown = [file(2, lock - 1, [1], { pageSize }), file(3, lock + 1, [lock + 1], { pageSize })];
  const { pages } = decodeSample(compact(grown, { kernel }).bytes);
  assert.deepEqual([...pages.keys()], [1, lock + 1]);
  const ending = [file(2, lock - 1, [1], { pageSize }), file(3, lock, [], { pageSize })];
  assert.deepEqual([...decodeSample(compact(ending, { kernel }).bytes).pages.keys()], [1]);
});

test("LtxCompactor works in steps, finishes once, and not early", () => {
  const inputs = [file(2, 9, [1, 2, 3]), file(3, 9, [2])].map((bytes) => memorySource(bytes));
  const sink = new MemorySink();
  const compactor = new LtxCompactor({ kernel: KERNEL, inputs, sink });
  assert.throws(() => compactor.finish(), { code: "ltx/misuse" });
  let steps = 0;
  while (compactor.step()) steps += 1;
  assert.equal(steps, 3);
  const result = compactor.finish();
  assert.equal(compactor.finish(), result);
  assert.deepEqual(origins(sink.toBytes(), [2, 3]), { 1: 2, 2: 3, 3: 2 });
});
