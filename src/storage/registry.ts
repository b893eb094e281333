/**
 * From a replica URL to a store: the only place that names backends, each loaded when first needed, so that
 * nobody pays for, or has to install, what no URL asks for.
 */
import type { Clock } from "../base/clock.ts";
import type { MemoryObjects } from "./backends/memory/memory.ts";
import type { ObjectStore } from "./contract.ts";
import { LtxStore } from "./ltx-store.ts";
import { parseReplicaUrl, type ReplicaUrl } from "./replica-url.ts";

export {
  formatReplicaUrl,
  LATER_SCHEMES,
  parseReplicaUrl,
  redactUrl,
  REPLICA_SCHEMES,
  type ReplicaUrl,
} from "./replica-url.ts";

export interface OpenReplicaOptions {
  /** `write` also cleans up after writers that died. Default `read`, which changes nothing by itself. */
  readonly access?: "read" | "write" | undefined;
  readonly file?:
    | {
        /** Default 0700; a given mode is set exactly, whatever the umask. */
        readonly directoryMode?: number | undefined;
        /** Default 0600; a given mode is set exactly, whatever the umask. */
        readonly fileMode?: number | undefined;
        readonly owner?: { readonly uid: number; readonly gid: number } | undefined;
        /** False where the file system has no hard links; conditional creates are then not offered. */
        readonly hardLinks?: boolean | undefined;
      }
    | undefined;
  /** Default: the system's. */
  readonly clock?: Clock | undefined;
}

/** Named memory stores of this process, so that a writer and a reader can meet. */
const sharedMemory = new Map<string, MemoryObjects>();

/** Opens the replica at `url`. Whether anything is there shows in the first call. */
export async function openReplica(
  url: string,
  options: OpenReplicaOptions = {},
): Promise<LtxStore> {
  const target = parseReplicaUrl(url);
  return new LtxStore(await openTarget(target, options), { layout: "ltx" });
}

async function openTarget(target: ReplicaUrl, options: OpenReplicaOptions): Promise<ObjectStore> {
  const clock = options.clock ?? (await import("../platform/clock.ts")).systemClock;
  if (target.scheme === "memory") {
    const { MemoryObjects, openMemoryStore } = await import("./backends/memory/memory.ts");
    const objects = sharedMemory.get(target.name) ?? new MemoryObjects();
    if (target.name !== "") sharedMemory.set(target.name, objects);
    return openMemoryStore({ clock, objects });
  }
  const { openFileStore } = await import("./backends/file/file.ts");
  const removeStaleTemporaries = options.access === "write";
  return openFileStore({
    ...options.file,
    rootDirectory: target.path,
    removeStaleTemporaries,
    clock,
  });
}
