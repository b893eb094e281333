/** The conformance suite over the lease providers that need nothing but this machine. */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { systemClock } from "../../platform/clock.ts";
import { openFileStore } from "../../storage/backends/file/file.ts";
import { MemoryObjects, openMemoryStore } from "../../storage/backends/memory/memory.ts";
import { simulated } from "../../testing/lease-simulated.ts";
import type { ObjectStore, StoreCapabilities } from "../../storage/contract.ts";
import { nodeFiles } from "../../platform/files.ts";
import { openLockFileCell } from "../providers/lock-file/lock-file.ts";
import { openObjectStoreCell } from "../providers/object-store/object-store.ts";
import type { LeaseCell } from "../contract.ts";
import type { LeaseTarget } from "./context.ts";
import { leaseConformance } from "./suite.ts";

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

async function lockFileTarget(): Promise<LeaseTarget> {
  const directory = await mkdtemp(join(tmpdir(), "millrace-lease-"));
  return {
    connect: async () => openLockFileCell({ path: join(directory, "lease"), files: nodeFiles }),
    [Symbol.asyncDispose]: () => rm(directory, { recursive: true, force: true }),
  };
}

leaseConformance("lock-file", lockFileTarget, { ...simulated, boundToProcess: true });
