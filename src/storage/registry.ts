/**
 * From a replica URL to a store: the only place that names backends, each loaded when first needed, so that
 * nobody pays for, or has to install, what no URL asks for.
 */
import type { Clock, Random } from "../base/clock.ts";
import type { Logger } from "../base/logger.ts";
import type { MemoryObjects } from "./backends/memory/memory.ts";
import type { ObjectStore } from "./contract.ts";
import { LtxStore, type LtxLayout } from "./ltx-store.ts";
import type { RemoteContext } from "./remote/remote-store.ts";
import { parseReplicaUrl } from "./replica-url/replica-url.ts";
import type { ReplicaLocation, ReplicaTarget } from "./replica-url/target.ts";

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
  readonly random?: Random | undefined;
  /** Where credentials are looked for; default: the process's environment. */
  readonly env?: Readonly<Record<string, string | undefined>> | undefined;
  /** Told what a user should know about the store, but need not act upon. Default: nobody. */
  readonly log?: Logger | undefined;
}

/** Named memory stores of this process, so that a writer and a reader can meet. */
const sharedMemory = new Map<string, MemoryObjects>();

/** Opens a replica. Whether anything is there shows in the first call. Throws `url/invalid`, `storage/misconfigured`. */
export async function openReplica(
  location: ReplicaLocation,
  options: OpenReplicaOptions = {},
): Promise<LtxStore> {
  const target = parseReplicaUrl(location);
  return new LtxStore(await openTarget(target, options), { layout: layoutOf(target) });
}

/** Litestream's layouts differ by store. */
function layoutOf({ scheme }: ReplicaTarget): LtxLayout {
  return scheme === "s3" || scheme === "oss" ? "s3" : "ltx";
}

async function openTarget(
  target: ReplicaTarget,
  options: OpenReplicaOptions,
): Promise<ObjectStore> {
  const { systemClock, systemRandom } = await import("../platform/clock.ts");
  const { clock = systemClock, random = systemRandom, env = process.env } = options;
  if (target.scheme === "memory") {
    const { MemoryObjects, openMemoryStore } = await import("./backends/memory/memory.ts");
    const objects = sharedMemory.get(target.name) ?? new MemoryObjects();
    if (target.name !== "") sharedMemory.set(target.name, objects);
    return openMemoryStore({ clock, objects });
  }
  if (target.scheme === "file") {
    const { openFileStore } = await import("./backends/file/file.ts");
    const removeStaleTemporaries = options.access === "write";
    return openFileStore({
      ...options.file,
      rootDirectory: target.path,
      removeStaleTemporaries,
      clock,
    });
  }
  return openRemote(target, { clock, random, env, access: options.access, log: options.log });
}

async function openRemote(
  target: Exclude<ReplicaTarget, { scheme: "memory" | "file" }>,
  context: RemoteContext,
): Promise<ObjectStore> {
  if (target.scheme === "s3")
    return (await import("./backends/s3/s3.ts")).openS3Store(target, context);
  if (target.scheme === "oss")
    return (await import("./backends/s3/oss.ts")).openOssStore(target, context);
  if (target.scheme === "gs")
    return (await import("./backends/gcs/gcs.ts")).openGcsStore(target, context);
  if (target.scheme === "abs")
    return (await import("./backends/azure/azure.ts")).openAzureStore(target, context);
  if (target.scheme === "sftp")
    return (await import("./backends/sftp/sftp.ts")).openSftpStore(target, context);
  if (target.scheme === "nats")
    return (await import("./backends/nats/nats.ts")).openNatsStore(target, context);
  return (await import("./backends/webdav/webdav.ts")).openWebdavStore(target, context);
}
