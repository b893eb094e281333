/** For each kind of store an empty replica on a real server, in the words of a configuration that Litestream and we read. */
import { randomUUID } from "node:crypto";
import { Objm } from "@nats-io/obj";
import { connect } from "@nats-io/transport-node";
import { isMillraceError } from "../../src/errors.ts";
import { openReplica } from "../../src/storage/registry.ts";
import { parseReplicaUrl } from "../../src/storage/replica-url/replica-url.ts";
import { service, type ServiceEntry, type ServiceName } from "../../src/testing/services.ts";

export interface StorePlace {
  /** Keys of a replica in the configuration. */
  readonly replica: Readonly<Record<string, unknown>>;
  /** What only our configuration needs. */
  readonly ours?: Readonly<Record<string, unknown>>;
  /** What only Litestream's environment needs. */
  readonly env?: Readonly<Record<string, string>>;
}

/** Makes a place; `directory` is one of this machine's that goes away with the test. */
export type StorePlaceMaker = (directory: string) => Promise<StorePlace>;

/** By name of the store: how to make a place, or why there is none. */
export async function storePlaces(): Promise<ReadonlyMap<string, StorePlaceMaker | string>> {
  return new Map<string, StorePlaceMaker | string>([
    ["file", async (directory) => ({ replica: { type: "file", path: `${directory}/replica` } })],
    ["s3", await on("s3", "s3://bucket", s3)],
    ["minio", await on("minio", "s3://bucket", s3)],
    ["gs", await on("gcs", "gs://bucket", gcs)],
    ["abs", await on("azure", "abs://account@bucket?account-key=a2V5", azure)],
    ["sftp", await on("sftp", "sftp://user@host/path", sftp)],
    ["nats", await on("nats", "nats://host/bucket", nats)],
  ]);
}

async function on<N extends ServiceName>(
  name: N,
  url: string,
  make: (entry: ServiceEntry<N>) => StorePlace | Promise<StorePlace>,
): Promise<StorePlaceMaker | string> {
  if (!(await isBuilt(url))) return `the store of ${url} is not built yet`;
  const entry = await service(name);
  return typeof entry === "string" ? entry : async () => make(entry);
}

/** Whether there is a store for URLs like this one. */
async function isBuilt(url: string): Promise<boolean> {
  parseReplicaUrl({ url });
  try {
    await (await openReplica({ url }))[Symbol.asyncDispose]();
    return true;
  } catch (error) {
    return !isMillraceError(error, "storage/unsupported");
  }
}

function prefix(): string {
  return `interop-${randomUUID()}`;
}

function s3(entry: ServiceEntry<"s3" | "minio">): StorePlace {
  const { bucket, endpoint, region } = entry;
  const keys = {
    "access-key-id": entry.accessKeyId,
    "secret-access-key": entry.secretAccessKey,
    "force-path-style": true,
  };
  return { replica: { type: "s3", bucket, path: prefix(), endpoint, region, ...keys } };
}

function gcs({ bucket, endpoint }: ServiceEntry<"gcs">): StorePlace {
  return {
    replica: { type: "gs", bucket, path: prefix() },
    ours: { endpoint },
    env: { STORAGE_EMULATOR_HOST: new URL(endpoint).host },
  };
}

function azure(entry: ServiceEntry<"azure">): StorePlace {
  const { container: bucket, endpoint } = entry;
  const keys = { "account-name": entry.accountName, "account-key": entry.accountKey };
  return { replica: { type: "abs", bucket, path: prefix(), endpoint, ...keys } };
}

function sftp(entry: ServiceEntry<"sftp">): StorePlace {
  const { host, port, user, directory, hostKey } = entry;
  const keys = { "key-path": entry.privateKeyPath, "host-key": hostKey };
  const path = `${directory}/${prefix()}`;
  return { replica: { type: "sftp", host: `${host}:${port}`, user, path, ...keys } };
}

/** Litestream takes a whole bucket. */
async function nats({ url }: ServiceEntry<"nats">): Promise<StorePlace> {
  const bucket = prefix();
  await using connection = await connect({ servers: url });
  await new Objm(connection).create(bucket);
  return { replica: { url: `${url}/${bucket}` } };
}
