import assert from "node:assert/strict";
import { test } from "node:test";
import * as fc from "fast-check";
import { NO_CHECKSUM, toChecksum, toTxid } from "../base/ids.ts";
import { isMillraceError } from "../errors.ts";
import { openKernel } from "../kernel/kernel.ts";
import type { PageFormat } from "../kernel/kernel.ts";
import { decodeSample, encodeSample, sampleHeader } from "../testing/ltx-samples.ts";
import { propertyOptions } from "../testing/property.ts";
import { SAMPLE_PAGE_SIZES, sampleBytes, samplePages } from "../testing/sample-pages.ts";
import { CHECKSUM_FLAG } from "./constants.ts";
import { LtxDecoder, verifyLtx } from "./decoder.ts";
import { LtxEncoder } from "./encoder.ts";
import type { LtxSink } from "./encoder.ts";
import { lockPgno } from "./header.ts";
import type { LtxHeader } from "./header.ts";
import { MemorySink, memorySource } from "./memory.ts";

const PAGE_SIZE = 512;
const KERNEL = openKernel({ pageSize: PAGE_SIZE });
const SUM = toChecksum(CHECKSUM_FLAG | 77n);

function open(fields: Partial<LtxHeader>): { encoder: LtxEncoder; sink: MemorySink } {
  const sink = new MemorySink();
  const header = sampleHeader({ pageSize: PAGE_SIZE, ...fields });
  return { encoder: new LtxEncoder({ kernel: KERNEL, header, sink }), sink };
}

function write(encoder: LtxEncoder, ...pgnos: readonly number[]): BigUint64Array {
  return encoder.writePages(Uint32Array.from(pgnos), samplePages(PAGE_SIZE, pgnos.length, 3));
}

const LOCK = lockPgno(PAGE_SIZE);

/** Page numbers that a file may not have, and why. Calls are separated by `|`. */
const REFUSED: readonly (readonly [string, Partial<LtxHeader>, readonly number[][], RegExp])[] = [
  ["page 0", { commit: 9 }, [[0]], /page number 0/],
  ["a page beyond the commit", { commit: 9 }, [[10]], /page 10 beyond the commit of 9/],
  ["the lock page", { commit: LOCK + 1 }, [[LOCK]], /page 2097153, which is the lock page/],
  ["a page twice in a call", { commit: 9 }, [[3, 3]], /page 3 after page 3/],
  ["a page twice in two calls", { commit: 9 }, [[3], [3]], /page 3 after page 3/],
  ["descending pages", { commit: 9 }, [[3, 2]], /page 2 after page 3/],
  ["a snapshot from page 2", { commit: 9, minTxid: toTxid(1) }, [[2]], /page 2, wanted 1/],
  ["a hole in a snapshot", { commit: 9, minTxid: toTxid(1) }, [[1, 2, 4]], /page 4, wanted 3/],
];

for (const [name, fields, calls, message] of REFUSED) {
  test(`writePages() refuses ${name} and goes on as if nothing had been asked`, () => {
    const { encoder, sink } = open(fields);
    for (const pgnos of calls.slice(0, -1)) write(encoder, ...pgnos);
    const before = sink.toBytes();
    assert.throws(() => write(encoder, ...(calls.at(-1) ?? [])), { code: "ltx/misuse", message });
    assert.deepEqual(sink.toBytes(), before);
    const good = fields.minTxid === 1n ? [1, 2, 3, 4, 5, 6, 7, 8, 9] : [4, 9];
    write(encoder, ...good);
    encoder.finish();
    const { pages } = decodeSample(sink.toBytes());
    assert.deepEqual([...pages.keys()], [...calls.slice(0, -1).flat(), ...good]);
  });
}

test("writePages() refuses bytes that are not whole pages of the numbers given", () => {
  const { encoder } = open({ commit: 9 });
  const call = (): unknown => encoder.writePages(Uint32Array.of(1, 2), new Uint8Array(PAGE_SIZE));
  assert.throws(call, { code: "ltx/misuse", message: /512 bytes for 2 pages of 512/ });
});

