/**
 * Google Cloud Storage as a store: `gs://bucket/path`. Objects are listed and written through its JSON API and read through its
 * XML API, the only one that tells an object's metadata with its content.
 *
 * Source: the layout and the metadata are those of benbjohnson/litestream@63225f1 `gs.ReplicaClient`; listings start at an
 * offset (`startOffset`), where that client makes the wanted TXID a part of the prefix.
 */
import { isMillraceError } from "../../../errors.ts";
import type {
  BackendBody,
  BackendCall,
  BackendGet,
  BackendList,
  BackendPut,
  BackendSource,
  StoreBackend,
} from "../../backend.ts";
import type { ObjectInfo, ObjectStore, StoreCapabilities } from "../../contract.ts";
import { RequestMeter } from "../../meter.ts";
import { forEachBounded } from "../../remote/bounded.ts";
import { Cleanups } from "../../remote/cleanups.ts";
import { failureError, type Failure } from "../../remote/failures.ts";
import { openRemoteStore, type RemoteContext } from "../../remote/remote-store.ts";
import { RootedKeys } from "../../remote/rooted-keys.ts";
import { emptyBody, StreamBody } from "../../remote/stream-body.ts";
import type { GcsTarget } from "../../replica-url/target.ts";
import { DefaultCredentials, NO_CREDENTIALS } from "./gcs-credentials.ts";
import { gcsEndpoint } from "./gcs-endpoint.ts";
import { infoOf, infoOfHeaders, OBJECT_FIELDS, type GcsObject } from "./gcs-objects.ts";
import { requestError } from "./gcs-errors.ts";
import { GcsRequests, type GcsRequest } from "./gcs-requests.ts";
import { upload } from "./gcs-upload.ts";

const MAX_NAME_BYTES = 1_024;
const MAX_OBJECT_BYTES = 5 * 1024 ** 4;
/** The service's largest page. */
const PAGE_ITEMS = 1_000;
/** The service deletes one object in a request. */
const PARALLEL_DELETES = 16;
const RANGE_NOT_SATISFIABLE = 416;

const CAPABILITIES: StoreCapabilities = {
  conditionalCreate: true,
  conditionalReplace: true,
  rangeReads: true,
  consistentList: true,
  exactTimesInList: true,
  maxObjectBytes: MAX_OBJECT_BYTES,
};

/**
 * Opens a bucket. Nothing is asked before the first call, which is when wrong credentials or a missing bucket show.
 * Throws `storage/misconfigured` for an endpoint that cannot be used.
 */
export async function openGcsStore(
  target: GcsTarget,
  { clock, random, env }: RemoteContext,
): Promise<ObjectStore> {
  const endpoint = gcsEndpoint(target.settings.endpoint, env);
  const bucket = target.bucket;
  const where = `gs://${bucket}${endpoint.isPublic ? "" : ` at ${endpoint.base}`}`;
  const credentials = endpoint.isAnonymous ? NO_CREDENTIALS : new DefaultCredentials();
  const meter = new RequestMeter();
  const requests = new GcsRequests({ endpoint, credentials, meter, bucket, where });
  const backend = new GcsBackend(requests, target, new Cleanups(clock));
  return openRemoteStore(backend, { clock, random, meter, where });
}

class GcsBackend implements StoreBackend {
  readonly type = "gcs";
  readonly capabilities = CAPABILITIES;
  readonly #requests: GcsRequests;
  readonly #keys: RootedKeys;
  readonly #bucket: string;
  readonly #cleanups: Cleanups;

  constructor(requests: GcsRequests, { bucket, prefix }: GcsTarget, cleanups: Cleanups) {
    this.#cleanups = cleanups;
    this.#requests = requests;
    this.#keys = new RootedKeys(prefix, MAX_NAME_BYTES);
    this.#bucket = encodeURIComponent(bucket);
  }

