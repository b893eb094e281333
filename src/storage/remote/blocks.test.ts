/** Content in blocks of one size, names below a prefix, times in metadata, and many requests at once. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import * as fc from "fast-check";
import { propertyOptions } from "../../testing/property.ts";
import { assertFails, cut, pattern, streamOf } from "../conformance/support.ts";
import { guardSource } from "../source.ts";
import { blocksOf } from "./blocks.ts";
import { forEachBounded } from "./bounded.ts";
import { RootedKeys } from "./rooted-keys.ts";
import { formatTimestamp, parseTimestamp } from "./timestamps.ts";

describe("blocksOf()", () => {
  it("gives the same bytes in blocks of the wanted size", async () => {
    const sizes = fc.tuple(
      fc.nat(200),
      fc.integer({ min: 1, max: 50 }),
      fc.integer({ min: 1, max: 70 }),
    );
    await fc.assert(
      fc.asyncProperty(sizes, async ([sizeBytes, chunkBytes, blockBytes]) => {
        const bytes = pattern(sizeBytes);
        const body = streamOf(cut(bytes, chunkBytes));
        const source = guardSource("put", "a", body, new AbortController().signal);
        const blocks = await Array.fromAsync(blocksOf(source, blockBytes));
        assert.equal(Buffer.compare(Buffer.concat(blocks), bytes), 0);
        assert.equal(blocks.length, Math.ceil(sizeBytes / blockBytes));
        for (const block of blocks.slice(0, -1)) assert.equal(block.length, blockBytes);
      }),
      propertyOptions(200),
    );
  });

  it("keeps the last block back until the source has ended well", async () => {
    const body = streamOf([pattern(10), pattern(1)], 10);
    const source = guardSource("put", "a", body, new AbortController().signal);
    const seen: Uint8Array[] = [];
    await assertFails("storage/source-mismatch", async () => {
      for await (const block of blocksOf(source, 5)) seen.push(block);
    });
    assert.equal(seen.length, 1);
  });
});

describe("forEachBounded()", () => {
  it("runs all, never more than the limit at once", async () => {
    let running = 0;
    let most = 0;
    const done: number[] = [];
    await forEachBounded([...Array.from({ length: 20 }).keys()], 3, async (item) => {
      running += 1;
      most = Math.max(most, running);
      await Promise.resolve();
      done.push(item);
      running -= 1;
    });
    assert.equal(most, 3);
    assert.equal(done.length, 20);
  });

  it("begins nothing after a failure, and throws it", async () => {
    let begun = 0;
    const failing = forEachBounded([1, 2, 3, 4], 2, async () => {
      begun += 1;
      await Promise.resolve();
      throw new Error("no");
    });
    await assert.rejects(failing, /no/);
    assert.equal(begun, 2);
  });
});

describe("RootedKeys", () => {
  it("puts keys below a prefix and finds them there", () => {
    const keys = new RootedKeys("a/b", 100);
    assert.equal(keys.name("get", "ltx/0/x"), "a/b/ltx/0/x");
    assert.equal(keys.key("a/b/ltx/0/x"), "ltx/0/x");
    for (const foreign of ["a/b", "a/b/", "a/bc/x", "a/b//x", "a/b/dir/", "a/b/x.tmp", "x"])
      assert.equal(keys.key(foreign), undefined, foreign);
    assert.equal(new RootedKeys("", 100).name("get", "x"), "x");
  });

  it("refuses names that the prefix makes too long", async () => {
    const keys = new RootedKeys("é".repeat(10), 30);
    assert.equal(keys.name("get", "x".repeat(9)).length, 20);
    await assertFails("storage/invalid-key", async () => keys.name("get", "x".repeat(10)));
  });
});

describe("timestamps", () => {
  it("are read as they were written, to the millisecond", () => {
    const times = fc.integer({ min: 0, max: 253_402_300_799_999 });
    fc.assert(
      fc.property(times, (ms) => {
        assert.equal(parseTimestamp(formatTimestamp(ms)), ms);
      }),
      propertyOptions(500),
    );
  });

  it("are read as Litestream writes them", () => {
    const ms = Date.parse("2024-01-02T03:04:05Z");
    assert.equal(parseTimestamp("2024-01-02T03:04:05Z"), ms);
    assert.equal(parseTimestamp("2024-01-02T03:04:05.1Z"), ms + 100);
    assert.equal(parseTimestamp("2024-01-02T03:04:05.123456789Z"), ms + 123);
    assert.equal(parseTimestamp("2024-01-02T04:04:05+01:00"), ms);
    for (const text of ["", "yesterday", "1700000000", undefined, null])
      assert.equal(parseTimestamp(text), undefined);
  });

  it("end with the year 9999", async () => {
    await assertFails("storage/misuse", async () => formatTimestamp(253_402_300_800_000));
  });
});
