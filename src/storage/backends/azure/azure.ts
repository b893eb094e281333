/**
 * Azure Blob Storage as a store: `abs://account@container/path`.
 *
 * Source: layout, metadata and order of credentials are those of benbjohnson/litestream@63225f1 `abs.ReplicaClient`. Listings
 * begin at a name (`startFrom`, service version 2026-02-06), where that client makes the wanted TXID a part of the prefix;
 * a service that does not know the parameter is listed from the beginning and what comes before is left out here.
 */
import type { BlobItem, BlockBlobClient, ContainerClient } from "@azure/storage-blob";
import type { Readable } from "node:stream";
import type { Random } from "../../../base/clock.ts";
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
import { compareKeys } from "../../keys.ts";
import { RequestMeter, type RequestKind } from "../../meter.ts";
import { forEachBounded } from "../../remote/bounded.ts";
import { failureError, type Failure } from "../../remote/failures.ts";
import { openRemoteStore, type RemoteContext } from "../../remote/remote-store.ts";
import { RootedKeys } from "../../remote/rooted-keys.ts";
import { emptyBody, StreamBody } from "../../remote/stream-body.ts";
import type { AzureTarget } from "../../replica-url/target.ts";
import { azureContainer } from "./azure-client.ts";
import { azureError, type AzureFailure, type Condition } from "./azure-errors.ts";
import { blobMetadata, etagHeader, infoOf } from "./azure-objects.ts";
import { inByteOrder, safeStart } from "./azure-order.ts";
import { azureAccess } from "./azure-settings.ts";
import { MAX_UPLOAD_BYTES, upload } from "./azure-upload.ts";

const MAX_NAME_BYTES = 1_024;
/** The service gives up to 5,000; fewer are parsed at once. */
const PAGE_ITEMS = 1_000;
const PARALLEL_DELETES = 16;
const RANGE_NOT_SATISFIABLE = 416;

const CAPABILITIES: StoreCapabilities = {
  conditionalCreate: true,
  conditionalReplace: true,
  rangeReads: true,
  consistentList: true,
  exactTimesInList: true,
  maxObjectBytes: MAX_UPLOAD_BYTES,
};

/**
 * Opens a container. Nothing is asked before the first call, which is when wrong credentials or a missing container show.
 * Throws `storage/misconfigured` for settings that cannot be used.
 */
export async function openAzureStore(
  target: AzureTarget,
  { clock, random, env }: RemoteContext,
): Promise<ObjectStore> {
  const access = azureAccess(target, env);
  const { container } = target;
  const where = `abs://${container} at ${access.endpoint}`;
  const meter = new RequestMeter();
  const backend = new AzureBackend({
    client: await azureContainer(access, container),
    prefix: target.prefix,
    meter,
    random,
    place: { where, container, accountName: access.accountName },
  });
  return openRemoteStore(backend, { clock, random, meter, where });
}

interface AzureOptions {
  readonly client: ContainerClient;
  readonly prefix: string;
  readonly meter: RequestMeter;
  readonly random: Random;
  readonly place: Pick<AzureFailure, "where" | "container" | "accountName">;
}

/** What is asked, for messages and counts. */
interface Question {
  readonly kind: RequestKind;
  readonly op: string;
  readonly key?: string | undefined;
  readonly condition?: Condition;
  readonly signal: AbortSignal;
}

class AzureBackend implements StoreBackend {
  readonly type = "azure";
  readonly capabilities = CAPABILITIES;
  readonly #options: AzureOptions;
  readonly #keys: RootedKeys;

  constructor(options: AzureOptions) {
    this.#options = options;
    this.#keys = new RootedKeys(options.prefix, MAX_NAME_BYTES);
  }

  async get(key: string, { offset, sizeBytes, signal }: BackendGet): Promise<BackendBody> {
    if (sizeBytes === 0) return emptyBody(await this.head(key, { signal }));
    const question: Question = { kind: "get", op: "get object", key, signal };
    const blob = this.#blob(question.op, key);
    const count = Number.isSafeInteger(offset + (sizeBytes ?? Infinity)) ? sizeBytes : undefined;
    const answer = await this.#ask(question, () =>
      blob.download(offset, count, { abortSignal: signal, maxRetryRequests: 0 }),
    ).catch((error: unknown) => {
      if (isMillraceError(error) && error.details["status"] === RANGE_NOT_SATISFIABLE)
        return undefined;
      throw error;
    });
    if (answer === undefined) return this.#beyond(key, offset, signal);
    const { contentRange, contentLength, etag, lastModified, metadata } = answer;
    const total = /\/(\d+)$/.exec(contentRange ?? "")?.[1];
    const size = total === undefined ? contentLength : Number(total);
    const stream = answer.readableStreamBody as Readable;
    // Whoever reads gets it from the iteration; without this an aborted reading would end the process.
    stream.on("error", () => {});
    return new StreamBody(infoOf(key, { sizeBytes: size, etag, lastModified, metadata }), {
      stream: stream as AsyncIterable<Uint8Array>,
      release: async () => {
        stream.destroy();
      },
      translate: (cause) => azureError(this.#failure(question, cause), signal),
    });
  }

