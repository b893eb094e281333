/**
 * Two worked examples of the format, byte for byte: what Litestream's own test fixture and a file
 * as Litestream writes it look like, and files of the same content from our encoder. A version 1
 * file by its published facts.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { NO_CHECKSUM, formatChecksum, toChecksum, toTxid } from "../base/ids.ts";
import { openKernel } from "../kernel/kernel.ts";
import { forgeHeader } from "../testing/forge-ltx.ts";
import { decodeSample, encodeSample, sampleHeader } from "../testing/ltx-samples.ts";
import { sampleBytes } from "../testing/sample-pages.ts";
import { verifyLtx } from "./decoder.ts";
import { memorySource } from "./memory.ts";

function fromHex(...lines: readonly string[]): Buffer {
  return Buffer.from(lines.join("").replaceAll(" ", ""), "hex");
}

function filled(pageSize: number, byte: number): Uint8Array {
  return new Uint8Array(pageSize).fill(byte);
}

/** A tracked snapshot of two pages of 1024 bytes, filled with the characters 2 and 3. */
const TRACKED_SNAPSHOT = fromHex(
  "4c545831 00000000 00000400 00000002 0000000000000001 0000000000000001",
  "00000000000003e8 0000000000000000",
  "00".repeat(52),
  "00000001 0001 0000001a 1f320100ffffffdc00020000020 0b0",
  "32".repeat(11),
  "00000002 0001 0000001a 1f330100ffffffdc00020000020 0b0",
  "33".repeat(11),
  "000000000000 016424 02880124 00 0000000000000008",
  "e1899b6d587aaaaa f86fcff36247df82",
);

/** A change of one page of 512 bytes, as Litestream writes it: NoChecksum and WAL fields. */
const UNTRACKED_CHANGE = fromHex(
  "4c545831 00000002 00000200 00000003 0000000000000002 0000000000000002",
  "0000018bcfe56800 0000000000000000 0000000000000020 0000000000000218 11223344 55667788",
  "00".repeat(28),
  "00000003 0001 00000018 1fab0100ffda000200000200b0",
  "ab".repeat(11),
  "000000000000 036422 00 0000000000000004",
  "0000000000000000 e40683821fa26756",
);

for (const twin of [false, true]) {
  const engine = twin ? "twin" : "wasm";

  test(`verifyLtx() proves the worked example of a snapshot (${engine})`, () => {
    assert.equal(TRACKED_SNAPSHOT.length, 210);
    const kernel = openKernel({ pageSize: 1024, twin });
    const { header, ...proof } = verifyLtx(memorySource(TRACKED_SNAPSHOT), { kernel });
    assert.equal(header.commit, 2);
    assert.equal(header.timestampMs, 1000);
    assert.equal(proof.pageCount, 2);
    assert.equal(formatChecksum(proof.fileChecksum), "f86fcff36247df82");
    assert.equal(formatChecksum(proof.postApplyChecksum), "e1899b6d587aaaaa");
    assert.equal(proof.databaseChecksum, proof.postApplyChecksum);
    const { pages } = decodeSample(TRACKED_SNAPSHOT, { kernel });
    assert.deepEqual(
      [...pages],
      [
        [1, filled(1024, 0x32)],
        [2, filled(1024, 0x33)],
      ],
    );
  });

  test(`verifyLtx() proves the worked example of a change (${engine})`, () => {
    assert.equal(UNTRACKED_CHANGE.length, 168);
    const kernel = openKernel({ pageSize: 512, twin });
    const { header, ...proof } = verifyLtx(memorySource(UNTRACKED_CHANGE), { kernel });
    assert.deepEqual(header, {
      ...sampleHeader({ pageSize: 512, commit: 3, walOffset: 32, walSize: 536 }),
      walSalt1: 0x11223344,
      walSalt2: 0x55667788,
    });
    assert.equal(formatChecksum(proof.fileChecksum), "e40683821fa26756");
    assert.equal(proof.databaseChecksum, NO_CHECKSUM);
    const { pages } = decodeSample(UNTRACKED_CHANGE, { kernel });
    assert.deepEqual([...pages], [[3, filled(512, 0xab)]]);
  });
}

