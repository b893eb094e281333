import assert from "node:assert/strict";
import { test } from "node:test";
import * as fc from "fast-check";
import { NO_CHECKSUM, toChecksum, toTxid } from "../base/ids.ts";
import { type ForgedHeader, forgeHeader } from "../testing/forge-ltx.ts";
import { propertyOptions } from "../testing/property.ts";
import { SAMPLE_PAGE_SIZES } from "../testing/sample-pages.ts";
import { FLAG_NO_CHECKSUM } from "./constants.ts";
import { decodeHeader, encodeHeader, isPageSize, lockPgno } from "./header.ts";
import type { LtxHeader } from "./header.ts";

const FLAG = 1n << 63n;

const BASE: LtxHeader = {
  flags: FLAG_NO_CHECKSUM,
  pageSize: 4096,
  commit: 10,
  minTxid: toTxid(2),
  maxTxid: toTxid(3),
  timestampMs: 1_700_000_000_000,
  preApplyChecksum: NO_CHECKSUM,
  walOffset: 0,
  walSize: 0,
  walSalt1: 0,
  walSalt2: 0,
  nodeId: 0n,
  databaseChecksum: NO_CHECKSUM,
};

test("lockPgno() is the page of the lock byte at every page size", () => {
  assert.deepEqual(
    SAMPLE_PAGE_SIZES.map(lockPgno),
    [2097153, 1048577, 524289, 262145, 131073, 65537, 32769, 16385],
  );
});

test("isPageSize() takes the powers of two from 512 to 65536", () => {
  for (let size = -1; size <= 70_000; size++) {
    assert.equal(isPageSize(size), SAMPLE_PAGE_SIZES.includes(size), `${size}`);
  }
  assert.equal(isPageSize(512.5), false);
});

test("encodeHeader() puts every field where the format has it", () => {
  const header: LtxHeader = {
    ...BASE,
    walOffset: 32,
    walSize: 536,
    walSalt1: 0x11223344,
    walSalt2: 0x99667788,
    nodeId: 0xfedcba9876543210n,
    databaseChecksum: toChecksum(FLAG | 0x1234n),
  };
  const reserved = Buffer.alloc(20);
  reserved.write("MRC1");
  reserved.writeBigUInt64BE(FLAG | 0x1234n, 4);
  const wanted = forgeHeader({
    pageSize: 4096,
    commit: 10,
    minTxid: 2n,
    maxTxid: 3n,
    timestampMs: 1_700_000_000_000n,
    walOffset: 32n,
    walSize: 536n,
    walSalts: [0x11223344, 0x99667788],
    nodeId: 0xfedcba9876543210n,
    reserved,
  });
  assert.deepEqual(Buffer.from(encodeHeader(header)), wanted);
  assert.deepEqual(decodeHeader(wanted), header);
});

test("decodeHeader() is the inverse of encodeHeader()", () => {
  const u32 = fc.nat({ max: 0xffffffff });
  const checksum = fc.bigInt({ min: 0n, max: FLAG - 1n }).map((low) => toChecksum(FLAG | low));
  const anyHeader = fc
    .record({
      tracked: fc.boolean(),
      pageSize: fc.constantFrom(...SAMPLE_PAGE_SIZES),
      commit: u32,
      txids: fc.tuple(
        fc.bigInt({ min: 1n, max: 2n ** 64n - 1n }),
        fc.bigInt({ min: 1n, max: 2n ** 64n - 1n }),
      ),
      timestampMs: fc.maxSafeInteger(),
      before: checksum,
      wal: fc.option(
        fc.record({
          walOffset: fc.integer({ min: 1, max: Number.MAX_SAFE_INTEGER }),
          walSize: fc.maxSafeNat(),
          walSalt1: u32,
          walSalt2: u32,
        }),
      ),
      nodeId: fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }),
      databaseChecksum: fc.oneof(fc.constant(NO_CHECKSUM), checksum),
    })
    .map(({ tracked, txids, before, wal, ...rest }): LtxHeader => {
      const minTxid = toTxid(txids[0] < txids[1] ? txids[0] : txids[1]);
      const maxTxid = toTxid(txids[0] < txids[1] ? txids[1] : txids[0]);
      return {
        ...BASE,
        ...rest,
        ...wal,
        flags: tracked ? 0 : FLAG_NO_CHECKSUM,
        minTxid,
        maxTxid,
        preApplyChecksum: tracked && minTxid !== 1n ? before : NO_CHECKSUM,
      };
    });
  fc.assert(
    fc.property(anyHeader, (header) => {
      assert.deepEqual(decodeHeader(encodeHeader(header)), header);
    }),
    propertyOptions(300),
  );
});