  /** A range that begins after the end is empty, and no failure. */
  async #beyond(key: string, offset: number, signal: AbortSignal): Promise<BackendBody> {
    const info = await this.head(key, { signal });
    if (offset >= info.sizeBytes) return emptyBody(info);
    const failure: Failure = { op: "get object", key, where: this.#options.place.where };
    throw failureError("storage/unavailable", failure, { found: "the range was refused" });
  }

  async head(key: string, { signal }: BackendCall): Promise<ObjectInfo> {
    const question: Question = { kind: "head", op: "head object", key, signal };
    const blob = this.#blob(question.op, key);
    const facts = await this.#ask(question, () => blob.getProperties({ abortSignal: signal }));
    const { contentLength: sizeBytes, etag, lastModified, metadata } = facts;
    return infoOf(key, { sizeBytes, etag, lastModified, metadata });
  }

  async put(key: string, source: BackendSource, call: BackendPut): Promise<ObjectInfo> {
    const { ifAbsent, ifMatch, createdAtMs, signal } = call;
    const condition = ifAbsent ? "absent" : ifMatch === undefined ? undefined : "match";
    const question: Question = { kind: "put", op: "put object", key, condition, signal };
    const etag = ifMatch === undefined ? undefined : etagHeader(ifMatch);
    if (ifMatch !== undefined && etag === undefined) {
      const failure = this.#failure(question, undefined);
      const found = "the wanted version is none of this store";
      throw failureError("storage/precondition-failed", failure, { found });
    }
    const facts = await upload({
      blob: this.#blob(question.op, key),
      source,
      conditions: {
        ...(ifAbsent ? { ifNoneMatch: "*" } : {}),
        ...(etag === undefined ? {} : { ifMatch: etag }),
      },
      metadata: blobMetadata(createdAtMs),
      random: this.#options.random,
      ask: (request) => this.#ask(question, request),
      signal,
    });
    return infoOf(key, facts);
  }

  list(prefix: string, call: BackendList): AsyncIterable<ObjectInfo> {
    return inByteOrder(this.#listing(prefix, call));
  }

  /** In the server's order. */
  async *#listing(
    prefix: string,
    { startAfter, signal }: BackendList,
  ): AsyncGenerator<ObjectInfo, void, void> {
    const { client } = this.#options;
    const question: Question = { kind: "list", op: "list objects", signal };
    const name = this.#keys.text(prefix);
    const listing = client.listBlobsFlat({
      abortSignal: signal,
      includeMetadata: true,
      responseFormat: "Xml",
      ...(name === "" ? {} : { prefix: name }),
      ...(startAfter === "" ? {} : { startFrom: this.#keys.text(safeStart(startAfter)) }),
    });
    const pages = listing.byPage({ maxPageSize: PAGE_ITEMS });
    for (;;) {
      const page = await this.#ask(question, () => pages.next());
      if (page.done === true) return;
      for (const item of page.value.segment.blobItems) {
        const key = isDirectory(item) ? undefined : this.#keys.key(item.name);
        if (key === undefined || compareKeys(key, startAfter) <= 0) continue;
        const { contentLength: sizeBytes, etag, lastModified } = item.properties;
        yield infoOf(key, { sizeBytes, etag, lastModified, metadata: item.metadata });
      }
      if (page.value.continuationToken === undefined || page.value.continuationToken === "") return;
    }
  }

  async delete(keys: readonly string[], { signal }: BackendCall): Promise<void> {
    await forEachBounded(keys, PARALLEL_DELETES, async (key) => {
      const question: Question = { kind: "delete", op: "delete objects", key, signal };
      const blob = this.#blob(question.op, key);
      try {
        await this.#ask(question, () => blob.delete({ abortSignal: signal }));
      } catch (error) {
        // An absent object is what was wanted.
        if (!isMillraceError(error, "storage/not-found")) throw error;
      }
    });
  }

  async close(): Promise<void> {
    // Connections belong to the process, which lets idle ones go.
  }

  #blob(op: string, key: string): BlockBlobClient {
    return this.#options.client.getBlockBlobClient(this.#keys.name(op, key));
  }

  /** One request. */
  async #ask<T>(question: Question, request: () => Promise<T>): Promise<T> {
    question.signal.throwIfAborted();
    this.#options.meter.request(question.kind);
    try {
      return await request();
    } catch (cause) {
      throw azureError(this.#failure(question, cause), question.signal);
    }
  }

  #failure({ op, key, condition }: Question, cause: unknown): AzureFailure {
    return { ...this.#options.place, op, key, condition, cause };
  }
}

/** Accounts with a hierarchical namespace list their directories too. */
function isDirectory({ metadata, properties }: BlobItem): boolean {
  const { resourceType } = properties as { readonly resourceType?: string };
  return resourceType === "directory" || metadata?.["hdi_isfolder"] === "true";
}
