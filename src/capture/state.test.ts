/** The continuity record: the newer of two slots, and nothing that a crash spoiled. */
import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync, statSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test from "node:test";
import { toChecksum, toTxid } from "../base/ids.ts";
import { nodeFiles } from "../platform/files.ts";
import { loadState, StateFile, type CaptureState } from "./state.ts";

const SLOT_BYTES = 4096;

function place(): Disposable & { readonly path: string } {
  const directory = mkdtempSync(join(tmpdir(), "millrace-state-"));
  return {
    path: join(directory, "state"),
    [Symbol.dispose]: () => rmSync(directory, { recursive: true }),
  };
}

function stateOf(txid: bigint, reason?: string): CaptureState {
  return {
    txid: toTxid(txid),
    pageSize: 4096,
    commit: 7,
    databaseChecksum: toChecksum(0x8000_0000_0000_0000n | txid),
    file: { dev: "1", ino: "2" },
    wal: { salt1: 1, salt2: 2, offset: 32, s0: 3, s1: 4 },
    owed: reason === undefined ? undefined : { kind: "diff", reason },
  };
}

/** A file after saving the states 1 to `count`. */
function saved(path: string, count: number): void {
  const file = new StateFile(nodeFiles, path);
  file.load();
  for (let txid = 1; txid <= count; txid += 1) file.save(stateOf(BigInt(txid)));
}

test("no file holds no state; a saved one comes back, also through another process's eyes", () => {
  using at = place();
  const file = new StateFile(nodeFiles, at.path);
  assert.equal(file.load(), undefined);
  for (const txid of [1n, 2n, 3n]) {
    file.save(stateOf(txid, "why"));
    assert.deepEqual(loadState(nodeFiles, at.path), stateOf(txid, "why"));
    assert.deepEqual(new StateFile(nodeFiles, at.path).load(), stateOf(txid, "why"));
  }
  assert.equal(statSync(at.path).size, 2 * SLOT_BYTES);
});

test("numbering goes on after a restart", () => {
  using at = place();
  for (const txid of [1n, 2n, 3n, 4n]) {
    const file = new StateFile(nodeFiles, at.path);
    file.load();
    file.save(stateOf(txid));
    assert.equal(loadState(nodeFiles, at.path)?.txid, txid);
  }
});

test("whatever a crash makes of the slot being written, the record before it counts", () => {
  using at = place();
  saved(at.path, 4);
  const before = readFileSync(at.path);
  saved(at.path, 1);
  const after = readFileSync(at.path);
  const changed = before.subarray(0, SLOT_BYTES).equals(after.subarray(0, SLOT_BYTES)) ? 1 : 0;
  const start = changed * SLOT_BYTES;
  const end = after.indexOf("\n", start) + 1;
  // Every length of a prefix of the new record over the old one, and every single byte of it spoiled.
  for (let cut = start; cut < end; cut += 1) {
    const torn = Buffer.from(before);
    after.copy(torn, start, start, cut);
    writeFileSync(at.path, torn);
    const found = loadState(nodeFiles, at.path)?.txid;
    assert.ok(found === 4n || (found === 1n && torn.equals(after)), `cut at ${cut}: ${found}`);
    const spoiled = Buffer.from(after);
    spoiled[cut] = (spoiled[cut] ?? 0) ^ 0x04;
    writeFileSync(at.path, spoiled);
    assert.equal(loadState(nodeFiles, at.path)?.txid, 4n, `byte ${cut}`);
  }
});

test("a file that is cut short, foreign or empty gives nothing or the slot that is whole, and is made anew", () => {
  using at = place();
  saved(at.path, 2);
  truncateSync(at.path, SLOT_BYTES);
  assert.equal(loadState(nodeFiles, at.path)?.txid, 2n);
  for (const content of ["", "{}\n", "x".repeat(2 * SLOT_BYTES)]) {
    writeFileSync(at.path, content);
    assert.equal(loadState(nodeFiles, at.path), undefined);
    saved(at.path, 1);
    assert.equal(loadState(nodeFiles, at.path)?.txid, 1n);
  }
});

test("a reason of any length and script fits its slot", () => {
  using at = place();
  const file = new StateFile(nodeFiles, at.path);
  for (const character of ["x", "\u0001", "€", "😀"]) {
    file.save(stateOf(9n, character.repeat(10_000)));
    assert.ok(file.load()?.owed?.reason.startsWith(character), JSON.stringify(character));
  }
});
