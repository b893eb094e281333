/** The conformance suite over every backend that can be had here. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after } from "node:test";
import { systemClock } from "../../platform/clock.ts";
import { freshPlace } from "../../testing/fresh-place.ts";
import { openFileStore } from "../backends/file/file.ts";
import { MemoryObjects, openMemoryStore } from "../backends/memory/memory.ts";
import type { StoreCapabilities } from "../contract.ts";
import type { ConformanceTarget } from "./context.ts";
import { storageConformance } from "./suite.ts";

function memoryTarget(capabilities: Partial<StoreCapabilities>): ConformanceTarget {
  const objects = new MemoryObjects();
  return {
    connect: async () => openMemoryStore({ clock: systemClock, objects, capabilities }),
    [Symbol.asyncDispose]: async () => {},
  };
}

const directory = mkdtempSync(join(tmpdir(), "millrace-conformance-"));
after(() => rmSync(directory, { recursive: true, force: true }));

function fileTarget(hardLinks: boolean): ConformanceTarget {
  return freshPlace(async (prefix) =>
    openFileStore({ rootDirectory: join(directory, prefix, "root"), hardLinks }),
  );
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
storageConformance("file", async () => fileTarget(true));
storageConformance("file-without-links", async () => fileTarget(false));
