/**
 * What Litestream's released reader refuses, our restore refuses: damaged files and files that break the format's rules
 * although their checksums are right. Ours may be stricter. It may also go on where only bytes are damaged that the
 * database does not depend on, if a database checksum recorded at capture proves the result; then it is the right one.
 */
import assert from "node:assert/strict";
import { cpSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import fc from "fast-check";
import { crcValue, newCrc, openKernel } from "../../src/kernel/kernel.ts";
import { isMillraceError } from "../../src/errors.ts";
import { CaptureBench } from "../../src/testing/capture-bench.ts";
import { LitestreamRefusal } from "../../src/testing/litestream-vfs.ts";
import { assertSameBytes, interopTest, restore, type Scene } from "./scene.ts";

/** Bits flipped in each of two replicas, one at a time; MILLRACE_INTEROP=all flips more. */
const FLIPS = process.env["MILLRACE_INTEROP"] === "all" ? 400 : 15;

const PAGE_SIZE = 512;
const PAGES = 3;
const FIRST = "0000000000000001-0000000000000001.ltx";
const SECOND = "0000000000000002-0000000000000002.ltx";
const THIRD = "0000000000000003-0000000000000003.ltx";

interface Parts {
  /** Page numbers in the order of their frames. */
  readonly pgnos: readonly number[];
  /** Bytes that each payload decompresses to, if not a page. */
  readonly payloadSize?: number | undefined;
  readonly commit?: number | undefined;
  readonly flags?: number | undefined;
  readonly preApply?: bigint | undefined;
  readonly postApply?: bigint | undefined;
  readonly pageSize?: number | undefined;
  readonly minTxid?: bigint | undefined;
  readonly maxTxid?: bigint | undefined;
}

const SOUND: Parts = { pgnos: [1, 2, 3] };

/** An LTX file of pages of `image`, however wrong, with an index that fits the frames and a right file checksum. */
function assemble(image: Uint8Array, parts: Parts): Buffer {
  const kernel = openKernel({ pageSize: PAGE_SIZE });
  const crc = newCrc();
  const written: Buffer[] = [];
  const put = (bytes: Buffer, hashed: Buffer = bytes): void => {
    kernel.crc64(crc, hashed);
    written.push(bytes);
  };
  const header = Buffer.alloc(100);
  header.write("LTX1");
  header.writeUInt32BE(parts.flags ?? 2, 4);
  header.writeUInt32BE(parts.pageSize ?? PAGE_SIZE, 8);
  header.writeUInt32BE(parts.commit ?? PAGES, 12);
  header.writeBigUInt64BE(parts.minTxid ?? 1n, 16);
  header.writeBigUInt64BE(parts.maxTxid ?? 1n, 24);
  header.writeBigUInt64BE(1_700_000_000_000n, 32);
  header.writeBigUInt64BE(parts.preApply ?? 0n, 40);
  put(header);
  const index: number[] = [];
  let offset = header.length;
  for (const pgno of parts.pgnos) {
    const page = Buffer.alloc(parts.payloadSize ?? PAGE_SIZE);
    page.set(image.subarray((pgno - 1) * PAGE_SIZE).subarray(0, page.length));
    const payload = Buffer.from(kernel.lz4Compress(page));
    const head = Buffer.alloc(10);
    head.writeUInt32BE(pgno, 0);
    head.writeUInt16BE(1, 4);
    head.writeUInt32BE(payload.length, 6);
    put(Buffer.concat([head, payload]), Buffer.concat([head, page]));
    index.push(...varint(pgno), ...varint(offset), ...varint(head.length + payload.length));
    offset += head.length + payload.length;
  }
  put(Buffer.alloc(6));
  put(Buffer.from([...index, 0]));
  const ending = Buffer.alloc(16);
  ending.writeBigUInt64BE(BigInt(index.length + 1), 0);
  ending.writeBigUInt64BE(parts.postApply ?? 0n, 8);
  put(ending);
  const checksum = Buffer.alloc(8);
  checksum.writeBigUInt64BE(crcValue(crc) | (1n << 63n));
  return Buffer.concat([...written, checksum]);
}

function varint(value: number): number[] {
  return value < 0x80 ? [value] : [(value & 0x7f) | 0x80, ...varint(value >>> 7)];
}

/** What a reader makes of a replica: a database, or why not. */
type Verdict = { readonly image: Uint8Array } | { readonly refusal: Error };

async function litestreamVerdict(scene: Scene, replica: string): Promise<Verdict> {
  const output = scene.newPath();
  try {
    await scene.vfs.hydrate(replica, output);
    return { image: readFileSync(output) };
  } catch (error) {
    if (error instanceof LitestreamRefusal) return { refusal: error };
    throw error;
  }
}

async function ourVerdict(scene: Scene, replica: string): Promise<Verdict> {
  const output = scene.newPath();
  try {
    await restore(replica, output);
    return { image: readFileSync(output) };
  } catch (error) {
    if (isMillraceError(error) && /^(?:ltx|restore)\//.test(error.code)) return { refusal: error };
    throw error;
  }
}

/** Both verdicts; fails where ours is milder than theirs without giving `right`, or differs from theirs in the bytes. */
async function judge(
  scene: Scene,
  replica: string,
  right: Uint8Array | undefined,
): Promise<{ readonly theirs: Verdict; readonly ours: Verdict }> {
  const [theirs, ours] = await Promise.all([
    litestreamVerdict(scene, replica),
    ourVerdict(scene, replica),
  ]);
  if ("refusal" in ours) return { theirs, ours };
  const expected = "image" in theirs ? theirs.image : right;
  assert.ok(
    expected !== undefined,
    `refused by Litestream only: ${String("refusal" in theirs && theirs.refusal)}`,
  );
  assertSameBytes(ours.image, expected, "the database");
  return { theirs, ours };
}

/** Files that break the rules although their file checksum is right. */
const WRONG_FILES: readonly (readonly [string, Partial<Parts>])[] = [
  ["pages in the wrong order", { pgnos: [1, 3, 2] }],
  ["a page twice", { pgnos: [1, 2, 2, 3] }],
  ["a page missing", { pgnos: [1, 3] }],
  ["the first page missing", { pgnos: [2, 3] }],
  ["fewer pages than the database has", { commit: PAGES + 1 }],
  ["an unknown header flag", { flags: 6 }],
  ["a page size that is none", { pageSize: 500 }],
  ["TXIDs in the wrong order", { maxTxid: 0n }],
  ["TXID 0", { minTxid: 0n }],
  ["a pre-apply checksum in a snapshot", { preApply: 1n << 63n }],
];

/** Litestream reads these, and makes something of them that nobody wrote. */
const STRICTER: readonly (readonly [string, Partial<Parts>])[] = [
  ["more pages than the database has", { commit: PAGES - 1 }],
  ["payloads of less than a page", { payloadSize: 400 }],
];

interopTest(
  "our restore refuses files that break the format's rules, as Litestream does",
  async (scene) => {
    const path = join(scene.levelDir(0), FIRST);
    const image = sampleImage(scene);
    mkdirSync(scene.levelDir(0), { recursive: true });
    writeFileSync(path, assemble(image, SOUND));
    const sound = await judge(scene, scene.replica, undefined);
    assert.ok("image" in sound.theirs && "image" in sound.ours, "a sound file is read");
    for (const [what, parts] of WRONG_FILES) {
      writeFileSync(path, assemble(image, { ...SOUND, ...parts }));
      const { theirs, ours } = await judge(scene, scene.replica, undefined);
      assert.ok("refusal" in theirs, `Litestream refuses ${what}`);
      assert.ok("refusal" in ours, `we refuse ${what}`);
    }
    for (const [what, parts] of STRICTER) {
      writeFileSync(path, assemble(image, { ...SOUND, ...parts }));
      const { ours } = await judge(scene, scene.replica, undefined);
      assert.ok("refusal" in ours, `we refuse ${what}`);
    }
  },
);

/** A database of three pages. */
function sampleImage(scene: Scene): Uint8Array {
  const path = scene.newPath();
  using db = new DatabaseSync(path);
  db.exec(`PRAGMA page_size = ${PAGE_SIZE}; CREATE TABLE a (v); CREATE TABLE b (v)`);
  db.exec("INSERT INTO a VALUES (randomblob(300)); INSERT INTO b VALUES (randomblob(300))");
  const image = readFileSync(path);
  assert.equal(image.length, PAGES * PAGE_SIZE);
  return image;
}

type Damage = (directory: string) => void;

function edit(name: string, change: (bytes: Buffer) => Buffer): Damage {
  return (directory) => {
    const path = join(directory, "ltx", "0", name);
    writeFileSync(path, change(readFileSync(path)));
  };
}

function flip(name: string, at: (sizeBytes: number) => number): Damage {
  return edit(name, (bytes) => {
    const offset = at(bytes.length);
    bytes[offset] = (bytes[offset] ?? 0) ^ 1;
    return bytes;
  });
}

/** Damage to a replica of three single transactions. */
const DAMAGES: readonly (readonly [string, Damage])[] = [
  ["a wrong file checksum", flip(FIRST, (size) => size - 1)],
  ["a wrong post-apply checksum", flip(FIRST, (size) => size - 9)],
  ["a wrong index size", flip(FIRST, (size) => size - 17)],
  ["a wrong offset in the index", flip(FIRST, (size) => size - 24 - 3)],
  ["a wrong magic", flip(SECOND, () => 3)],
  ["a wrong page number", flip(FIRST, () => 103)],
  ["a wrong page flag", flip(FIRST, () => 105)],
  ["a wrong payload size", flip(FIRST, () => 109)],
  ["a changed payload", flip(FIRST, (size) => Math.floor(size / 2))],
  ["a file cut in its header", edit(THIRD, (bytes) => bytes.subarray(0, 50))],
  ["a file cut in its pages", edit(FIRST, (bytes) => bytes.subarray(0, 300))],
  ["a file cut in its trailer", edit(THIRD, (bytes) => bytes.subarray(0, -4))],
  ["bytes after the end", edit(FIRST, (bytes) => Buffer.concat([bytes, Buffer.alloc(2)]))],
  ["an empty file", edit(SECOND, () => Buffer.alloc(0))],
  ["a missing file", (directory) => rmSync(join(directory, "ltx", "0", SECOND))],
  [
    "a file under another's name",
    (directory) => {
      const level = join(directory, "ltx", "0");
      cpSync(join(level, SECOND), join(level, THIRD));
    },
  ],
];

/** A replica that Litestream wrote. */
async function theirReplica(scene: Scene): Promise<void> {
  await scene.vfs.write(scene.replica, [
    "CREATE TABLE t (v); INSERT INTO t VALUES (hex(randomblob(3000)));",
    "INSERT INTO t VALUES (zeroblob(9000));",
    "CREATE TABLE u (v);",
  ]);
}

/** A copy of the scene's replica, damaged. */
function damagedCopy(scene: Scene, damage: Damage): string {
  const copy = scene.newPath();
  cpSync(scene.replica, copy, { recursive: true, preserveTimestamps: true });
  damage(copy);
  return copy;
}

interopTest(
  "our restore refuses a damaged replica of Litestream's, as Litestream does",
  async (scene) => {
    await theirReplica(scene);
    for (const [what, damage] of DAMAGES) {
      const { theirs, ours } = await judge(scene, damagedCopy(scene, damage), undefined);
      assert.ok("refusal" in theirs, `Litestream refuses ${what}`);
      assert.ok("refusal" in ours, `we refuse ${what}`);
    }
  },
);

/** One flipped bit in one of the replica's files, anywhere. */
async function assertFlipsAreSeen(scene: Scene, right: Uint8Array | undefined): Promise<void> {
  const place = fc.record({
    name: fc.constantFrom(...scene.names(0)),
    at: fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }),
    bit: fc.integer({ min: 0, max: 7 }),
  });
  await fc.assert(
    fc.asyncProperty(place, async ({ name, at, bit }) => {
      const damage = edit(name, (bytes) => {
        const offset = Math.floor(at * bytes.length);
        bytes[offset] = (bytes[offset] ?? 0) ^ (1 << bit);
        return bytes;
      });
      const copy = damagedCopy(scene, damage);
      await judge(scene, copy, right);
      rmSync(copy, { recursive: true });
    }),
    { numRuns: FLIPS },
  );
}

interopTest(
  "one flipped bit in Litestream's replica is refused, or changes nothing for both",
  async (scene) => {
    await theirReplica(scene);
    await assertFlipsAreSeen(scene, undefined);
  },
);

interopTest(
  "one flipped bit in our replica is refused, or the restored database is proven right",
  async (scene) => {
    using bench = new CaptureBench();
    bench.app.exec("CREATE TABLE t (v)");
    bench.start();
    for (let round = 0; round < 3; round++) {
      bench.app.exec("INSERT INTO t VALUES (hex(randomblob(3000)))");
      bench.sync();
    }
    await scene.ship(bench.metaDir);
    await assertFlipsAreSeen(scene, bench.expected());
  },
);
