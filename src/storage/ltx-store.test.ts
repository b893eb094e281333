/** LTX files in stores: keys, order, seeking, times. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import * as fc from "fast-check";
import { toTxid } from "../base/ids.ts";
import { isMillraceError } from "../errors.ts";
import { systemClock } from "../platform/clock.ts";
import { openMemoryStore } from "./backends/memory/memory.ts";
import { assertFails, CREATED_AT_MS, keysOf, pattern } from "./conformance/support.ts";
import {
  type LtxFileId,
  type LtxFileInfo,
  LtxStore,
  type LtxStoreOptions,
  MAX_LEVEL,
} from "./ltx-store.ts";

function open(options: LtxStoreOptions = {}): LtxStore {
  return new LtxStore(openMemoryStore({ clock: systemClock }), options);
}

function file(level: number, min: number | bigint, max: number | bigint = min): LtxFileId {
  return { level, minTxid: toTxid(min), maxTxid: toTxid(max) };
}

async function listed(files: AsyncIterable<LtxFileInfo>): Promise<LtxFileInfo[]> {
  return Array.fromAsync(files);
}

function ranges(files: readonly LtxFileInfo[]): string[] {
  return files.map(({ minTxid, maxTxid }) => `${minTxid}-${maxTxid}`);
}

describe("LtxStore keys", () => {
  it("has the layout of paths", () => {
    const store = open();
    assert.equal(store.keyOf(file(0, 1)), "ltx/0/0000000000000001-0000000000000001.ltx");
    assert.equal(store.keyOf(file(9, 1, 0xabc)), "ltx/9/0000000000000001-0000000000000abc.ltx");
    assert.equal(
      store.keyOf(file(3, 0xffff_ffff_ffff_ffffn)),
      "ltx/3/ffffffffffffffff-ffffffffffffffff.ltx",
    );
  });

  it("has the layout of S3", () => {
    const store = open({ layout: "s3" });
    assert.equal(store.keyOf(file(0, 1)), "0000/0000000000000001-0000000000000001.ltx");
    assert.equal(store.keyOf(file(9, 1)), "0009/0000000000000001-0000000000000001.ltx");
  });

  it("refuses levels that do not exist", () => {
    for (const level of [-1, MAX_LEVEL + 1, 0.5, Number.NaN]) {
      assert.throws(
        () => open().levelPrefix(level),
        (error) => isMillraceError(error, "internal/bug"),
      );
    }
  });
});

describe("LtxStore.list()", () => {
  it("orders by minTxid, then maxTxid, and keeps levels apart", async () => {
    await using store = open();
    const files = [file(1, 1, 16), file(1, 1, 2), file(1, 255), file(1, 3, 9), file(1, 256, 300)];
    for (const one of [...files, file(0, 7), file(2, 1, 300)]) {
      await store.write(one, pattern(5), { createdAtMs: CREATED_AT_MS });
    }
    const found = await listed(store.list(1));
    assert.deepEqual(ranges(found), ["1-2", "1-16", "3-9", "255-255", "256-300"]);
    assert.deepEqual(found[0], {
      ...file(1, 1, 2),
      sizeBytes: 5,
      createdAtMs: CREATED_AT_MS,
    });
    assert.deepEqual(await listed(store.list(8)), []);
  });

  it("yields exactly the files whose minTxid is at least seek", async () => {
    const txid = fc.bigInt({ min: 1n, max: 300n });
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.tuple(txid, txid), { maxLength: 20 }),
        txid,
        async (pairs, seek) => {
          await using store = open({ layout: "s3" });
          const files = pairs.map(([a, b]) => file(0, a < b ? a : b, a < b ? b : a));
          for (const one of files) await store.write(one, pattern(1), { createdAtMs: 1 });
          const found = ranges(await listed(store.list(0, { seek: toTxid(seek) })));
          const keys = new Map(files.map((one) => [store.keyOf(one), one]));
          const expected = [...keys.entries()]
            .filter(([, { minTxid }]) => minTxid >= seek)
            .sort(([a], [b]) => (a < b ? -1 : 1))
            .map(([, { minTxid, maxTxid }]) => `${minTxid}-${maxTxid}`);
          assert.deepEqual(found, expected);
        },
      ),
    );
  });

  it("skips foreign names", async () => {
    await using store = open();
    const foreign = [
      "README",
      "0000000000000001-0000000000000001.ltx.part",
      "0000000000000001-0000000000000001.LTX",
      "000000000000000A-000000000000000A.ltx",
      "0000000000000002-0000000000000001.ltx",
      "0000000000000001-0000000000000001.ltx2/0000000000000001-0000000000000001.ltx",
      "00000000000000001-0000000000000001.ltx",
    ];
    for (const name of foreign) await store.store.put(`ltx/0/${name}`, pattern(1));
    await store.store.put("ltx/0", pattern(1));
    await store.store.put("other", pattern(1));
    await store.write(file(0, 5), pattern(1), { createdAtMs: 1 });
    assert.deepEqual(ranges(await listed(store.list(0))), ["5-5"]);
  });

  it("asks for exact times only when wanted and when the listing lacks them", async () => {
    const inner = openMemoryStore({
      clock: systemClock,
      capabilities: { exactTimesInList: false },
    });
    await using store = new LtxStore(inner);
    for (let txid = 1; txid <= 70; txid += 1) {
      await store.write(file(0, txid), pattern(1), { createdAtMs: CREATED_AT_MS + txid });
    }
    for (const { createdAtMs } of await listed(store.list(0)))
      assert.ok(createdAtMs > CREATED_AT_MS + 1_000);
    const exact = await listed(store.list(0, { exactTimes: true }));
    assert.equal(exact.length, 70);
    for (const info of exact) assert.equal(info.createdAtMs, CREATED_AT_MS + Number(info.minTxid));
  });

  it("leaves out a file that is deleted before its time is asked for", async () => {
    const inner = openMemoryStore({
      clock: systemClock,
      capabilities: { exactTimesInList: false },
    });
    const original = inner.list.bind(inner);
    inner.list = async function* (prefix, options) {
      yield* await Array.fromAsync(original(prefix, options));
      await inner.delete([store.keyOf(file(0, 2))]);
    };
    await using store = new LtxStore(inner);
    for (const txid of [1, 2, 3]) await store.write(file(0, txid), pattern(1), { createdAtMs: 1 });
    assert.deepEqual(ranges(await listed(store.list(0, { exactTimes: true }))), ["1-1", "3-3"]);
  });
});

describe("LtxStore files", () => {
  it("write(), head(), open() and delete() agree", async () => {
    await using store = open();
    const one = file(2, 3, 9);
    const written = await store.write(one, pattern(500), {
      createdAtMs: CREATED_AT_MS,
      ifAbsent: true,
    });
    assert.deepEqual(written, { ...one, sizeBytes: 500, createdAtMs: CREATED_AT_MS });
    assert.deepEqual(await store.head(one), written);
    const body = await store.open(one, { offset: 100, sizeBytes: 6 });
    assert.deepEqual(await body.bytes(), pattern(500).slice(100, 106));
    await assertFails("storage/exists", () =>
      store.write(one, pattern(1), { createdAtMs: 1, ifAbsent: true }),
    );
    assert.deepEqual(await keysOf(store.store), [store.keyOf(one)]);
    await store.delete([one, file(2, 10)]);
    await assertFails("storage/not-found", () => store.open(one));
    await assertFails("storage/not-found", () => store.head(one));
  });

  it("write() refuses TXIDs in the wrong order", async () => {
    await using store = open();
    await assertFails("storage/misuse", () =>
      store.write(file(0, 2, 1), pattern(1), { createdAtMs: 1 }),
    );
  });

  it("dispose closes the store underneath", async () => {
    const store = open();
    await store[Symbol.asyncDispose]();
    await assertFails("storage/closed", () => store.head(file(0, 1)));
    await assertFails("storage/closed", () => listed(store.list(0)));
  });
});