test("finish() refuses a snapshot that stops before its commit", () => {
  const { encoder } = open({ commit: 3, minTxid: toTxid(1) });
  write(encoder, 1, 2);
  assert.throws(() => encoder.finish(), { code: "ltx/misuse", message: /ends with page 2/ });
  write(encoder, 3);
  assert.equal(encoder.finish().pageCount, 3);
});

test("finish() holds checksums to the header's flag", () => {
  const tracked = { commit: 9, flags: 0, preApplyChecksum: SUM };
  assert.throws(() => open({ commit: 9 }).encoder.finish({ postApplyChecksum: SUM }), {
    code: "ltx/misuse",
    message: /wanted 0: flag NoChecksum is set/,
  });
  for (const postApplyChecksum of [undefined, NO_CHECKSUM, toChecksum(5n)]) {
    assert.throws(() => open(tracked).encoder.finish({ postApplyChecksum }), {
      code: "ltx/misuse",
      message: /wanted bit 63 set/,
    });
  }
  const { encoder, sink } = open(tracked);
  encoder.finish({ postApplyChecksum: SUM });
  assert.equal(verifyLtx(memorySource(sink.toBytes())).postApplyChecksum, SUM);
});

test("finish() takes the database checksum once, and only a real one", () => {
  const misuse = { code: "ltx/misuse", message: /database checksum/ };
  const plain = open({ commit: 9 }).encoder;
  assert.throws(() => plain.finish({ databaseChecksum: toChecksum(5n) }), misuse);
  const tagged = open({ commit: 9, databaseChecksum: SUM });
  const other = toChecksum(CHECKSUM_FLAG | 78n);
  assert.throws(() => tagged.encoder.finish({ databaseChecksum: other }), misuse);
  tagged.encoder.finish({ databaseChecksum: SUM });
  assert.equal(verifyLtx(memorySource(tagged.sink.toBytes())).header.databaseChecksum, SUM);
});

test("finish() refuses a snapshot whose pages do not add up to the checksum given", () => {
  const snapshot = { commit: 2, minTxid: toTxid(1) };
  const mismatch = { code: "ltx/checksum-mismatch", message: /800000000000004d, its pages have/ };
  const given = open(snapshot).encoder;
  write(given, 1, 2);
  assert.throws(() => given.finish({ databaseChecksum: SUM }), mismatch);
  given.finish();
  const inHeader = open({ ...snapshot, databaseChecksum: SUM }).encoder;
  write(inHeader, 1, 2);
  assert.throws(() => inHeader.finish(), mismatch);
  const tracked = open({ ...snapshot, flags: 0 }).encoder;
  const checksums = write(tracked, 1, 2);
  const right = toChecksum(checksums.reduce((sum, checksum) => sum ^ checksum, 0n) | CHECKSUM_FLAG);
  assert.throws(() => tracked.finish({ postApplyChecksum: SUM }), mismatch);
  tracked.finish({ postApplyChecksum: right, databaseChecksum: right });
});

test("an emptied database is a file without pages, tracked or not", () => {
  const untracked = open({ commit: 0 });
  const empty = toChecksum(CHECKSUM_FLAG);
  untracked.encoder.finish({ databaseChecksum: empty });
  const proof = verifyLtx(memorySource(untracked.sink.toBytes()));
  assert.equal(proof.postApplyChecksum, NO_CHECKSUM);
  assert.equal(proof.databaseChecksum, empty);

  const tracked = open({ commit: 0, flags: 0, preApplyChecksum: SUM });
  assert.throws(() => tracked.encoder.finish({ postApplyChecksum: SUM }), {
    code: "ltx/misuse",
    message: /wanted that of an empty database/,
  });
  tracked.encoder.finish({ postApplyChecksum: empty });
  assert.equal(verifyLtx(memorySource(tracked.sink.toBytes())).postApplyChecksum, empty);
});

