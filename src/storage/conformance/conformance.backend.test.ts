/** The conformance suite over every backend that can be had here. */
import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, it } from "node:test";
import { systemClock } from "../../platform/clock.ts";
import { openFileStore } from "../backends/file/file.ts";
import { MemoryObjects, openMemoryStore } from "../backends/memory/memory.ts";
import type { StoreCapabilities } from "../contract.ts";
import type { ConformanceTarget } from "./context.ts";
import { requireBackends, storageConformance, untestedBackends } from "./suite.ts";

function memoryTarget(capabilities: Partial<StoreCapabilities>): ConformanceTarget {
  const objects = new MemoryObjects();
  return {
    connect: async () => openMemoryStore({ clock: systemClock, objects, capabilities }),
    [Symbol.asyncDispose]: async () => {},
  };
}

async function fileTarget(hardLinks: boolean): Promise<ConformanceTarget> {
  const directory = await mkdtemp(join(tmpdir(), "millrace-conformance-"));
  return {
    connect: async () => openFileStore({ rootDirectory: join(directory, "root"), hardLinks }),
    [Symbol.asyncDispose]: () => rm(directory, { recursive: true, force: true }),
  };
}

storageConformance("memory", async () => memoryTarget({}));
storageConformance("memory-poor", async () =>
  memoryTarget({
    conditionalCreate: false,
    conditionalReplace: false,
    rangeReads: false,
    exactTimesInList: false,
    maxObjectBytes: 16 * 1024 * 1024,
  }),
);
storageConformance("file", () => fileTarget(true));
storageConformance("file-without-links", () => fileTarget(false));

describe("untestedBackends()", () => {
  const counts = new Map([
    ["memory", 3],
    ["s3", 0],
  ]);

  it("names those that ran no test, and those that do not exist", () => {
    assert.deepEqual(untestedBackends("memory, s3,nats", counts), ["s3", "nats"]);
  });

  it("names nobody when nobody is required", () => {
    assert.deepEqual(untestedBackends(undefined, counts), []);
    assert.deepEqual(untestedBackends("", counts), []);
  });
});

requireBackends(process.env["REQUIRE_BACKENDS"]);
