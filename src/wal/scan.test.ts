import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { after, test } from "node:test";
import { openKernel } from "../kernel/kernel.ts";
import { FRAME_HEADER_SIZE, frameSize, WAL_HEADER_SIZE, walSize } from "./constants.ts";
import { parseFrameHeader } from "./frame.ts";
import { parseWalHeader, walChecksum, type WalHeader } from "./header.ts";
import { scanWal, startOfGeneration, type WalChunk, type WalRead } from "./scan.ts";

const dir = mkdtempSync(join(tmpdir(), "millrace-wal-"));
after(() => rmSync(dir, { recursive: true }));

/** A WAL that SQLite wrote: the bytes, and what its transactions were. */
function realWal(options: {
  readonly pageSize: number;
  readonly statements: readonly string[];
}): Uint8Array {
  const path = join(dir, `${options.pageSize}-${Math.random()}.db`);
  const db = new DatabaseSync(path);
  db.exec(
    `PRAGMA page_size = ${options.pageSize}; PRAGMA journal_mode = wal; PRAGMA wal_autocheckpoint = 0`,
  );
  for (const sql of options.statements) db.exec(sql);
  const bytes = readFileSync(`${path}-wal`);
  db.close();
  return bytes;
}

function reader(bytes: Uint8Array): WalRead {
  return (target, offset) => {
    const part = bytes.slice(offset, offset + target.length);
    target.set(part);
    return part.length;
  };
}

function scan(
  bytes: Uint8Array,
  options: { readonly maxBytes?: number; readonly endOffset?: number } = {},
): WalChunk {
  const header = parsed(bytes);
  const kernel = openKernel({ pageSize: header.pageSize });
  return scanWal({
    kernel,
    read: reader(bytes),
    header,
    from: startOfGeneration(header),
    ...options,
  });
}

function parsed(bytes: Uint8Array): WalHeader {
  const header = parseWalHeader(bytes);
  assert.ok(header !== undefined);
  return header;
}

const FILL = "INSERT INTO t VALUES (randomblob(3000))";
const SMALL = ["CREATE TABLE t (v)", FILL, FILL, "UPDATE t SET v = 'short'", "DROP TABLE t"];

for (const pageSize of [512, 4096, 65536]) {
  test(`scanWal() reads every transaction that SQLite committed at page size ${pageSize}`, () => {
    const bytes = realWal({ pageSize, statements: SMALL });
    const chunk = scan(bytes);
    assert.equal(chunk.transactions, SMALL.length);
    assert.equal(chunk.end.offset, bytes.length);
    for (const [pgno, offset] of chunk.frames) {
      const header = parseFrameHeader(bytes.slice(offset, offset + FRAME_HEADER_SIZE));
      assert.equal(header.pgno, pgno);
      assert.ok(pgno <= chunk.commit);
    }
  });
}

test("scanWal() ends before any damage, at the commit before it", () => {
  const bytes = realWal({ pageSize: 512, statements: SMALL });
  const commits = commitEnds(bytes);
  for (let at = WAL_HEADER_SIZE; at < bytes.length; at += 37) {
    const damaged = Uint8Array.from(bytes);
    damaged[at] = (damaged[at] ?? 0) ^ 0x10;
    const frameStart = at - ((at - WAL_HEADER_SIZE) % frameSize(512));
    const expected = Math.max(WAL_HEADER_SIZE, ...commits.filter((end) => end <= frameStart));
    assert.equal(scan(damaged).end.offset, expected, `bit flipped at ${at}`);
  }
});

test("scanWal() ends at the last whole transaction at every truncation", () => {
  const bytes = realWal({ pageSize: 512, statements: SMALL });
  const commits = commitEnds(bytes);
  for (let size = WAL_HEADER_SIZE; size <= bytes.length; size += 29) {
    const expected = Math.max(WAL_HEADER_SIZE, ...commits.filter((end) => end <= size));
    assert.equal(scan(bytes.slice(0, size)).end.offset, expected, `cut at ${size}`);
  }
});

test("scanWal() cuts at commits when limited and goes on from there to the same result", () => {
  const bytes = realWal({ pageSize: 512, statements: SMALL });
  const header = parsed(bytes);
  const kernel = openKernel({ pageSize: 512 });
  const commits = commitEnds(bytes);
  let from = startOfGeneration(header);
  let transactions = 0;
  for (let limited = true; limited;) {
    const chunk = scanWal({ kernel, read: reader(bytes), header, from, maxBytes: 1 });
    transactions += chunk.transactions;
    from = chunk.end;
    assert.ok(chunk.transactions <= 1);
    assert.ok(from.offset === WAL_HEADER_SIZE || commits.includes(from.offset));
    limited = chunk.limited;
  }
  assert.equal(transactions, SMALL.length);
  assert.deepEqual(from, scan(bytes).end);
});

test("scanWal() heeds the end offset and drops pages above the last commit", () => {
  const bytes = realWal({
    pageSize: 512,
    statements: [
      "PRAGMA auto_vacuum = FULL",
      "CREATE TABLE t (v)",
      "INSERT INTO t VALUES (randomblob(50000))",
      "DELETE FROM t",
    ],
  });
  const whole = scan(bytes);
  assert.ok([...whole.frames.keys()].every((pgno) => pgno <= whole.commit));
  const commits = commitEnds(bytes);
  const [first] = commits;
  assert.ok(first !== undefined);
  assert.equal(scan(bytes, { endOffset: first }).end.offset, first);
  assert.equal(scan(bytes, { endOffset: first + 100 }).end.offset, first);
});

test("parseWalHeader() takes a foreign, short or damaged header as an empty WAL and refuses unknown versions", () => {
  const bytes = realWal({ pageSize: 4096, statements: SMALL }).slice(0, WAL_HEADER_SIZE);
  assert.equal(parseWalHeader(bytes.slice(0, 31)), undefined);
  for (let bit = 0; bit < 256; bit++) {
    const damaged = Uint8Array.from(bytes);
    damaged[bit >> 3] = (damaged[bit >> 3] ?? 0) ^ (1 << (bit & 7));
    assert.equal(parseWalHeader(damaged), undefined, `bit ${bit}`);
  }
  const newer = Uint8Array.from(bytes);
  const view = new DataView(newer.buffer);
  view.setUint32(4, 3007001);
  const sum = walChecksum(newer.slice(0, 24), parsed(bytes).bigEndian);
  view.setUint32(24, sum.s0);
  view.setUint32(28, sum.s1);
  assert.throws(() => parseWalHeader(newer), { code: "wal/invalid" });
});

test("walSize() does not overflow at large pages and counts", () => {
  assert.equal(walSize(121_359, 65_536), 32 + 121_359 * 65_560);
});

/** Where transactions end, by the commit fields alone. */
function commitEnds(bytes: Uint8Array): number[] {
  const { pageSize } = parsed(bytes);
  const ends: number[] = [];
  for (let at = WAL_HEADER_SIZE; at < bytes.length; at += frameSize(pageSize)) {
    if (parseFrameHeader(bytes.slice(at, at + FRAME_HEADER_SIZE)).commit !== 0)
      ends.push(at + frameSize(pageSize));
  }
  return ends;
}