test("finish() is idempotent, and nothing follows it", () => {
  const { encoder, sink } = open({ commit: 9 });
  write(encoder, 4);
  const summary = encoder.finish();
  const bytes = sink.toBytes();
  assert.equal(encoder.finish(), summary);
  assert.deepEqual(sink.toBytes(), bytes);
  assert.equal(summary.sizeBytes, bytes.length);
  assert.equal(summary.fileChecksum, verifyLtx(memorySource(bytes)).fileChecksum);
  assert.throws(() => write(encoder, 5), { code: "ltx/misuse", message: /the file is finished/ });
});

test("an encoder whose sink failed is of no more use, and says why", () => {
  let failing = false;
  const sink: LtxSink = {
    write: () => {
      if (failing) throw new Error("no space");
    },
    patch: () => {},
  };
  const header = sampleHeader({ pageSize: PAGE_SIZE, commit: 9 });
  const encoder = new LtxEncoder({ kernel: KERNEL, header, sink });
  failing = true;
  assert.throws(() => write(encoder, 1), { message: "no space" });
  failing = false;
  for (const call of [() => write(encoder, 2), () => encoder.finish()]) {
    assert.throws(call, (error) => {
      assert.ok(isMillraceError(error, "ltx/misuse"));
      return error.cause instanceof Error && error.cause.message === "no space";
    });
  }
});

test("LtxEncoder refuses a kernel for another page size and a header that breaks the rules", () => {
  const sink = new MemorySink();
  const other = sampleHeader({ pageSize: 1024 });
  assert.throws(() => new LtxEncoder({ kernel: KERNEL, header: other, sink }), {
    code: "ltx/misuse",
  });
  const broken = sampleHeader({ pageSize: PAGE_SIZE, minTxid: toTxid(0) });
  assert.throws(() => new LtxEncoder({ kernel: KERNEL, header: broken, sink }), {
    code: "ltx/misuse",
  });
  assert.equal(sink.sizeBytes, 0);
});

test("writePages() returns the checksums of any number of pages, wherever they lie", () => {
  const count = KERNEL.batchPages * 2 + 3;
  const pages = samplePages(PAGE_SIZE, count, 1);
  const pgnos = Uint32Array.from({ length: count }, (_, i) => 2 * i + 1);
  const wanted: bigint[] = [];
  for (const [i, pgno] of pgnos.entries()) {
    KERNEL.input.set(pages.subarray(i * PAGE_SIZE, (i + 1) * PAGE_SIZE));
    wanted.push(...KERNEL.pageChecksums(Uint32Array.of(pgno)));
  }
  const foreign = open({ commit: 2 * count });
  assert.deepEqual([...foreign.encoder.writePages(pgnos, pages)], wanted);
  foreign.encoder.finish();

  const inside = open({ commit: 2 * count });
  const found: bigint[] = [];
  const areas = [KERNEL.input.subarray(7), KERNEL.output, KERNEL.input];
  for (let first = 0, turn = 0; first < count; first += 50, turn++) {
    const part = pages.subarray(first * PAGE_SIZE, Math.min(first + 50, count) * PAGE_SIZE);
    const area = (areas[turn % 3] ?? KERNEL.input).subarray(0, part.length);
    area.set(part);
    found.push(...inside.encoder.writePages(pgnos.subarray(first, first + 50), area));
  }
  inside.encoder.finish();
  assert.deepEqual(found, wanted);

  const many = Math.floor(KERNEL.output.length / PAGE_SIZE);
  assert.ok(many > KERNEL.batchPages);
  const fromOutput = open({ commit: 2 * count });
  const area = KERNEL.output.subarray(0, many * PAGE_SIZE);
  area.set(pages.subarray(0, area.length));
  const part = fromOutput.encoder.writePages(pgnos.subarray(0, many), area);
  assert.deepEqual([...part], wanted.slice(0, many));
  assert.deepEqual(inside.sink.toBytes(), foreign.sink.toBytes());
});

