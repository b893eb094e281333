/** Flushing while writing goes on: one flush at a time, and no failure is lost. */
import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test from "node:test";
import { BackgroundFlush } from "./background-flush.ts";

test("BackgroundFlush flushes when enough was written, and reports what failed at the end", async () => {
  const directory = mkdtempSync(join(tmpdir(), "millrace-flush-"));
  try {
    const path = join(directory, "file");
    const flush = new BackgroundFlush("flush", path, 100);
    flush.wrote(99);
    // Nothing was begun, or it would have failed: there is no file.
    await flush.finish();
    writeFileSync(path, "x");
    flush.wrote(1);
    await flush.finish();
    rmSync(path);
    flush.wrote(100);
    await assert.rejects(flush.finish(), { code: "fs/not-found" });
    await assert.rejects(flush.finish(), { code: "fs/not-found" });
    await flush[Symbol.asyncDispose]();
  } finally {
    rmSync(directory, { recursive: true });
  }
});