test("LtxEncoder writes the same facts as the worked snapshot; compressed bytes may differ", () => {
  const bytes = encodeSample({
    header: sampleHeader({
      pageSize: 1024,
      flags: 0,
      commit: 2,
      minTxid: toTxid(1),
      timestampMs: 1000,
    }),
    pages: new Map([
      [1, filled(1024, 0x32)],
      [2, filled(1024, 0x33)],
    ]),
    finish: { postApplyChecksum: toChecksum(0xe1899b6d587aaaaan) },
  });
  assert.deepEqual(Buffer.from(bytes.slice(0, 100)), TRACKED_SNAPSHOT.subarray(0, 100));
  const ours = verifyLtx(memorySource(bytes));
  assert.equal(formatChecksum(ours.postApplyChecksum), "e1899b6d587aaaaa");
  assert.deepEqual(decodeSample(bytes), decodeSample(TRACKED_SNAPSHOT));
});

test("LtxEncoder writes the worked change byte for byte where no compressor had a choice", () => {
  const { header, pages } = decodeSample(UNTRACKED_CHANGE);
  const bytes = Buffer.from(encodeSample({ header, pages }));
  assert.deepEqual(bytes.subarray(0, 106), UNTRACKED_CHANGE.subarray(0, 106));
  assert.deepEqual(decodeSample(bytes), decodeSample(UNTRACKED_CHANGE));
});

test("a legacy frame is what Litestream before 0.5.16 writes, for a stored page", () => {
  const page = sampleBytes(4096, "random", 1);
  const header = sampleHeader({ pageSize: 4096, commit: 1 });
  const bytes = encodeSample({ header, pages: new Map([[1, page]]), pageFormat: "frame" });
  const frame = bytes.slice(100, 100 + 6 + 4115);
  assert.deepEqual(
    Buffer.from(frame.slice(0, 17)),
    fromHex("00000001 0000 04224d18 6440a7 00100080"),
  );
  assert.deepEqual(frame.slice(17, 17 + 4096), page);
  assert.deepEqual(Buffer.from(frame.slice(-8, -4)), fromHex("00000000"));
});

test("files of versions 1 and 2 are recognised and refused", () => {
  const fields = { flags: 0, pageSize: 4096, commit: 10, preApplyChecksum: 0x9c74a15b4e4f246cn };
  const txids = { minTxid: 13n, maxTxid: 13n };
  const v1 = Buffer.alloc(12_420);
  v1.set(forgeHeader({ ...fields, ...txids }));
  for (const [i, pgno] of [1, 7, 8].entries()) v1.writeUInt32BE(pgno, 100 + i * 4100);
  v1.write("SQLite format 3", 104);
  const v1Empty = Buffer.concat([v1.subarray(0, 100), Buffer.alloc(20)]);
  const v1Compressed = Buffer.concat([
    forgeHeader({ ...fields, ...txids, flags: 1 }),
    fromHex("04224d18 6440a7"),
    Buffer.alloc(300),
  ]);
  const v2 = Buffer.concat([
    forgeHeader({ ...fields, ...txids }),
    fromHex("00000001 04224d18 6440a7"),
    Buffer.alloc(300),
  ]);
  for (const [version, bytes] of [
    [1, v1],
    [1, v1Empty],
    [2, v2],
  ] as const) {
    assert.throws(() => verifyLtx(memorySource(bytes)), {
      code: "ltx/unsupported",
      message: new RegExp(`encoding version ${version}; only version 3 is read`),
    });
  }
  assert.throws(() => verifyLtx(memorySource(v1Compressed)), { code: "ltx/unsupported" });
});