const anyFile = fc.record({
  pageSize: fc.constantFrom(...SAMPLE_PAGE_SIZES),
  steps: fc.array(fc.integer({ min: 1, max: 500 }), { maxLength: 6 }),
  seed: fc.nat(),
  pageFormat: fc.constantFrom<PageFormat>("block", "frame"),
  snapshot: fc.boolean(),
});

/** Ascending numbers, for a snapshot without holes. */
function pagesOf(file: {
  steps: readonly number[];
  snapshot: boolean;
  pageSize: number;
  seed: number;
}): Map<number, Uint8Array> {
  const pages = samplePages(file.pageSize, file.steps.length, file.seed % 1000);
  let pgno = 0;
  return new Map(
    file.steps.map((step, i) => {
      pgno += file.snapshot ? 1 : step;
      return [pgno, pages.subarray(i * file.pageSize, (i + 1) * file.pageSize)];
    }),
  );
}

test("files round-trip at every page size, and the tag can come at the end", () => {
  fc.assert(
    fc.property(anyFile, fc.bigInt({ min: 0n, max: 2n ** 63n - 1n }), (file, sum) => {
      const pages = pagesOf(file);
      const { pageSize, pageFormat, snapshot } = file;
      const kernel = openKernel({ pageSize, batchPages: 4 });
      const header = sampleHeader({
        pageSize,
        commit: [...pages.keys()].at(-1) ?? 0,
        minTxid: toTxid(snapshot ? 1 : 2),
        maxTxid: toTxid(3),
      });
      const plain = encodeSample({ header, pages, pageFormat, kernel });
      assert.deepEqual(decodeSample(plain, { kernel }), { header, pages });

      const databaseChecksum = snapshot
        ? verifyLtx(memorySource(plain), { kernel }).databaseChecksum
        : toChecksum(CHECKSUM_FLAG | sum);
      const tagged = { ...header, databaseChecksum };
      const known = encodeSample({ header: tagged, pages, pageFormat, kernel });
      const patched = encodeSample({
        header,
        pages,
        pageFormat,
        kernel,
        finish: { databaseChecksum },
      });
      assert.deepEqual(patched, known);
      assert.deepEqual(decodeSample(patched, { kernel }), { header: tagged, pages });
    }),
    propertyOptions(60),
  );
});

test("a kernel of a single page is enough", () => {
  for (const pageSize of [512, 65536]) {
    const kernel = openKernel({ pageSize, batchPages: 1 });
    const pages = new Map([1, 2, 3].map((pgno) => [pgno, sampleBytes(pageSize, "random", pgno)]));
    const header = sampleHeader({ pageSize, commit: 3 });
    const bytes = encodeSample({ header, pages, kernel });
    assert.deepEqual(decodeSample(bytes, { kernel }), { header, pages });
  }
});

test("writeFrames() and writeFrame() copy to the same file that encoding makes", () => {
  for (const pageFormat of ["block", "frame"] as const) {
    const pages = new Map([
      [2, sampleBytes(PAGE_SIZE, "text", 1)],
      [5, sampleBytes(PAGE_SIZE, "random", 2)],
    ]);
    const header = sampleHeader({ pageSize: PAGE_SIZE, commit: 6 });
    const original = encodeSample({ header, pages, pageFormat });
    const whole = open({ commit: 6 });
    const single = open({ commit: 6 });
    const decoder = new LtxDecoder({ kernel: KERNEL, source: memorySource(original) });
    for (let batch = decoder.next(); batch !== undefined; batch = decoder.next()) {
      const frames = batch.frames.slice();
      const sizes = batch.frameSizes.slice();
      whole.encoder.writeFrames(batch);
      let at = 0;
      for (const [i, size] of sizes.entries()) {
        const page = [...pages.values()][i] ?? new Uint8Array(0);
        single.encoder.writeFrame(frames.subarray(at, at + size), page);
        at += size;
      }
    }
    whole.encoder.finish({ databaseChecksum: SUM });
    single.encoder.finish({ databaseChecksum: SUM });
    const wanted = encodeSample({ header, pages, pageFormat, finish: { databaseChecksum: SUM } });
    assert.deepEqual(whole.sink.toBytes(), wanted);
    assert.deepEqual(single.sink.toBytes(), wanted);
  }
});

