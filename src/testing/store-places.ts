/**
 * The stores that end-to-end tests and benchmarks go through a fault proxy to: a line for each, with the server behind
 * it, how deep the proxy understands it, how a replica in it is named, and which requests create an object.
 */
import { openReplica } from "../storage/registry.ts";
import type { FaultProxyOptions } from "./fault-proxy.ts";
import type { LoggedRequest } from "./fault-proxy/request-log.ts";
import type { Endpoint } from "./fault-proxy/tcp-proxy.ts";
import {
  service,
  type AzureService,
  type GcsService,
  type NatsService,
  type S3Service,
  type ServiceEntry,
  type ServiceName,
  type SftpService,
  type WebdavService,
} from "./services.ts";

/** Room for one replica in a server that runs. */
export interface StorePlace {
  /** The server itself. */
  readonly server: Endpoint;
  /** The replica's URL when the server is reached at `endpoint`. Holds credentials where the environment cannot. */
  readonly url: (endpoint: Endpoint) => string;
  /** What a process needs to be let in. */
  readonly env: Readonly<Record<string, string>>;
}

type Way = Omit<StorePlace, "server">;

export interface TestStore {
  /** That of the server. */
  readonly name: string;
  /** How a proxy has to stand before it. */
  readonly proxy: Pick<FaultProxyOptions, "level" | "hostHeader">;
  /** The object that a request creates or replaces, if it does and if that may happen only once. */
  readonly written: (request: LoggedRequest) => string | undefined;
  /** A place under `path`, which nobody else uses; or the reason why the server is not there. */
  readonly find: (path: string) => Promise<StorePlace | string>;
}

export const TEST_STORES: readonly TestStore[] = [
  testStore("s3", { proxy: { level: "http" }, place: s3Place, written: s3Written }),
  testStore("minio", { proxy: { level: "http" }, place: s3Place, written: s3Written }),
  testStore("gcs", {
    proxy: { level: "http", hostHeader: "target" },
    place: gcsPlace,
    written: gcsWritten,
  }),
  testStore("azure", { proxy: { level: "http" }, place: azurePlace, written: azureWritten }),
  testStore("sftp", { proxy: { level: "tcp" }, place: sftpPlace, written: untold }),
  testStore("nats", { proxy: { level: "tcp" }, place: natsPlace, written: untold }),
  testStore("webdav", { proxy: { level: "http" }, place: webdavPlace, written: webdavWritten }),
  // Creates nothing conditionally: who repeats a put after a lost answer writes the same object again.
  testStore("webdav-apache", { proxy: { level: "http" }, place: webdavPlace, written: untold }),
];

/** Deletes whatever is in the place. */
export async function emptyPlace({ server, url, env }: StorePlace): Promise<void> {
  await using replica = await openReplica({ url: url(server) }, { access: "write", env });
  const keys: string[] = [];
  for await (const { key } of replica.store.list("")) keys.push(key);
  if (keys.length > 0) await replica.store.delete(keys);
}

function testStore<N extends ServiceName>(
  name: N,
  options: Pick<TestStore, "proxy" | "written"> & {
    readonly place: (entry: ServiceEntry<N>, path: string) => Way | Promise<Way>;
  },
): TestStore {
  const { place, ...facts } = options;
  const find = async (path: string): Promise<StorePlace | string> => {
    const entry = await service(name);
    if (typeof entry === "string") return entry;
    return { server: { host: "127.0.0.1", port: entry.port }, ...(await place(entry, path)) };
  };
  return { name, ...facts, find };
}

function s3Place(entry: S3Service, path: string): Way {
  const { bucket, region, accessKeyId, secretAccessKey } = entry;
  return {
    url: (endpoint) => `s3://${bucket}/${path}?endpoint=${httpUrl(endpoint)}&region=${region}`,
    env: { AWS_ACCESS_KEY_ID: accessKeyId, AWS_SECRET_ACCESS_KEY: secretAccessKey },
  };
}

/** A whole object, or the end of one that came in parts. */
function s3Written({ method, path, query }: LoggedRequest): string | undefined {
  if (method === "PUT") return query.has("partNumber") ? undefined : path;
  return method === "POST" && query.has("uploadId") ? path : undefined;
}

function gcsPlace({ bucket }: GcsService, path: string): Way {
  const url = (endpoint: Endpoint): string =>
    `gs://${bucket}/${path}?endpoint=${httpUrl(endpoint)}`;
  return { url, env: {} };
}

/** Of uploads that name the object in their body nothing is known. */
function gcsWritten({ method, path, query }: LoggedRequest): string | undefined {
  const isUpload = method === "POST" && path.includes("/upload/");
  return isUpload ? (query.get("name") ?? undefined) : undefined;
}

function azurePlace(entry: AzureService, path: string): Way {
  const { accountName, accountKey, container } = entry;
  const key = encodeURIComponent(accountKey);
  return {
    url: (endpoint) =>
      `abs://${accountName}@${container}/${path}?endpoint=${httpUrl(endpoint)}/${accountName}&account-key=${key}`,
    env: {},
  };
}

/** A whole blob, or the list of blocks that makes one. */
function azureWritten({ method, path, query }: LoggedRequest): string | undefined {
  const part = query.get("comp");
  return method === "PUT" && (part === null || part === "blocklist") ? path : undefined;
}

function sftpPlace(entry: SftpService, path: string): Way {
  const { user, directory } = entry;
  const keys = `key-path=${encodeURIComponent(entry.privateKeyPath)}&host-key=${encodeURIComponent(entry.hostKey)}`;
  return {
    url: ({ host, port }) => `sftp://${user}@${host}:${port}${directory}/${path}?${keys}`,
    env: {},
  };
}

const NATS_BUCKET = "millrace-e2e";

/** In an object store that is made when it is not there, as its user would with `nats object add`. */
async function natsPlace({ url }: NatsService, path: string): Promise<Way> {
  const { connect } = await import("@nats-io/transport-node");
  const connection = await connect({ servers: url });
  try {
    const stream = {
      name: `OBJ_${NATS_BUCKET}`,
      subjects: [`$O.${NATS_BUCKET}.C.>`, `$O.${NATS_BUCKET}.M.>`],
      discard: "new",
      allow_rollup_hdrs: true,
      allow_direct: true,
    };
    await connection.request(`$JS.API.STREAM.CREATE.${stream.name}`, JSON.stringify(stream));
  } finally {
    await connection.close();
  }
  return { url: ({ host, port }) => `nats://${host}:${port}/${NATS_BUCKET}/${path}`, env: {} };
}

function webdavPlace(entry: WebdavService, path: string): Way {
  const { user, password } = entry;
  return {
    url: ({ host, port }) => `webdav://${user}:${password}@${host}:${port}/${path}`,
    env: {},
  };
}

/** What is put under its own name, and what is moved to it. */
function webdavWritten({ method, path, destination }: LoggedRequest): string | undefined {
  if (method === "PUT") return path;
  return method === "MOVE" && destination !== undefined ? new URL(destination).pathname : undefined;
}

function untold(): undefined {
  return undefined;
}

function httpUrl({ host, port }: Endpoint): string {
  return `http://${host}:${port}`;
}