  async get(key: string, { offset, sizeBytes, signal }: BackendGet): Promise<BackendBody> {
    const op = "get object";
    if (sizeBytes === 0) return emptyBody(await this.head(key, { signal }));
    const name = this.#keys.name(op, key);
    const isRange = offset > 0 || sizeBytes !== undefined;
    const failure: Failure = { op, key, where: this.#requests.where };
    const response = await this.#requests.send({
      kind: "get",
      method: "GET",
      path: `/${this.#bucket}/${encodeURIComponent(name)}`,
      op,
      key,
      signal,
      headers: {
        "accept-encoding": "identity",
        ...(isRange ? { range: `bytes=${offset}-${lastByte(offset, sizeBytes)}` } : {}),
      },
      accept: [RANGE_NOT_SATISFIABLE],
    });
    if (response.status === RANGE_NOT_SATISFIABLE) {
      await response.body?.cancel();
      const info = await this.head(key, { signal });
      if (offset >= info.sizeBytes) return emptyBody(info);
      throw failureError("storage/unavailable", failure, { found: "the range was refused" });
    }
    const body = new StreamBody(infoOfHeaders(key, response.headers, failure), {
      stream: response.body ?? nothing(),
      release: async () => response.body?.cancel(),
      translate: (cause) => requestError({ ...failure, cause }, signal),
    });
    const start = /^bytes (\d+)-/.exec(response.headers.get("content-range") ?? "")?.[1] ?? "0";
    if (Number(start) === offset) return body;
    await body.close();
    throw failureError("storage/misconfigured", failure, {
      found: `bytes from ${offset} were wanted, the answer begins at ${start}`,
      hint: "check what stands between here and the store, and whether the object is stored compressed",
    });
  }

  async head(key: string, { signal }: BackendCall): Promise<ObjectInfo> {
    const op = "head object";
    const path = `${this.#objectPath(op, key)}?fields=${OBJECT_FIELDS}`;
    const answer = await this.#requests.json({
      kind: "head",
      method: "GET",
      path,
      op,
      key,
      signal,
    });
    return infoOf(key, answer as GcsObject);
  }

  async put(key: string, source: BackendSource, call: BackendPut): Promise<ObjectInfo> {
    const op = "put object";
    const name = this.#keys.name(op, key);
    // A generation is a number from 1; 0 would mean that the object must be absent.
    if (call.ifMatch !== undefined && !/^[1-9]\d{0,18}$/.test(call.ifMatch)) {
      const failure: Failure = { op, key, where: this.#requests.where };
      const found = "the wanted version is none of this store";
      throw failureError("storage/precondition-failed", failure, { found });
    }
    const path = `/upload/storage/v1/b/${this.#bucket}/o`;
    const requests = this.#requests;
    const cleanups = this.#cleanups;
    return infoOf(key, await upload({ requests, path, key, name, source, call, cleanups }));
  }

  async *list(
    prefix: string,
    { startAfter, signal }: BackendList,
  ): AsyncGenerator<ObjectInfo, void, void> {
    const query = new URLSearchParams({
      prefix: this.#keys.text(prefix),
      maxResults: String(PAGE_ITEMS),
      fields: `nextPageToken,items(${OBJECT_FIELDS})`,
    });
    if (startAfter !== "") query.set("startOffset", this.#keys.text(startAfter));
    for (;;) {
      const page = await this.#page(query, signal);
      for (const object of page.items ?? []) {
        const key = this.#keys.key(object.name);
        // The offset itself is among what starts at it.
        if (key !== undefined && key !== startAfter) yield infoOf(key, object);
      }
      if (page.nextPageToken === undefined || page.nextPageToken === "") return;
      query.set("pageToken", page.nextPageToken);
    }
  }

  async #page(query: URLSearchParams, signal: AbortSignal): Promise<Page> {
    const request: GcsRequest = {
      kind: "list",
      method: "GET",
      path: `/storage/v1/b/${this.#bucket}/o?${query.toString()}`,
      op: "list objects",
      signal,
      isBucketRequest: true,
    };
    return (await this.#requests.json(request)) as Page;
  }

  async delete(keys: readonly string[], { signal }: BackendCall): Promise<void> {
    const op = "delete objects";
    await forEachBounded(keys, PARALLEL_DELETES, async (key) => {
      const path = this.#objectPath(op, key);
      const response = await this.#requests
        .send({ kind: "delete", method: "DELETE", path, op, key, signal })
        .catch(acceptAbsent);
      await response?.body?.cancel();
    });
  }

  async close(): Promise<void> {
    // Connections belong to the process, which lets idle ones go.
    await this.#cleanups.settled();
  }

  #objectPath(op: string, key: string): string {
    const name = this.#keys.name(op, key);
    return `/storage/v1/b/${this.#bucket}/o/${encodeURIComponent(name)}`;
  }
}

async function* nothing(): AsyncGenerator<Uint8Array, void, void> {}

/** The way to write `undefined` for an object that was absent, and to throw everything else. */
function acceptAbsent(error: unknown): undefined {
  if (!isMillraceError(error, "storage/not-found")) throw error;
}

function lastByte(offset: number, sizeBytes: number | undefined): string {
  const last = offset + (sizeBytes ?? Infinity) - 1;
  return Number.isSafeInteger(last) ? String(last) : "";
}

interface Page {
  readonly items?: readonly GcsObject[] | undefined;
  readonly nextPageToken?: string | undefined;
}
