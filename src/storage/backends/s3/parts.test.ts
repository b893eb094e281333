/** Uploads in parts: order, bounds, and what happens when one fails. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { guardSource } from "../../source.ts";
import { cut, pattern, streamOf } from "../../conformance/support.ts";
import type { BackendSource } from "../../backend.ts";
import { partSizesFor, uploadParts } from "./parts.ts";
import { MIB } from "./s3-plan.ts";

const NEVER = new AbortController().signal;
const BYTES = pattern(1_050);

function sourceOf(body: Uint8Array | ReturnType<typeof streamOf>, signal = NEVER): BackendSource {
  return guardSource("put object", "key", body, signal);
}

describe("partSizesFor()", () => {
  const wanted = { partSizeBytes: 5 * MIB, concurrency: 5 };

  it("keeps what is wanted as long as the number of parts allows", () => {
    assert.equal(partSizesFor(50_000 * MIB, wanted), wanted);
  });

  it("makes larger parts of a larger object, and fewer at a time", () => {
    const sizes = partSizesFor(100_000 * MIB, wanted);
    assert.deepEqual(sizes, { partSizeBytes: 10 * MIB, concurrency: 2 });
    const largest = partSizesFor(5 * 1024 ** 4, wanted);
    assert.equal(largest.concurrency, 1);
    assert.ok(Math.ceil((5 * 1024 ** 4) / largest.partSizeBytes) <= 10_000);
  });
});

describe("uploadParts()", () => {
  const bodies = { "bytes in memory": BYTES, "a stream": streamOf(cut(BYTES, 170)) };
  for (const [what, body] of Object.entries(bodies)) {
    it(`hands over ${what} in numbered parts, so many at a time, and keeps their order`, async () => {
      let running = 0;
      let most = 0;
      const stored = new Map<number, Uint8Array>();
      const options = { partSizeBytes: 100, concurrency: 3, signal: NEVER };
      const parts = await uploadParts(sourceOf(body), options, async (number, bytes) => {
        most = Math.max(most, (running += 1));
        // Later ones are sooner done.
        for (let turn = 0; turn < 20 - number; turn += 1) await Promise.resolve();
        stored.set(number, bytes.slice());
        running -= 1;
        return `part ${number}`;
      });
      const numbers = Array.from({ length: 11 }, (_, index) => index + 1);
      assert.deepEqual(
        parts,
        numbers.map((number) => `part ${number}`),
      );
      assert.equal(most, 3);
      const joined = Buffer.concat(numbers.map((number) => stored.get(number) ?? BYTES));
      assert.deepEqual(joined, Buffer.from(BYTES));
    });
  }

  it("throws the first failure when the others, told to stop, have ended", async () => {
    const broken = new Error("broken");
    let ended = 0;
    const options = { partSizeBytes: 100, concurrency: 3, signal: NEVER };
    const uploading = uploadParts(sourceOf(BYTES), options, async (number, _bytes, stop) => {
      if (number === 3) throw broken;
      const { promise, reject } = Promise.withResolvers<never>();
      stop.addEventListener("abort", () => reject(stop.reason as Error));
      await promise.finally(() => (ended += 1));
    });
    await assert.rejects(uploading, (error) => error === broken);
    assert.equal(ended, 2);
  });

  it("throws what the source throws, and begins nothing more", async () => {
    const broken = new Error("broken");
    const numbers: number[] = [];
    const body = {
      sizeBytes: 1_000,
      open: async function* () {
        yield* cut(pattern(350), 50);
        throw broken;
      },
    };
    const options = { partSizeBytes: 100, concurrency: 2, signal: NEVER };
    const uploading = uploadParts(sourceOf(body), options, async (number) => numbers.push(number));
    await assert.rejects(uploading, (error) => error === broken);
    assert.deepEqual(numbers, [1, 2, 3]);
  });

  it("throws the reason of an abort", async () => {
    const controller = new AbortController();
    const reason = new Error("stop");
    const options = { partSizeBytes: 100, concurrency: 2, signal: controller.signal };
    const source = sourceOf(streamOf(cut(BYTES, 50)), controller.signal);
    const uploading = uploadParts(source, options, async (number) => {
      if (number === 4) controller.abort(reason);
    });
    await assert.rejects(uploading, (error) => error === reason);
  });
});
