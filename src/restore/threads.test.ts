import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { isMillraceError } from "../errors.ts";
import { nodeFiles } from "../platform/files.ts";
import { BoundedJobs } from "./bounded-jobs.ts";
import { FRAME_USE, FrameDecoder, type FrameTask } from "./decode-frames.ts";
import { DecodePool } from "./decode-pool.ts";
import { LocalFile } from "./local-file.ts";
import { LocalReader } from "./local-reader.ts";

let dir = "";
before(() => {
  dir = mkdtempSync(join(tmpdir(), "millrace-threads-"));
});
after(() => rmSync(dir, { recursive: true }));

test("BoundedJobs keeps to its budget, and lets a job larger than it run alone", async () => {
  const jobs = new BoundedJobs({ maxBytes: 10, maxJobs: 3 }, () => {});
  let bytes = 0;
  let running = 0;
  let most = 0;
  for (const size of [4, 4, 4, 25, 1, 1, 1, 1, 10]) {
    await jobs.start(size, async () => {
      bytes += size;
      running += 1;
      most = Math.max(most, running);
      assert.ok(bytes <= 10 || running === 1, `${bytes} bytes in ${running} jobs`);
      await new Promise((resolve) => setImmediate(resolve));
      bytes -= size;
      running -= 1;
    });
  }
  await jobs.finish();
  assert.equal(running, 0);
  assert.equal(most, 3);
});

test("BoundedJobs reports the first failure at once and to everybody who comes later", async () => {
  const first = new Error("first");
  const heard: unknown[] = [];
  const jobs = new BoundedJobs({ maxBytes: 10, maxJobs: 2 }, (error) => heard.push(error));
  for (const error of [first, new Error("second")]) {
    await jobs.start(5, async () => {
      await new Promise((resolve) => setImmediate(resolve));
      throw error;
    });
  }
  await assert.rejects(
    jobs.start(8, () => Promise.resolve()),
    first,
  );
  await assert.rejects(jobs.finish(), first);
  assert.deepEqual(heard, [first]);
});

test("FrameDecoder says what is wrong with a frame, and where", () => {
  using local = new LocalFile(nodeFiles);
  const decoder = new FrameDecoder({ pageSize: 512, files: nodeFiles, local, hashed: true });
  // A page of 512 bytes 0xab as a block frame.
  const block = [0x1f, 0xab, 0x01, 0x00, 0xff, 0xda, 0x00, 0x02, 0x00, 0x00, 0x02, 0x00];
  const payload = [...block, 0xb0, ...Array<number>(11).fill(0xab)];
  const frame = Uint8Array.from([0, 0, 0, 3, 0, 1, 0, 0, 0, payload.length, ...payload]);
  const task = (
    source: Uint8Array<ArrayBuffer> | string,
    pgno: number,
    size: number,
  ): FrameTask => ({
    source,
    fileOffset: 1000,
    frames: Uint32Array.of(pgno, 0, size),
    uses: Uint8Array.of(FRAME_USE.take),
    sizeBytes: source.length,
    keepAt: undefined,
  });
  const changed = (index: number, value: number): Uint8Array<ArrayBuffer> => {
    const copy = frame.slice();
    copy[index] = value;
    return copy;
  };
  assert.equal(decoder.decode(task(frame, 3, frame.length)).pages, 1);
  const cases: readonly (readonly [FrameTask, string, RegExp])[] = [
    [task(frame, 4, frame.length), "ltx/invalid", /page 3 of 34 bytes/],
    [task(changed(5, 2), 3, frame.length), "ltx/invalid", /unknown page flags/],
    [task(changed(3, 0), 3, frame.length), "ltx/invalid", /unknown page flags/],
    [task(changed(7, 1), 3, frame.length), "ltx/invalid", /impossible payload size/],
    [task(changed(9, 60), 3, frame.length), "ltx/invalid", /longer than the page index says/],
    [task(changed(14, 0xfe), 3, frame.length), "ltx/invalid", /does not decompress to one page/],
    [task(new Uint8Array(frame.length), 3, frame.length), "ltx/invalid", /end marker/],
    [task(join(dir, "absent"), 3, frame.length), "storage/unavailable", /cannot be read/],
  ];
  for (const [bad, code, message] of cases) {
    assert.throws(
      () => decoder.decode(bad),
      (error: unknown) => {
        assert.ok(isMillraceError(error), String(error));
        assert.equal(error.code, code, error.message);
        assert.match(error.message, message);
        if (code !== "storage/unavailable") assert.equal(error.details["offset"], 1000);
        return true;
      },
    );
  }
});

test("LocalReader reads ranges in buffers of their own and gives up quietly", async () => {
  await using pool = new DecodePool(1);
  const reader = new LocalReader(pool);
  const path = join(dir, "file");
  writeFileSync(path, "0123456789");
  const range = { path, fileSizeBytes: 10, offset: 2, sizeBytes: 3 };
  const [one, two, absent, longer, directory] = await Promise.all([
    reader.read(range),
    reader.read({ ...range, offset: 0, sizeBytes: 10 }),
    reader.read({ ...range, path: join(dir, "absent") }),
    reader.read({ ...range, fileSizeBytes: 11 }),
    reader.read({ ...range, path: dir }),
  ]);
  assert.equal(Buffer.from(one ?? []).toString(), "234");
  assert.equal(one?.buffer.byteLength, 3);
  assert.equal(Buffer.from(two ?? []).toString(), "0123456789");
  assert.deepEqual([absent, longer, directory], [undefined, undefined, undefined]);
});

test("DecodePool fails the calls of a thread that is gone, before and after", async () => {
  const pool = new DecodePool(1);
  const pending = pool.sync();
  const expected = assert.rejects(pending, { code: "internal/bug" });
  await pool[Symbol.asyncDispose]();
  await expected;
  await assert.rejects(pool.sync(), { code: "internal/bug" });
});
