/**
 * What the decoder refuses and what it takes, file by file. All forged files have right checksums
 * unless they say so.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { isMillraceError } from "../errors.ts";
import { openKernel } from "../kernel/kernel.ts";
import {
  type ForgedFile,
  forgeBlock,
  forgeHeader,
  forgeIndex,
  forgeLegacy,
  forgeLtx,
  uvarint,
} from "../testing/forge-ltx.ts";
import { sampleBytes } from "../testing/sample-pages.ts";
import { LtxDecoder, verifyLtx } from "./decoder.ts";
import { memorySource } from "./memory.ts";

const PAGE_SIZE = 512;
const FLAG = 1n << 63n;

function page(seed: number): Uint8Array {
  return sampleBytes(PAGE_SIZE, "text", seed);
}

/** A change file with pages 2 and 5 of 9. */
const CHANGE = {
  header: forgeHeader({ pageSize: PAGE_SIZE, commit: 9, minTxid: 7n }),
  frames: [forgeBlock(2, page(2)), forgeLegacy(5, page(5))],
} satisfies ForgedFile;

const SNAPSHOT = {
  header: forgeHeader({ pageSize: PAGE_SIZE, commit: 3, maxTxid: 4n }),
  frames: [forgeBlock(1, page(1)), forgeBlock(2, page(2)), forgeBlock(3, page(3))],
} satisfies ForgedFile;

/** Rolling checksum of SNAPSHOT's database. */
const SNAPSHOT_SUM = verifyLtx(memorySource(forgeLtx(SNAPSHOT))).databaseChecksum;

interface Case {
  readonly name: string;
  readonly file: ForgedFile;
  /** Code and part of the message; none for files that are good. */
  readonly refused?: readonly [code: string, message: RegExp] | undefined;
}

function tag(checksum: bigint, name = "MRC1"): Uint8Array {
  const bytes = Buffer.alloc(20);
  bytes.write(name, 0, "latin1");
  bytes.writeBigUInt64BE(checksum, 4);
  return bytes;
}

const snapshotHeader = { pageSize: PAGE_SIZE, commit: 3, maxTxid: 4n };
const changeHeader = { pageSize: PAGE_SIZE, commit: 9, minTxid: 7n };
const block2 = forgeBlock(2, page(2));
const block5 = forgeBlock(5, page(5));