test("writeFrames() refuses frames that are not what the tables say", () => {
  const pages = new Map([
    [2, sampleBytes(PAGE_SIZE, "text", 1)],
    [5, sampleBytes(PAGE_SIZE, "text", 2)],
  ]);
  const original = encodeSample({
    header: sampleHeader({ pageSize: PAGE_SIZE, commit: 6 }),
    pages,
  });
  const batch = new LtxDecoder({ kernel: KERNEL, source: memorySource(original) }).next();
  assert.ok(batch !== undefined);
  const good = {
    pgnos: batch.pgnos.slice(),
    frames: batch.frames.slice(),
    frameSizes: batch.frameSizes.slice(),
    pageCrcs: batch.pageCrcs.slice(),
  };
  const flagged = good.frames.slice();
  flagged[5] = 3;
  const broken = [
    { ...good, pgnos: Uint32Array.of(2, 6) },
    { ...good, pgnos: Uint32Array.of(2) },
    { ...good, frames: good.frames.slice(1) },
    { ...good, frames: good.frames.slice(0, -1) },
    { ...good, frames: Buffer.concat([good.frames, Buffer.alloc(1)]) },
    { ...good, frames: flagged },
    { ...good, frameSizes: good.frameSizes.map((size, i) => size + (i === 0 ? 1 : -1)) },
    { ...good, pageCrcs: new BigUint64Array(1) },
    { ...good, frames: new Uint8Array(KERNEL.input.length + 1) },
  ];
  const { encoder, sink } = open({ commit: 6 });
  for (const frames of broken)
    assert.throws(() => encoder.writeFrames(frames), { code: "ltx/misuse" });
  assert.throws(() => encoder.writeFrame(good.frames, new Uint8Array(5)), { code: "ltx/misuse" });
  encoder.writeFrames(good);
  encoder.finish();
  assert.deepEqual(sink.toBytes(), original);
});

test("a change may lie on both sides of the lock page, at every page size", () => {
  for (const pageSize of SAMPLE_PAGE_SIZES) {
    const lock = lockPgno(pageSize);
    const pages = new Map(
      [lock - 1, lock + 1, lock + 2].map((pgno) => [pgno, sampleBytes(pageSize, "text", pgno)]),
    );
    const header = sampleHeader({ pageSize, commit: lock + 2 });
    const bytes = encodeSample({ header, pages });
    assert.deepEqual(decodeSample(bytes), { header, pages });
  }
});

test("a snapshot leaves the lock page out", () => {
  const pageSize = 65536;
  const lock = lockPgno(pageSize);
  const kernel = openKernel({ pageSize });
  const sink = new MemorySink();
  const header = sampleHeader({ pageSize, commit: lock + 1, minTxid: toTxid(1) });
  const encoder = new LtxEncoder({ kernel, header, sink });
  kernel.input.fill(0);
  for (let first = 1; first < lock; first += kernel.batchPages) {
    const count = Math.min(kernel.batchPages, lock - first);
    const pgnos = Uint32Array.from({ length: count }, (_, i) => first + i);
    encoder.writePages(pgnos, kernel.input.subarray(0, count * pageSize));
  }
  assert.throws(() => encoder.finish(), { code: "ltx/misuse" });
  const page = kernel.input.subarray(0, pageSize);
  assert.throws(() => encoder.writePages(Uint32Array.of(lock), page), { code: "ltx/misuse" });
  encoder.writePages(Uint32Array.of(lock + 1), page);
  assert.equal(encoder.finish().pageCount, lock);
  assert.equal(verifyLtx(memorySource(sink.toBytes()), { kernel }).pageCount, lock);
});
