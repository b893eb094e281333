/** The golden samples as a test wants them: in a store, with the times that their objects had. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { systemClock } from "../../src/platform/clock.ts";
import { openMemoryStore } from "../../src/storage/backends/memory/memory.ts";
import type { ObjectStore } from "../../src/storage/contract.ts";

export interface GoldenSample {
  readonly pageSize: number;
  /** Of what the Litestream that wrote the replica restores of it. */
  readonly sha256: string;
  readonly sizeBytes: number;
  /** Git keeps no times. Unix ms. */
  readonly objects: readonly { readonly key: string; readonly createdAtMs: number }[];
}

export type GoldenName = "litestream-0.3" | "litestream-0.5";

export const GOLDEN_PAGE_SIZES: readonly number[] = [512, 4096, 65536];

export function goldenSample(name: GoldenName, pageSize: number): GoldenSample {
  const path = join(import.meta.dirname, name, String(pageSize), "sample.json");
  return JSON.parse(readFileSync(path, "utf8")) as GoldenSample;
}

export function goldenBytes(name: GoldenName, pageSize: number, key: string): Uint8Array {
  return readFileSync(join(import.meta.dirname, name, String(pageSize), "replica", key));
}

/** A store in memory with the sample's objects. */
export async function goldenStore(name: GoldenName, pageSize: number): Promise<ObjectStore> {
  const store = openMemoryStore({ clock: systemClock });
  for (const { key, createdAtMs } of goldenSample(name, pageSize).objects) {
    await store.put(key, goldenBytes(name, pageSize, key), { createdAtMs });
  }
  return store;
}