const CASES: readonly Case[] = [
  { name: "change", file: CHANGE },
  { name: "snapshot", file: SNAPSHOT },
  { name: "no pages", file: { ...CHANGE, frames: [] } },
  {
    name: "emptied database",
    file: { header: forgeHeader({ pageSize: PAGE_SIZE, commit: 0, minTxid: 7n }), frames: [] },
  },
  {
    name: "emptied database, tracked",
    file: {
      header: forgeHeader({ pageSize: PAGE_SIZE, commit: 0, flags: 0 }),
      frames: [],
      postApplyChecksum: FLAG,
    },
  },
  {
    name: "emptied database, tracked, with pages in its checksum",
    file: {
      header: forgeHeader({
        pageSize: PAGE_SIZE,
        commit: 0,
        minTxid: 2n,
        flags: 0,
        preApplyChecksum: FLAG | 5n,
      }),
      frames: [],
      postApplyChecksum: FLAG | 5n,
    },
    refused: ["ltx/invalid", /post-apply checksum 8000000000000005, wanted that of an empty/],
  },
  {
    name: "descending pages",
    file: { ...CHANGE, frames: [block5, block2] },
    refused: ["ltx/invalid", /page 2 after page 5/],
  },
  {
    name: "page twice",
    file: { ...CHANGE, frames: [block2, block2] },
    refused: ["ltx/invalid", /page 2 after page 2/],
  },
  {
    name: "page beyond commit",
    file: { ...CHANGE, frames: [forgeBlock(10, page(1))] },
    refused: ["ltx/invalid", /page 10 beyond the commit of 9 pages/],
  },
  {
    name: "lock page",
    file: {
      header: forgeHeader({ pageSize: PAGE_SIZE, commit: 3_000_000, minTxid: 7n }),
      frames: [forgeBlock(2_097_153, page(1))],
    },
    refused: ["ltx/invalid", /page 2097153, which is the lock page/],
  },
  {
    name: "pages around the lock page",
    file: {
      header: forgeHeader({ pageSize: PAGE_SIZE, commit: 3_000_000, minTxid: 7n }),
      frames: [forgeBlock(2_097_152, page(1)), forgeBlock(2_097_154, page(1))],
    },
  },
  {
    name: "unknown page flag",
    file: { ...CHANGE, frames: [{ ...block2, flags: 2 }] },
    refused: ["ltx/invalid", /page 2 at offset 100: a page header with unknown flags/],
  },
  {
    name: "page 0 with flags",
    file: {
      ...CHANGE,
      frames: [{ ...block2, pgno: 0 }],
      index: () => forgeIndex([{ pgno: 2, offset: 100, size: 6 + block2.payload.length }]),
    },
    refused: ["ltx/invalid", /unknown flags, or flags on page 0/],
  },
  {
    name: "snapshot that stops early",
    file: { ...SNAPSHOT, frames: SNAPSHOT.frames.slice(0, 2) },
    refused: ["ltx/invalid", /ends with page 2, wanted all 3/],
  },
  {
    name: "snapshot with a hole",
    file: { ...SNAPSHOT, frames: [SNAPSHOT.frames[0], SNAPSHOT.frames[2]].flatMap((f) => f ?? []) },
    refused: ["ltx/invalid", /page 3, wanted 2/],
  },
  {
    name: "short page",
    file: { ...CHANGE, frames: [forgeBlock(2, page(2).slice(1))] },
    refused: ["ltx/invalid", /does not decompress to exactly one page/],
  },
  {
    name: "long page",
    file: { ...CHANGE, frames: [forgeBlock(2, sampleBytes(PAGE_SIZE + 1, "text", 1))] },
    refused: ["ltx/invalid", /does not decompress to exactly one page/],
  },
  {
    name: "payload size beyond any page",
    file: { ...CHANGE, frames: [{ ...block2, payload: Buffer.from("7fffffff0000", "hex") }] },
    refused: ["ltx/invalid", /a payload longer than a page can make/],
  },
  {
    name: "frame longer than any page's",
    file: { ...CHANGE, frames: [{ ...block2, payload: Buffer.alloc(600) }] },
    refused: ["ltx/invalid", /page 2 with a frame of 606 bytes, wanted 11 to 540/],
  },
  {
    name: "wrong content checksum in a legacy frame",
    file: { ...CHANGE, frames: [flipLast(forgeLegacy(2, page(2)))] },
    refused: ["ltx/invalid", /content checksum is wrong/],
  },
  {
    name: "bytes between frames",
    file: {
      ...CHANGE,
      frames: [{ ...block2, payload: Buffer.concat([block2.payload, Buffer.alloc(3)]) }, block5],
    },
    refused: ["ltx/invalid", /page 2 in \d+ bytes, its index entry says page 2 in \d+ bytes/],
  },
  {
    name: "index that names another page",
    file: {
      ...CHANGE,
      index: (entries) => forgeIndex(entries.map((e) => (e.pgno === 2 ? { ...e, pgno: 3 } : e))),
    },
    refused: ["ltx/invalid", /page 2 in \d+ bytes, its index entry says page 3/],
  },
  {
    name: "index with an offset off by one",
    file: {
      ...CHANGE,
      index: (entries) => forgeIndex(entries.map((e) => ({ ...e, offset: e.offset + 1 }))),
    },
    refused: ["ltx/invalid", /page 2 at offset 101, wanted 100/],
  },
  {
    name: "index with a missing entry",
    file: { ...CHANGE, index: (entries) => forgeIndex(entries.slice(0, 1)) },
    refused: ["ltx/invalid", /frames up to offset \d+, wanted \d+/],
  },
  {
    name: "index with an entry too many",
    file: {
      ...CHANGE,
      index: (entries) =>
        forgeIndex([...entries, { pgno: 6, offset: nextOffset(entries), size: 20 }]),
    },
    refused: ["ltx/invalid", /page 6 reaching offset \d+, past the last frame/],
  },
  {
    name: "index without its terminator",
    file: { ...CHANGE, index: (entries) => forgeIndex(entries).slice(0, -1) },
    refused: ["ltx/truncated", /ends after page 5 without its terminator/],
  },
  {
    name: "index with bytes after its terminator",
    file: { ...CHANGE, index: (entries) => Uint8Array.from([...forgeIndex(entries), 0]) },
    refused: ["ltx/invalid", /1 bytes after the terminator/],
  },
  {
    name: "index with a padded number",
    file: {
      ...CHANGE,
      index: (entries) => Uint8Array.from([0x82, 0x00, ...forgeIndex(entries).slice(1)]),
    },
    refused: ["ltx/invalid", /a number that is too long or padded/],
  },
  {
    name: "index with a number beyond 2^53",
    file: {
      ...CHANGE,
      index: () => Uint8Array.from([2, ...uvarint(100), 255, 255, 255, 255, 255, 255, 255, 127, 0]),
    },
    refused: ["ltx/invalid", /a number that is too long or padded/],
  },
  {
    name: "index size beyond the file",
    file: { ...CHANGE, indexSize: 1n << 40n },
    refused: ["ltx/invalid", /page index of 1099511627776 bytes/],
  },
  {
    name: "index size 0",
    file: { ...CHANGE, indexSize: 0n },
    refused: ["ltx/invalid", /page index of 0 bytes/],
  },
  {
    name: "no end marker",
    file: { ...CHANGE, endMarker: Buffer.from("000000000001", "hex") },
    refused: ["ltx/invalid", /no end of pages at offset \d+/],
  },
  {
    name: "wrong file checksum",
    file: { ...CHANGE, fileChecksum: FLAG | 1n },
    refused: ["ltx/checksum-mismatch", /file checksum 8000000000000001, its content has/],
  },
  {
    name: "post-apply checksum although NoChecksum",
    file: { ...CHANGE, postApplyChecksum: FLAG | 1n },
    refused: ["ltx/invalid", /post-apply checksum 8000000000000001, wanted 0/],
  },
  {
    name: "tracked change",
    file: {
      ...CHANGE,
      header: forgeHeader({ ...changeHeader, flags: 0, preApplyChecksum: FLAG | 1n }),
      postApplyChecksum: FLAG | 2n,
    },
  },
  {
    name: "tracked change without post-apply checksum",
    file: {
      ...CHANGE,
      header: forgeHeader({ ...changeHeader, flags: 0, preApplyChecksum: FLAG | 1n }),
    },
    refused: ["ltx/invalid", /post-apply checksum 0000000000000000, wanted bit 63 set/],
  },
  {
    name: "tracked snapshot",
    file: {
      ...SNAPSHOT,
      header: forgeHeader({ ...snapshotHeader, flags: 0 }),
      postApplyChecksum: SNAPSHOT_SUM,
    },
  },
  {
    name: "tracked snapshot whose database has another checksum",
    file: {
      ...SNAPSHOT,
      header: forgeHeader({ ...snapshotHeader, flags: 0 }),
      postApplyChecksum: SNAPSHOT_SUM ^ 1n,
    },
    refused: ["ltx/checksum-mismatch", /post-apply checksum/],
  },
  {
    name: "tagged snapshot",
    file: { ...SNAPSHOT, header: forgeHeader({ ...snapshotHeader, reserved: tag(SNAPSHOT_SUM) }) },
  },
  {
    name: "tagged snapshot whose database has another checksum",
    file: {
      ...SNAPSHOT,
      header: forgeHeader({ ...snapshotHeader, reserved: tag(SNAPSHOT_SUM ^ 1n) }),
    },
    refused: ["ltx/checksum-mismatch", /database checksum/],
  },
  {
    name: "unknown tag",
    file: { ...SNAPSHOT, header: forgeHeader({ ...snapshotHeader, reserved: tag(1n, "XYZ9") }) },
  },
  {
    name: "our tag with more behind it",
    file: {
      ...SNAPSHOT,
      header: forgeHeader({
        ...snapshotHeader,
        reserved: Buffer.concat([tag(SNAPSHOT_SUM).slice(0, 12), Buffer.alloc(8, 9)]),
      }),
    },
  },
];

