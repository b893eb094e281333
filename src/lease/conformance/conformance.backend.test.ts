/** The conformance suite over the lease providers that need nothing but this machine. */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { systemClock } from "../../platform/clock.ts";
import { openFileStore } from "../../storage/backends/file/file.ts";
import { MemoryObjects, openMemoryStore } from "../../storage/backends/memory/memory.ts";
import { ManualClock } from "../../testing/manual-clock.ts";
import { seeded } from "../../testing/sample-pages.ts";
import type { ObjectStore, StoreCapabilities } from "../../storage/contract.ts";
import { openObjectStoreCell } from "../providers/object-store/object-store.ts";
import type { LeaseCell } from "../contract.ts";
import type { LeaseTarget } from "./context.ts";
import { leaseConformance } from "./suite.ts";

const simulated = {
  makeClock: () => new ManualClock(),
  makeRandom: (seed: number) => {
    const next = seeded(seed);
    return () => next(2 ** 32) / 2 ** 32;
  },
};

function onStore(store: ObjectStore): LeaseCell {
  const cell = openObjectStoreCell({ store, prefix: "some/replica" });
  return {
    type: cell.type,
    read: (call) => cell.read(call),
    write: (record, options) => cell.write(record, options),
    [Symbol.asyncDispose]: () => store[Symbol.asyncDispose](),
  };
}

function memoryTarget(capabilities: Partial<StoreCapabilities>): LeaseTarget {
  const objects = new MemoryObjects();
  return {
    connect: async () => onStore(openMemoryStore({ clock: systemClock, objects, capabilities })),
    [Symbol.asyncDispose]: async () => {},
  };
}

async function fileTarget(): Promise<LeaseTarget> {
  const directory = await mkdtemp(join(tmpdir(), "millrace-lease-"));
  return {
    connect: async () => onStore(openFileStore({ rootDirectory: directory })),
    [Symbol.asyncDispose]: () => rm(directory, { recursive: true, force: true }),
  };
}

leaseConformance("memory", async () => memoryTarget({}), simulated);
leaseConformance(
  "memory-epochs",
  async () => memoryTarget({ conditionalReplace: false }),
  simulated,
);
leaseConformance("file", fileTarget, simulated);
