/**
 * Writers killed in the middle of their puts.
 *
 * What is durable: every put that the writer reported. What may be there or not: the one it was in. What must
 * never be: an object with other bytes or another time than some put gave it, or a listed temporary file.
 * A killed process is not a lost machine: that flushes come in the right order is a test of `file.fault.test.ts`.
 */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import fs from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, it } from "node:test";
import { assertBytes, collect, cut, pattern } from "../../conformance/support.ts";
import { openFileStore } from "./file.ts";

const KILLS = 40;
const FIRST_TIME_MS = 1_700_000_000_000;

/** Content of put number `step`: the number, then bytes that follow from it. */
function content(step: number): Uint8Array {
  const bytes = pattern(8 + (step % 7) * 300_000 + step, step);
  new DataView(bytes.buffer).setUint32(0, step);
  return bytes;
}

/** Replaces one object and creates others, says when it is inside a put and when one is done, until killed. */
async function write(root: string, first: number): Promise<void> {
  await using store = openFileStore({ rootDirectory: root });
  for (let step = first; ; step += 1) {
    const chunks = cut(content(step), 100_000);
    const at = step % chunks.length;
    const body = {
      sizeBytes: chunks.reduce((sum, chunk) => sum + chunk.length, 0),
      open: async function* () {
        for (const [index, chunk] of chunks.entries()) {
          if (index === at) process.stdout.write(`inside ${step}\n`);
          yield await Promise.resolve(chunk);
        }
      },
    };
    const isReplacing = step % 3 === 0;
    const key = isReplacing ? "ltx/0/same" : `ltx/${step % 4}/${step}`;
    await store.put(key, body, { createdAtMs: FIRST_TIME_MS + step, ifAbsent: !isReplacing });
    process.stdout.write(`done ${step}\n`);
  }
}

/** Numbers of puts: the last that was begun, and all that were reported as finished. */
interface Progress {
  last: number;
  readonly done: Set<number>;
}

/** Starts a writer and kills it inside its put number `countPuts`. */
async function writeAndKill(root: string, countPuts: number, progress: Progress): Promise<void> {
  // The put that is interrupted may have happened: its number is not used again.
  const args = [import.meta.filename, root, String(progress.last + 1)];
  const child = spawn(process.execPath, args, { stdio: ["ignore", "pipe", "inherit"] });
  const exited = once(child, "exit");
  let output = "";
  for await (const chunk of child.stdout) {
    output += String(chunk);
    if (output.split("inside").length > countPuts) child.kill("SIGKILL");
  }
  const [, signal] = (await exited) as [number | null, string | null];
  assert.equal(signal, "SIGKILL", output);
  for (const [, what, step] of output.matchAll(/^(inside|done) (\d+)\n/gm)) {
    progress.last = Number(step);
    if (what === "done") progress.done.add(Number(step));
  }
}

async function assertWhole(root: string, done: ReadonlySet<number>): Promise<void> {
  await using store = openFileStore({ rootDirectory: root });
  const found = new Set<number>();
  let replacedBy = 0;
  for await (const info of store.list("")) {
    assert.match(info.key, /^ltx\/\d\/(same|\d+)$/);
    const bytes = await collect(await store.get(info.key));
    const step = new DataView(bytes.buffer, bytes.byteOffset).getUint32(0);
    assertBytes(bytes, content(step), info.key);
    assert.equal(info.createdAtMs, FIRST_TIME_MS + step, info.key);
    if (info.key === "ltx/0/same") replacedBy = step;
    else found.add(step);
  }
  for (const step of done) {
    if (step % 3 === 0)
      assert.ok(replacedBy >= step, `put ${step} was reported, ${replacedBy} is there`);
    else assert.ok(found.has(step), `put ${step} was reported, and is gone`);
  }
}

if (process.argv[2] !== undefined && process.argv[3] !== undefined) {
  await write(process.argv[2], Number(process.argv[3]));
} else {
  describe("a killed writer", () => {
    it(`leaves whole objects only, ${KILLS} times`, async () => {
      const root = fs.mkdtempSync(join(tmpdir(), "millrace-crash-"));
      try {
        const progress: Progress = { last: 0, done: new Set() };
        for (let kill = 0; kill < KILLS; kill += 1) {
          await writeAndKill(root, 1 + (kill % 5), progress);
          if (kill % 8 === 7) await assertWhole(root, progress.done);
        }
        const names = fs.readdirSync(root, { recursive: true, encoding: "utf8" });
        const countUnfinished = names.filter((name) => name.endsWith(".tmp")).length;
        process.stdout.write(
          `${KILLS} kills, ${progress.done.size} puts, ${countUnfinished} unfinished files\n`,
        );
      } finally {
        fs.rmSync(root, { recursive: true, force: true });
      }
    });
  });
}