function flipLast<T extends { readonly payload: Uint8Array }>(frame: T): T {
  const payload = Buffer.from(frame.payload);
  payload[payload.length - 1] = (payload[payload.length - 1] ?? 0) ^ 1;
  return { ...frame, payload };
}

function nextOffset(
  entries: readonly { readonly offset: number; readonly size: number }[],
): number {
  const last = entries.at(-1);
  return last === undefined ? 100 : last.offset + last.size;
}

for (const twin of [false, true]) {
  const kernel = openKernel({ pageSize: PAGE_SIZE, twin });
  for (const { name, file, refused } of CASES) {
    const verb = refused === undefined ? "takes" : "refuses";
    test(`LtxDecoder ${verb}: ${name} (${kernel.engine})`, () => {
      const source = memorySource(forgeLtx(file), "some.ltx");
      if (refused === undefined) {
        verifyLtx(source, { kernel });
        return;
      }
      const [code, message] = refused;
      assert.throws(() => verifyLtx(source, { kernel }), { code, message });
      assert.throws(() => verifyLtx(source, { kernel }), { message: /"some\.ltx"/ });
    });
  }
}

test("LtxDecoder delivers pages, numbers, checksums and frames of both kinds", () => {
  const kernel = openKernel({ pageSize: PAGE_SIZE });
  const bytes = forgeLtx(CHANGE);
  const decoder = new LtxDecoder({ kernel, source: memorySource(bytes) });
  const batch = decoder.next();
  assert.ok(batch !== undefined);
  assert.equal(batch.count, 2);
  assert.deepEqual([...batch.pgnos], [2, 5]);
  assert.deepEqual(batch.pages, Uint8Array.from([...page(2), ...page(5)]));
  assert.equal(batch.offset, 100);
  const framesSize = batch.frameSizes.reduce((sum, size) => sum + size, 0);
  assert.deepEqual(batch.frames, Uint8Array.from(bytes.subarray(100, 100 + framesSize)));
  const checksums = [...batch.checksums];
  kernel.input.set([...page(2), ...page(5)]);
  assert.deepEqual(checksums, [...kernel.pageChecksums(Uint32Array.of(2, 5))]);
  assert.equal(decoder.next(), undefined);
  const proof = decoder.finish();
  assert.equal(proof.pageCount, 2);
  assert.equal(decoder.finish(), proof, "finish() is idempotent");
  assert.equal(decoder.next(), undefined);
});