/** Each breaks one rule; the encoder and the decoder both refuse it. */
const BROKEN: readonly (readonly [string, Partial<ForgedHeader>, Partial<LtxHeader>, RegExp])[] = [
  ["unknown flag", { flags: 4 }, { flags: 4 }, /flags 0x4, wanted 0 or 2/],
  ["page size 0", { pageSize: 0 }, { pageSize: 0 }, /page size 0/],
  ["page size 256", { pageSize: 256 }, { pageSize: 256 }, /page size 256/],
  ["page size 131072", { pageSize: 131072 }, { pageSize: 131072 }, /page size 131072/],
  ["page size 4097", { pageSize: 4097 }, { pageSize: 4097 }, /page size 4097/],
  ["min TXID 0", { minTxid: 0n }, { minTxid: toTxid(0) }, /min TXID 0/],
  [
    "max below min",
    { maxTxid: 1n },
    { maxTxid: toTxid(1) },
    /max TXID 1, wanted at least the min TXID 2/,
  ],
  ["WAL offset below 0", { walOffset: -1n }, { walOffset: -1 }, /WAL offset -1/],
  [
    "WAL size below 0",
    { walOffset: 1n, walSize: -1n },
    { walOffset: 1, walSize: -1 },
    /WAL size -1/,
  ],
  ["WAL size alone", { walSize: 5n }, { walSize: 5 }, /WAL size 5 with WAL offset 0/],
  ["WAL salt alone", { walSalts: [1, 0] }, { walSalt1: 1 }, /WAL salts with WAL offset 0/],
  ["other WAL salt alone", { walSalts: [0, 1] }, { walSalt2: 1 }, /WAL salts with WAL offset 0/],
  [
    "WAL offset beyond 2^53",
    { walOffset: 1n << 60n },
    { walOffset: 2 ** 60 },
    /WAL offset 1152921504606847000/,
  ],
  ["timestamp beyond 2^53", { timestampMs: 1n << 60n }, { timestampMs: 2 ** 60 }, /timestamp/],
  [
    "pre-apply checksum of a snapshot",
    { minTxid: 1n, flags: 0, preApplyChecksum: FLAG | 1n },
    { minTxid: toTxid(1), flags: 0, preApplyChecksum: toChecksum(FLAG | 1n) },
    /pre-apply checksum 8000000000000001, wanted 0/,
  ],
  [
    "pre-apply checksum with NoChecksum",
    { preApplyChecksum: FLAG | 1n },
    { preApplyChecksum: toChecksum(FLAG | 1n) },
    /pre-apply checksum 8000000000000001, wanted 0/,
  ],
  [
    "no pre-apply checksum when tracked",
    { flags: 0 },
    { flags: 0 },
    /pre-apply checksum 0000000000000000, wanted bit 63 set/,
  ],
  [
    "pre-apply checksum without its flag",
    { flags: 0, preApplyChecksum: 5n },
    { flags: 0, preApplyChecksum: toChecksum(5n) },
    /pre-apply checksum 0000000000000005, wanted bit 63 set/,
  ],
  [
    "database checksum without its flag",
    { reserved: Buffer.from(`4d524331${"00".repeat(7)}05${"00".repeat(8)}`, "hex") },
    { databaseChecksum: toChecksum(5n) },
    /database checksum 0000000000000005, wanted bit 63 set/,
  ],
];

for (const [name, forged, fields, message] of BROKEN) {
  test(`decodeHeader() and encodeHeader() refuse: ${name}`, () => {
    const bytes = forgeHeader({ pageSize: 4096, commit: 10, minTxid: 2n, maxTxid: 3n, ...forged });
    assert.throws(() => decodeHeader(bytes, "a.ltx"), { code: "ltx/invalid", message });
    assert.throws(() => encodeHeader({ ...BASE, ...fields }), { code: "ltx/misuse", message });
  });
}

test("encodeHeader() refuses numbers that do not fit their fields", () => {
  for (const fields of [
    { commit: 2 ** 32 },
    { commit: -1 },
    { commit: 1.5 },
    { walOffset: 1, walSalt1: 2 ** 32 },
  ]) {
    assert.throws(() => encodeHeader({ ...BASE, ...fields }), { code: "ltx/misuse" });
  }
});

test("decodeHeader() refuses other files, every short header, and the oldest encoding", () => {
  const bytes = encodeHeader(BASE);
  for (let size = 0; size < 100; size++) {
    assert.throws(() => decodeHeader(bytes.slice(0, size)), { code: "ltx/truncated" });
  }
  const other = forgeHeader({ magic: "LTX2", pageSize: 4096, commit: 1 });
  assert.throws(() => decodeHeader(other, "b.ltx"), {
    code: "ltx/invalid",
    message: 'read LTX file "b.ltx": magic 4c545832, wanted 4c545831 ("LTX1")',
  });
  const compressed = forgeHeader({ flags: 1, pageSize: 4096, commit: 1 });
  assert.throws(() => decodeHeader(compressed), { code: "ltx/unsupported" });
});

test("decodeHeader() ignores reserved bytes that are not ours", () => {
  const reserved = Buffer.alloc(20, 0xee);
  const bytes = forgeHeader({ pageSize: 4096, commit: 10, minTxid: 2n, maxTxid: 3n, reserved });
  assert.equal(decodeHeader(bytes).databaseChecksum, NO_CHECKSUM);
});
