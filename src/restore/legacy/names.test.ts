import assert from "node:assert/strict";
import { test } from "node:test";
import { systemClock } from "../../platform/clock.ts";
import { openMemoryStore } from "../../storage/backends/memory/memory.ts";
import { listLegacy, parseLegacyKey } from "./names.ts";

const GENERATION = "00c0ffee00c0ffee";

test("parseLegacyKey() reads names of snapshots and of segments, also beyond four gigabytes", () => {
  assert.deepEqual(parseLegacyKey(`generations/${GENERATION}/snapshots/0000000a.snapshot.lz4`), {
    generation: GENERATION,
    index: 10,
    offset: undefined,
  });
  const offsetOf = (offset: string): number | undefined =>
    parseLegacyKey(`generations/${GENERATION}/wal/00000001_${offset}.wal.lz4`)?.offset;
  assert.equal(offsetOf("00001000"), 4096);
  assert.equal(offsetOf("1000010a0"), 0x1000010a0);
  assert.equal(offsetOf("00000001000010a0"), 0x1000010a0);
  assert.ok((offsetOf("ffffffffffffffff") ?? 0) > Number.MAX_SAFE_INTEGER);
});

const FOREIGN = [
  "generations",
  "generations/",
  `generations/${GENERATION}`,
  `generations/${GENERATION}/snapshots/a.snapshot.lz4`,
  `generations/${GENERATION}/snapshots/0000000A.snapshot.lz4`,
  `generations/${GENERATION}/snapshots/000000000a.snapshot.lz4`,
  `generations/${GENERATION}/snapshots/0000000a.snapshot`,
  `generations/${GENERATION}/snapshots/0000000a.snapshot.lz4.old`,
  `generations/${GENERATION}/snapshots/sub/0000000a.snapshot.lz4`,
  `generations/${GENERATION}/wal/0000000a.wal.lz4`,
  `generations/${GENERATION}/wal/0000000a_0000.wal.lz4`,
  `generations/${GENERATION}/wal/0000000a_00000000000000000.wal.lz4`,
  `generations/${GENERATION}/wal/0000000a_-0000001.wal.lz4`,
  `generations/${GENERATION}/wal/0000000a_00000000.wal.lz4\n`,
  `generations/${GENERATION.toUpperCase()}/wal/0000000a_00000000.wal.lz4`,
  `generations/${GENERATION}0/wal/0000000a_00000000.wal.lz4`,
  `generations/../wal/0000000a_00000000.wal.lz4`,
  `ltx/generations/${GENERATION}/wal/0000000a_00000000.wal.lz4`,
  `Generations/${GENERATION}/wal/0000000a_00000000.wal.lz4`,
];

test("parseLegacyKey() takes nothing else for a part of a backup", () => {
  for (const key of FOREIGN) assert.equal(parseLegacyKey(key), undefined, key);
});

test("listLegacy() lists in order of offsets, and skips foreign names", async () => {
  const store = openMemoryStore({ clock: systemClock });
  const put = (key: string): Promise<unknown> =>
    store.put(key, new Uint8Array(3), { createdAtMs: 5 });
  assert.deepEqual(await listLegacy(store), { snapshots: [], segments: [] });
  const wal = `generations/${GENERATION}/wal`;
  await put(`${wal}/00000001_ffff0000.wal.lz4`);
  await put(`${wal}/00000001_100000000.wal.lz4`);
  await put(`${wal}/00000001_00000000.wal.lz4`);
  await put(`${wal}/README`);
  await put(`generations/${GENERATION}/snapshots/00000001.snapshot.lz4`);
  await put(`generations/notes.txt`);
  await put(`shop/${wal}/00000002_00000000.wal.lz4`);
  await put(`ltx/0/0000000000000001-0000000000000001.ltx`);
  const { snapshots, segments } = await listLegacy(store);
  assert.deepEqual(snapshots, [
    {
      key: `generations/${GENERATION}/snapshots/00000001.snapshot.lz4`,
      generation: GENERATION,
      index: 1,
      sizeBytes: 3,
      createdAtMs: 5,
    },
  ]);
  assert.deepEqual(
    segments.map(({ index, offset }) => [index, offset]),
    [
      [1, 0],
      [1, 0xffff0000],
      [1, 0x100000000],
    ],
  );
});