test("LtxDecoder refuses to finish early, and to go on after an error", () => {
  const kernel = openKernel({ pageSize: PAGE_SIZE });
  const early = new LtxDecoder({ kernel, source: memorySource(forgeLtx(CHANGE)) });
  assert.throws(() => early.finish(), { code: "ltx/misuse" });

  const broken = forgeLtx({ ...CHANGE, fileChecksum: FLAG });
  const failed = new LtxDecoder({ kernel, source: memorySource(broken) });
  while (failed.next() !== undefined);
  assert.throws(() => failed.finish(), { code: "ltx/checksum-mismatch" });
  assert.throws(
    () => failed.finish(),
    (error) =>
      isMillraceError(error, "ltx/misuse") && isMillraceError(error.cause, "ltx/checksum-mismatch"),
  );
  assert.throws(() => failed.next(), { code: "ltx/misuse" });
});

test("LtxDecoder finishes a file without pages that nobody asked for pages", () => {
  const kernel = openKernel({ pageSize: PAGE_SIZE });
  const source = memorySource(forgeLtx({ ...CHANGE, frames: [] }));
  assert.equal(new LtxDecoder({ kernel, source }).finish().pageCount, 0);
});

test("LtxDecoder refuses a kernel for another page size", () => {
  const kernel = openKernel({ pageSize: 1024 });
  const source = memorySource(forgeLtx(CHANGE));
  assert.throws(() => new LtxDecoder({ kernel, source }), {
    code: "ltx/misuse",
    message: /kernel for pages of 1024, header says 512/,
  });
});

test("LtxDecoder reports a source that is shorter than it said", () => {
  const bytes = forgeLtx(CHANGE);
  const kernel = openKernel({ pageSize: PAGE_SIZE });
  const whole = memorySource(bytes);
  for (const readable of [0, 50, 99, 105, 200, bytes.length - 1]) {
    const source = {
      sizeBytes: bytes.length,
      read: (offset: number, target: Uint8Array): number =>
        Math.max(0, Math.min(whole.read(offset, target), readable - offset)),
    };
    assert.throws(() => verifyLtx(source, { kernel }), { code: "ltx/truncated" }, `${readable}`);
  }
});

test("LtxDecoder keeps batches within what it was told", () => {
  const kernel = openKernel({ pageSize: PAGE_SIZE });
  const decoder = new LtxDecoder({
    kernel,
    source: memorySource(forgeLtx(SNAPSHOT)),
    batchPages: 1,
  });
  for (let pgno = 1; pgno <= 3; pgno++)
    assert.deepEqual([...(decoder.next()?.pgnos ?? [])], [pgno]);
  assert.equal(decoder.finish().databaseChecksum, SNAPSHOT_SUM);
});

test("LtxDecoder shares a kernel with others", () => {
  const kernel = openKernel({ pageSize: PAGE_SIZE });
  const decoders = [CHANGE, SNAPSHOT, CHANGE].map(
    (file) => new LtxDecoder({ kernel, source: memorySource(forgeLtx(file)), batchPages: 1 }),
  );
  for (let turn = 0; turn < 3; turn++) for (const decoder of decoders) decoder.next();
  for (const decoder of decoders) decoder.next();
  assert.deepEqual(
    decoders.map((decoder) => decoder.finish().pageCount),
    [2, 3, 2],
  );
});
