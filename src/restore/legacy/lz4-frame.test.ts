import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { isMillraceError } from "../../errors.ts";
import { goldenBytes, goldenSample } from "../../../test/golden/samples.ts";
import { forgeLz4, type ForgedLz4 } from "../../testing/forge-lz4.ts";
import { sampleBytes } from "../../testing/sample-pages.ts";
import { Lz4Frames } from "./lz4-frame.ts";

const frames = new Lz4Frames();

async function* pieces(bytes: Uint8Array, step: number): AsyncGenerator<Uint8Array, void, void> {
  for (let at = 0; at < bytes.length; at += step) yield bytes.slice(at, at + step);
}

/** The content, copied out block by block. */
async function decompress(frame: Uint8Array, step = frame.length): Promise<Buffer> {
  const blocks: Uint8Array[] = [];
  for await (const block of frames.decompress(pieces(frame, Math.max(1, step)), "a sample"))
    blocks.push(block.slice());
  return Buffer.concat(blocks);
}

async function code(frame: Uint8Array): Promise<string> {
  try {
    await decompress(frame);
  } catch (error) {
    assert.ok(isMillraceError(error), String(error));
    return error.code;
  }
  return "none";
}

/** A few blocks of content, of which some compress. */
function content(size: number): Uint8Array {
  return Buffer.concat([sampleBytes(size, "text", 1), sampleBytes(size, "random", 2)]);
}

const SHAPES: readonly ForgedLz4[] = [
  {},
  { blockCode: 4 },
  { blockCode: 5, blockChecksums: true },
  { blockCode: 6, stored: true },
  { blockBytes: 777 },
  { blockBytes: 5000, blockChecksums: true, contentSize: 140_000n },
];

describe("Lz4Frames", () => {
  it("decompresses every shape of frame however its bytes arrive", async () => {
    const plain = content(70_000);
    for (const shape of SHAPES) {
      const frame = forgeLz4(plain, shape);
      for (const step of [frame.length, 1000, 7]) {
        assert.deepEqual(
          await decompress(frame, step),
          plain,
          JSON.stringify({ ...shape, contentSize: 0 }),
        );
      }
    }
    assert.equal((await decompress(forgeLz4(new Uint8Array()))).length, 0);
  });

  it("refuses a frame that ends anywhere before its end, or goes on after it", async () => {
    for (const shape of SHAPES) {
      const frame = forgeLz4(content(600), { ...shape, contentSize: 1200n });
      for (let size = 0; size < frame.length; size += 1) {
        assert.equal(await code(frame.subarray(0, size)), "lz4/damaged", `cut at ${size}`);
      }
      assert.equal(await code(Buffer.concat([frame, Buffer.from([0])])), "lz4/damaged");
      assert.equal(await code(Buffer.concat([frame, frame])), "lz4/damaged");
    }
  });

  it("refuses every flipped bit, except where the content stays the same", async () => {
    let same = 0;
    for (const shape of [{}, { blockChecksums: true, contentSize: 500n }]) {
      const plain = content(250);
      const frame = forgeLz4(plain, shape);
      for (let bit = 0; bit < frame.length * 8; bit += 1) {
        const damaged = Uint8Array.from(frame);
        damaged[bit >> 3] = (damaged[bit >> 3] ?? 0) ^ (1 << (bit & 7));
        const found = await code(damaged);
        if (found !== "none") continue;
        // A match that copies the same bytes from elsewhere; with block checksums even that is refused.
        assert.ok(!("blockChecksums" in shape), `bit ${bit} of a frame with block checksums`);
        assert.deepEqual(await decompress(damaged), plain, `bit ${bit}`);
        same += 1;
      }
    }
    assert.ok(same < 100, `${same} flipped bits make no difference`);
  });

  it("refuses what a golden object becomes by any cut, and by any flipped bit that changes its content", async () => {
    const { objects } = goldenSample("litestream-0.3", 512);
    for (const { key } of objects.slice(0, 4)) {
      const frame = goldenBytes("litestream-0.3", 512, key);
      const plain = await decompress(frame);
      for (let size = 0; size < frame.length; size += 11) {
        assert.equal(await code(frame.subarray(0, size)), "lz4/damaged", `${key} cut at ${size}`);
      }
      for (let at = 0; at < frame.length; at += 3) {
        const damaged = Uint8Array.from(frame);
        damaged[at] = (damaged[at] ?? 0) ^ (1 << (at % 8));
        if ((await code(damaged)) === "none") {
          assert.deepEqual(await decompress(damaged), plain, `${key} flipped at ${at}`);
        }
      }
    }
  });

  it("refuses what Litestream does not write, and says what it is", async () => {
    const plain = content(300);
    for (const shape of [
      { linked: true },
      { dictionary: 7 },
      { contentChecksum: null },
      { version: 2 },
      { blockCode: 3 },
    ] satisfies ForgedLz4[]) {
      assert.equal(await code(forgeLz4(plain, shape)), "lz4/unsupported", JSON.stringify(shape));
    }
    assert.equal(await code(forgeLz4(plain, { contentChecksum: 1 })), "lz4/damaged");
    assert.equal(await code(forgeLz4(plain, { contentSize: 5n })), "lz4/damaged");
    assert.equal(
      await code(forgeLz4(content(70_000), { blockCode: 4, blockBytes: 65_536 })),
      "none",
    );
    const encrypted = Buffer.from("age-encryption.org/v1\n-> X25519");
    await assert.rejects(decompress(encrypted), /encrypted with age/);
    assert.equal(await code(Buffer.from("SQLite format 3\0")), "lz4/damaged");
    // Announces a block larger than it may be: refused before anything is read for it.
    const absurd = forgeLz4(plain, { blockCode: 4 });
    absurd.writeUInt32LE(0x7fffffff, 7);
    assert.equal(await code(absurd), "lz4/damaged");
  });
});
