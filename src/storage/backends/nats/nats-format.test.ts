/** The form of objects in NATS, down to the bytes. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { ChunkMap, ChunkMaps } from "./chunk-map.ts";
import {
  CHUNK_BYTES,
  decodeMeta,
  encodeMeta,
  metaSubject,
  nameOfSubject,
  type ObjectMeta,
  toRuns,
} from "./nats-format.ts";

const MESSAGE = { sequence: 77, storedAtMs: 1_600_000_000_000 };
const META = {
  name: "ltx/0/a",
  nuid: "N1",
  sizeBytes: 300_000,
  countChunks: 3,
  chunkBytes: CHUNK_BYTES,
  digest: "47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU",
  createdAtMs: 1_700_000_000_123,
  runs: [
    { sequence: 5, count: 2 },
    { sequence: 9, count: 1 },
  ],
};
const TEXT =
  '{"name":"ltx/0/a","headers":{"Litestream-Timestamp":["2023-11-14T22:13:20.123Z"]},' +
  '"metadata":{"millrace-chunks":"5+2,9+1"},"options":{"max_chunk_size":131072},"bucket":"b","nuid":"N1",' +
  '"size":300000,"mtime":"2020-09-13T12:26:40.000Z","chunks":3,' +
  '"digest":"SHA-256=47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU=","deleted":false}';

function decode(change: Readonly<Record<string, unknown>>): ObjectMeta | undefined {
  return decodeMeta(JSON.stringify({ ...(JSON.parse(TEXT) as object), ...change }), MESSAGE);
}

describe("metaSubject()", () => {
  it("encodes names as other clients do", () => {
    assert.equal(metaSubject("b", "ltx/0/a"), "$O.b.M.bHR4LzAvYQ==");
    assert.equal(metaSubject("b", "z/ÿ😀>?"), "$O.b.M.ei_Dv_CfmIA-Pw==");
  });

  it("is undone by nameOfSubject()", () => {
    for (const name of ["ltx/0/a", "z/ÿ😀>?", "a~"])
      assert.equal(nameOfSubject("b", metaSubject("b", name)), name);
    for (const subject of ["$O.c.M.YQ==", "$O.b.M.YQ", "$O.b.M.Y-=", "$O.b.M.gA==", "$O.b.M.YR=="])
      assert.equal(nameOfSubject("b", subject), undefined, subject);
  });
});

describe("encodeMeta()", () => {
  it("writes the fields of an object store", () => {
    assert.equal(encodeMeta("b", META, MESSAGE.storedAtMs), TEXT);
  });

  it("is undone by decodeMeta()", () => {
    const expected = { ...META, sequence: 77, isDeleted: false, isLink: false };
    assert.deepEqual(decodeMeta(TEXT, MESSAGE), expected);
  });

  it("records as many runs as there is room for", () => {
    const runs = Array.from({ length: 2_000 }, (_, index) => ({
      sequence: 1 + 2 * index,
      count: 1,
    }));
    const text = encodeMeta("b", { ...META, sizeBytes: 1e9, countChunks: 2_000, runs }, 0);
    assert.ok(text.length < 5_000);
    const found = decodeMeta(text, MESSAGE)?.runs ?? [];
    assert.ok(found.length > 500);
    assert.deepEqual(found, runs.slice(0, found.length));
  });
});

describe("decodeMeta()", () => {
  it("reads what other clients write", () => {
    assert.equal(decode({ headers: undefined })?.createdAtMs, MESSAGE.storedAtMs);
    const timestamp = { "Litestream-Timestamp": ["2024-01-02T03:04:05.678901234Z"] };
    assert.equal(decode({ headers: timestamp })?.createdAtMs, Date.UTC(2024, 0, 2, 3, 4, 5, 678));
    assert.deepEqual(decode({ metadata: undefined })?.runs, []);
    assert.equal(decode({ options: undefined })?.chunkBytes, CHUNK_BYTES);
    assert.equal(decode({ digest: "MD5=abc" })?.digest, undefined);
    assert.equal(decode({ deleted: true, size: 0, chunks: 0, digest: "" })?.isDeleted, true);
    assert.equal(decode({ options: { link: { bucket: "x" } }, nuid: undefined })?.isLink, true);
  });

  it("refuses what is no object's", () => {
    for (const text of ["", "{", "null", "[]", "7", '"x"', "{}"])
      assert.equal(decodeMeta(text, MESSAGE), undefined, text);
    for (const change of [
      { name: 7 },
      { nuid: {} },
      { nuid: ">" },
      { nuid: "a.*" },
      { size: -1 },
      { size: 1.5 },
      { chunks: "3" },
      { size: 2 },
    ])
      assert.equal(decode(change), undefined, JSON.stringify(change));
  });

  it("does without runs that cannot be true", () => {
    for (const text of ["5+2,6+1", "9+1,5+2", "5+0", "5+4", "0+3", "x", "", "5+2,", 7, "5+1e3"])
      assert.deepEqual(decode({ metadata: { "millrace-chunks": text } })?.runs, [], String(text));
  });
});

describe("toRuns()", () => {
  it("joins what follows each other", () => {
    assert.deepEqual(toRuns([]), []);
    assert.deepEqual(toRuns([3, 4, 5, 9, 11, 12]), [
      { sequence: 3, count: 3 },
      { sequence: 9, count: 1 },
      { sequence: 11, count: 2 },
    ]);
  });
});

describe("ChunkMap", () => {
  it("finds the chunk that holds a byte, in recorded runs", () => {
    const map = new ChunkMap(10, toRuns([3, 4, 9, 12, 13]));
    const places = [0, 9, 10, 20, 29, 30, 49, 500].map((offset) => map.find(offset)?.sequence);
    assert.deepEqual(places, [3, 3, 4, 9, 9, 12, 13, 13]);
    assert.deepEqual(map.find(25), { offset: 20, sequence: 9 });
  });

  it("finds the nearest chunk before a byte, among those seen", () => {
    const map = new ChunkMap(CHUNK_BYTES, []);
    assert.equal(map.find(0), undefined);
    for (let index = 0; index < 400; index += 1)
      map.add({ offset: index * 10_000, sequence: 100 + index });
    assert.deepEqual(map.find(0), { offset: 0, sequence: 100 });
    assert.deepEqual(map.find(1_000_000), { offset: 0, sequence: 100 });
    assert.deepEqual(map.find(1_055_000), { offset: 1_050_000, sequence: 205 });
    assert.deepEqual(map.find(9e9), { offset: 3_150_000, sequence: 415 });
    map.clear();
    assert.equal(map.find(5), undefined);
  });
});

describe("ChunkMaps", () => {
  it("remembers the objects that were read last", () => {
    const maps = new ChunkMaps();
    const meta = { ...META, sequence: 1, isDeleted: false, isLink: false };
    const first = maps.of(meta);
    for (let index = 0; index < 200; index += 1) maps.of({ ...meta, nuid: `other${index}` });
    assert.equal(maps.of(meta), first);
    for (let index = 0; index < 256; index += 1) maps.of({ ...meta, nuid: `more${index}` });
    assert.notEqual(maps.of(meta), first);
  });
});
