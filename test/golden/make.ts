/**
 * Makes the golden samples: replicas that released Litestreams wrote beside a real writer, with the times of their
 * objects and what that Litestream itself restores of them. See README.md for the commands.
 *
 * Usage: npm run golden 0.3|0.5 PROGRAM
 */
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { cpSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { LegacyScene, type LegacyVersion } from "../interop/legacy-scene.ts";
import type { GoldenSample } from "./samples.ts";

const PAGE_SIZES = [512, 4096, 65536];
const ROUNDS = 5;
/** Longer than the daemon's intervals, so that rounds come to lie in segments of their own. */
const ROUND_MS = 150;

/**
 * Inserts of one page and of several, updates, and deletes, so that the database grows and shrinks. Litestream 0.5.0 stops
 * at a commit that shrinks the database ("out-of-bounds for commit size"), so for it only grows.
 */
async function write(scene: LegacyScene, version: LegacyVersion, pageSize: number): Promise<void> {
  for (let round = 0; round < ROUNDS; round += 1) {
    scene.insert(300, true);
    scene.insert(2 * pageSize + 100);
    if (round === 2) scene.exec("UPDATE t SET x = zeroblob(300) WHERE length(x) = 300");
    if (round === 3 && version === "0.3") scene.exec("DELETE FROM t WHERE n % 3 = 0");
    await pause(ROUND_MS);
  }
}

async function make(version: LegacyVersion, program: string, pageSize: number): Promise<void> {
  const dir = mkdtempSync(join(tmpdir(), "millrace-golden-"));
  const checkpointPages = version === "0.3" ? 8 : 1000;
  await using scene = new LegacyScene({ program, version, dir, pageSize, checkpointPages });
  scene.start();
  await write(scene, version, pageSize);
  await scene.caughtUp();
  await scene.stop();
  // While nobody watches: Litestream 0.3 begins a new generation afterwards.
  scene.insert(100);
  scene.exec("PRAGMA wal_checkpoint(TRUNCATE)");
  scene.start();
  await write(scene, version, pageSize);
  await scene.caughtUp();
  await scene.stop();
  const restored = await scene.theirBytes();
  const name = `litestream-${version}`;
  const sample: GoldenSample = {
    pageSize,
    sha256: createHash("sha256").update(restored).digest("hex"),
    sizeBytes: restored.length,
    objects: scene.objects(),
  };
  const target = join(import.meta.dirname, name, String(pageSize));
  rmSync(target, { recursive: true, force: true });
  cpSync(scene.replica, join(target, "replica"), { recursive: true });
  writeFileSync(join(target, "sample.json"), `${JSON.stringify(sample, undefined, 2)}\n`);
  rmSync(dir, { recursive: true });
}

const [version, program] = process.argv.slice(2);
assert.ok((version === "0.3" || version === "0.5") && program !== undefined, "usage: see the head");
for (const pageSize of PAGE_SIZES) await make(version, program, pageSize);
