/**
 * Released Litestreams of older formats, when their programs are given: what they write beside a real writer we restore
 * as they do, byte for byte.
 *
 * Usage: LITESTREAM_V3_BIN=PATH LITESTREAM_V050_BIN=PATH npm test legacy-binary, with v0.3.13 and v0.5.0 of
 * github.com/benbjohnson/litestream/cmd/litestream.
 */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { isDeepStrictEqual } from "node:util";
import { Place } from "../e2e/harness.ts";
import { LegacyScene, type LegacyVersion } from "./legacy-scene.ts";
import { assertSameBytes, restore } from "./scene.ts";

const PROGRAMS: Readonly<Record<LegacyVersion, string | undefined>> = {
  "0.3": process.env["LITESTREAM_V3_BIN"],
  "0.5": process.env["LITESTREAM_V050_BIN"],
};
const VARIABLES: Readonly<Record<LegacyVersion, string>> = {
  "0.3": "LITESTREAM_V3_BIN to a litestream program of version 0.3",
  "0.5": "LITESTREAM_V050_BIN to a litestream program of version 0.5.0",
};
const TIMEOUT_MS = 120_000;
const ATTEMPTS = 10;

interface Stage {
  readonly scene: LegacyScene;
  /** Compares both restores of the newest state. */
  readonly same: (what: string) => Promise<void>;
}

function legacyTest(
  version: LegacyVersion,
  name: string,
  options: { readonly pageSize: number; readonly checkpointPages?: number },
  run: (stage: Stage) => Promise<void>,
): void {
  const program = PROGRAMS[version];
  const skip = program === undefined && `set ${VARIABLES[version]}`;
  test(`Litestream ${version}: ${name}`, { skip, timeout: TIMEOUT_MS }, async () => {
    assert.ok(program !== undefined);
    using place = new Place();
    await using scene = new LegacyScene({ ...options, program, version, dir: place.dir });
    let count = 0;
    const same = async (what: string): Promise<void> => {
      await scene.caughtUp();
      for (let attempt = 1; ; attempt += 1) {
        const before = scene.objects();
        const output = place.path(`ours-${(count += 1)}.db`);
        await restore(scene.replica, output);
        const theirs = await scene.theirBytes();
        // Only what is compared on the same objects; a snapshot may have come in between.
        if (isDeepStrictEqual(scene.objects(), before))
          return assertSameBytes(readFileSync(output), theirs, what);
        assert.ok(attempt < ATTEMPTS, `the replica was at rest in one of ${ATTEMPTS} attempts`);
      }
    };
    await run({ scene, same });
  });
}

/** Compares both restores at the times of objects, the program being at rest; returns how many. */
async function sameByTime(scene: LegacyScene): Promise<number> {
  const times = scene.objects().map(({ createdAtMs }) => createdAtMs);
  let compared = 0;
  for (const time of times) {
    // Litestream compares nanoseconds: no other object may be of about the same moment.
    const isAlone = !times.some((other) => other > time && other <= time + 4);
    if (!isAlone) continue;
    const timestampMs = time + 2;
    const option = ["-timestamp", new Date(timestampMs).toISOString()];
    // After the last object of a generation it restores nothing, and we the end of that generation.
    const theirs = await scene.theirBytes(option).catch(() => undefined);
    if (theirs === undefined) continue;
    const output = `${scene.database}-${timestampMs}`;
    await restore(scene.replica, output, { timestampMs });
    assertSameBytes(readFileSync(output), theirs, option.join(" "));
    compared += 1;
  }
  return compared;
}

for (const pageSize of [512, 4096, 65536]) {
  legacyTest(
    "0.3",
    `several logs and generations, page size ${pageSize}`,
    { pageSize, checkpointPages: 10 },
    async ({ scene, same }) => {
      for (let generation = 0; generation < 3; generation += 1) {
        scene.start();
        for (let round = 0; round < 6; round += 1) {
          scene.insert(3000, true);
          scene.insert(4 * pageSize);
          if (round % 3 === 1) scene.exec("DELETE FROM t WHERE n % 2 = 0");
          if (round % 2 === 1) await same(`generation ${generation}, round ${round}`);
        }
        await scene.stop();
        scene.insert(10);
        scene.exec("PRAGMA wal_checkpoint(TRUNCATE)");
      }
      assert.ok((await sameByTime(scene)) >= 4, "times were compared");
      const generations = new Set(scene.objects().map(({ key }) => key.split("/")[1]));
      assert.ok(generations.size >= 2, `${generations.size} generations`);
      const logs = new Set(scene.objects().map(({ key }) => key.replace(/_.*$/, "")));
      assert.ok(logs.size >= 6, `${logs.size} logs and snapshots`);
    },
  );
}

legacyTest(
  "0.3",
  "a log and a snapshot of many blocks",
  { pageSize: 4096, checkpointPages: 100_000 },
  async ({ scene, same }) => {
    scene.start();
    scene.insert(100);
    await scene.caughtUp();
    for (let round = 0; round < 3; round += 1) {
      scene.exec("BEGIN");
      for (let row = 0; row < 60; row += 1) scene.insert(200_000, row % 2 === 0);
      scene.exec("COMMIT");
    }
    await same("36 MB of log");
    await scene.stop();
    scene.exec("PRAGMA wal_checkpoint(TRUNCATE)");
    scene.start();
    scene.insert(100);
    await same("36 MB of snapshot");
  },
);

for (const pageSize of [512, 1024, 4096, 32768, 65536]) {
  legacyTest(
    "0.5",
    `pages as frames, page size ${pageSize}`,
    { pageSize },
    async ({ scene, same }) => {
      scene.start();
      for (let round = 0; round < 3; round += 1) {
        scene.insert(5 * pageSize, true);
        scene.insert(5 * pageSize);
        scene.exec("UPDATE t SET x = randomblob(length(x)) WHERE n % 3 = 0");
        await same(`round ${round}`);
      }
    },
  );
}
