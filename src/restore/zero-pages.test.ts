import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { openKernel } from "../kernel/kernel.ts";
import { sumZeroPages } from "./zero-pages.ts";

const FLAG = 1n << 63n;

test("sumZeroPages() equals the sum over each page of the run", () => {
  for (const pageSize of [512, 4096, 65536]) {
    const kernel = openKernel({ pageSize, batchPages: 1 });
    const first = fc.oneof(
      fc.integer({ min: 1, max: 300 }),
      fc.integer({ min: 2 ** 31 - 40, max: 2 ** 32 - 70 }),
    );
    fc.assert(
      fc.property(first, fc.nat(60), (first, more) => {
        let expected = 0n;
        for (let pgno = first; pgno <= first + more; pgno += 1) {
          kernel.input.fill(0);
          expected ^= kernel.pageChecksums(Uint32Array.of(pgno))[0] ?? 0n;
        }
        const { low, high } = sumZeroPages(kernel, { first, last: first + more });
        const sum = (BigInt(high >>> 0) << 32n) | BigInt(low >>> 0);
        assert.equal(sum | FLAG, expected | FLAG);
      }),
    );
  }
});
