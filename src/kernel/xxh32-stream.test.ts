import assert from "node:assert/strict";
import { test } from "node:test";
import { sampleBytes } from "../testing/sample-pages.ts";
import { openKernel } from "./kernel.ts";
import { Xxh32, xxh32Of } from "./xxh32-stream.ts";

test("xxh32Of() has the published values", () => {
  assert.equal(xxh32Of(new Uint8Array()), 0x02cc5d05);
  assert.equal(xxh32Of(new TextEncoder().encode("a")), 0x550d7456);
  assert.equal(xxh32Of(new TextEncoder().encode("abc")), 0x32d153ff);
});

test("Xxh32 equals the kernel's hash however the bytes are cut", () => {
  const kernel = openKernel({ pageSize: 65536, batchPages: 1 });
  const bytes = sampleBytes(4099, "random", 1);
  for (const size of [0, 1, 3, 15, 16, 17, 31, 32, 33, 100, 4099]) {
    const wanted = kernel.xxh32(bytes.slice(0, size));
    for (const step of [1, 5, 15, 16, 17, 48, 5000]) {
      const hash = new Xxh32();
      for (let at = 0; at < size; at += step)
        hash.update(bytes.slice(at, Math.min(size, at + step)));
      assert.equal(hash.value, wanted, `${size} bytes in pieces of ${step}`);
    }
  }
});
