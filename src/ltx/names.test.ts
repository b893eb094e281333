import assert from "node:assert/strict";
import { test } from "node:test";
import * as fc from "fast-check";
import { toTxid } from "../base/ids.ts";
import { propertyOptions } from "../testing/property.ts";
import { isContiguous, ltxFileName, parseLtxFileName } from "./names.ts";

test("ltxFileName() spells both TXIDs as 16 lower-case digits", () => {
  assert.equal(ltxFileName(toTxid(1), toTxid(0xabcdef)), "0000000000000001-0000000000abcdef.ltx");
});

test("parseLtxFileName() takes back what ltxFileName() wrote", () => {
  const txid = fc.bigInt({ min: 1n, max: 2n ** 64n - 1n });
  fc.assert(
    fc.property(txid, txid, (a, b) => {
      const range = { minTxid: toTxid(a < b ? a : b), maxTxid: toTxid(a < b ? b : a) };
      assert.deepEqual(parseLtxFileName(ltxFileName(range.minTxid, range.maxTxid)), range);
    }),
    propertyOptions(200),
  );
});

test("parseLtxFileName() takes nothing else for an LTX file", () => {
  const strangers = [
    "",
    "0000000000000001-0000000000000001.ltx.tmp",
    " 0000000000000001-0000000000000001.ltx",
    "0000000000000001-0000000000000001.ltx\n",
    "0000000000000001-0000000000000001.LTX",
    "000000000000000A-000000000000000A.ltx",
    "0000000000000001_0000000000000001.ltx",
    "000000000000001-0000000000000001.ltx",
    "00000000000000001-0000000000000001.ltx",
    "0000000000000000-0000000000000001.ltx",
    "0000000000000002-0000000000000001.ltx",
    "000000000000000g-0000000000000001.ltx",
  ];
  for (const name of strangers) assert.equal(parseLtxFileName(name), undefined, name);
});

test("isContiguous() allows overlap, but neither gaps nor files that reach no further", () => {
  const cases: readonly (readonly [number, number, number, boolean])[] = [
    [5, 6, 6, true],
    [5, 6, 9, true],
    [5, 3, 6, true],
    [5, 1, 9, true],
    [5, 7, 9, false],
    [5, 3, 5, false],
    [5, 5, 5, false],
    [0, 1, 1, true],
  ];
  for (const [previous, min, max, wanted] of cases) {
    const range = { minTxid: toTxid(min), maxTxid: toTxid(max) };
    assert.equal(isContiguous(toTxid(previous), range), wanted, `${previous}, then ${min}-${max}`);
  }
});
