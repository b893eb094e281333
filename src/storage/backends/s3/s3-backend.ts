/**
 * S3 and what speaks its protocol, as a storage backend.
 *
 * Frozen: names are `<path>/<key>`, and begin with `/` when the replica has no path; the time of the content is in the
 * metadata `litestream-timestamp`.
 *
 * Source: benbjohnson/litestream@63225f1 `s3.ReplicaClient`.
 */
import { Readable } from "node:stream";
import {
  DeleteObjectCommand,
  DeleteObjectsCommand,
  GetObjectCommand,
  HeadObjectCommand,
  ListObjectsV2Command,
  PutObjectCommand,
  type S3Client,
} from "@aws-sdk/client-s3";
import type { Clock } from "../../../base/clock.ts";
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
import type { ObjectInfo, StoreCapabilities } from "../../contract.ts";
import { MAX_KEY_BYTES } from "../../keys.ts";
import type { RequestMeter } from "../../meter.ts";
import type { Attempts } from "../../remote/attempts.ts";
import { emptyBody, StreamBody } from "../../remote/stream-body.ts";
import { RootedKeys } from "../../remote/rooted-keys.ts";
import { formatTimestamp, parseTimestamp } from "../../remote/timestamps.ts";
import { MultipartUploads } from "./multipart.ts";
import { collect, partSizesFor } from "./parts.ts";
import { rangeOf, totalOf } from "./ranges.ts";
import { statusOf, type Request, type S3Errors } from "./s3-errors.ts";
import { MAX_PARTS, MAX_PART_BYTES, type S3Plan } from "./s3-plan.ts";

/** Amazon's largest object. */
const MAX_OBJECT_BYTES = 5 * 1024 ** 4;
const TIMESTAMP = "litestream-timestamp";
/** VersityGW lists the file of an unfinished put for a moment, as `.<name>.sgwtmp.<number>`. */
const SERVERS_OWN = /(?:^|\/)\.[^/]+\.sgwtmp\.\d+$/;

export interface S3Parts {
  readonly plan: S3Plan;
  /** Owned by the backend from here on. */
  readonly client: S3Client;
  readonly errors: S3Errors;
  readonly meter: RequestMeter;
  readonly clock: Clock;
  /** Of parts of uploads. */
  readonly attempts: Attempts;
  /** Of removing them. */
  readonly removing: Attempts;
}

export class S3Backend implements StoreBackend {
  readonly type: string;
  readonly capabilities: StoreCapabilities;
  readonly meter: RequestMeter;
  readonly #plan: S3Plan;
  readonly #client: S3Client;
  readonly #errors: S3Errors;
  readonly #clock: Clock;
  readonly #keys: RootedKeys;
  /**
   * Where a listing looks, until something is there: many servers take the slash off a name that begins with one, but not off
   * a prefix to list.
   */
  readonly #listed: readonly RootedKeys[];
  readonly #uploads: MultipartUploads;

  constructor({ plan, client, errors, meter, clock, attempts, removing }: S3Parts) {
    this.type = plan.type;
    this.meter = meter;
    this.#plan = plan;
    this.#client = client;
    this.#errors = errors;
    this.#clock = clock;
    this.#keys = new RootedKeys(plan.prefix, MAX_KEY_BYTES, "/");
    const bare = new RootedKeys(plan.prefix, MAX_KEY_BYTES);
    this.#listed = plan.prefix === "" ? [this.#keys, bare] : [this.#keys];
    this.#uploads = new MultipartUploads({ plan, client, errors, attempts, removing });
    this.capabilities = {
      conditionalCreate: plan.conditionalWrites,
      conditionalReplace: plan.conditionalWrites,
      rangeReads: true,
      consistentList: true,
      exactTimesInList: false,
      maxObjectBytes: Math.min(MAX_OBJECT_BYTES, MAX_PARTS * MAX_PART_BYTES),
    };
  }

  get(key: string, call: BackendGet): Promise<BackendBody> {
    return this.#get({ op: "get object", key }, call);
  }

  async #get(request: Request, call: BackendGet): Promise<BackendBody> {
    const { offset, sizeBytes, signal } = call;
    if (sizeBytes === 0) return emptyBody(await this.#head(request, signal));
    const isRange = offset > 0 || sizeBytes !== undefined;
    const command = new GetObjectCommand({
      ...this.#object(request),
      ...this.#plan.encryption.content,
      ...(isRange ? { Range: rangeOf(offset, sizeBytes) } : {}),
    });
    try {
      const answer = await this.#client.send(command, { abortSignal: signal });
      const total = isRange ? totalOf(answer.ContentRange) : answer.ContentLength;
      const info = this.#info(request, { ...answer, ContentLength: total });
      return this.#body(info, answer.Body, signal);
    } catch (error) {
      signal.throwIfAborted();
      // The range begins at the end or after it.
      if (isRange && statusOf(error) === 416) return emptyBody(await this.#head(request, signal));
      throw this.#errors.translate(error, request);
    }
  }

  /** Ends with `signal`, at any time. */
  #body(info: ObjectInfo, content: unknown, signal: AbortSignal): BackendBody {
    const stream = content instanceof Readable ? content : Readable.from([]);
    // What fails before anybody reads is found by the reading; without a listener it would end the process.
    stream.on("error", () => {});
    const onAbort = (): void => void stream.destroy();
    signal.addEventListener("abort", onAbort, { once: true });
    if (signal.aborted) onAbort();
    return new StreamBody(info, {
      stream,
      release: async () => {
        signal.removeEventListener("abort", onAbort);
        onAbort();
      },
      translate: (error): unknown => {
        if (signal.aborted) return signal.reason;
        return this.#errors.translate(error, { op: "get object", key: info.key });
      },
    });
  }

  head(key: string, { signal }: BackendCall): Promise<ObjectInfo> {
    return this.#head({ op: "head object", key }, signal);
  }

  async put(key: string, source: BackendSource, call: BackendPut): Promise<ObjectInfo> {
    const { ifAbsent, ifMatch, createdAtMs = this.#clock.now(), signal } = call;
    const { partSizeBytes, encryption, storageClass } = this.#plan;
    const condition = ifAbsent
      ? "storage/exists"
      : ifMatch === undefined
        ? undefined
        : "storage/precondition-failed";
    const request: Request = { op: "put object", key, condition };
    const creation = {
      ...this.#object(request),
      ...encryption.content,
      ...encryption.creation,
      Metadata: { [TIMESTAMP]: formatTimestamp(createdAtMs) },
      ...(storageClass === undefined ? {} : { StorageClass: storageClass as never }),
    };
    const conditions = {
      ...(ifAbsent ? { IfNoneMatch: "*" } : {}),
      ...(ifMatch === undefined ? {} : { IfMatch: ifMatch }),
    };
    const { sizeBytes } = source;
    const done = (etag: string | undefined): ObjectInfo => {
      if (etag === undefined || etag === "")
        throw this.#errors.malformed("the answer has no ETag", request);
      return { key, sizeBytes, createdAtMs, etag };
    };
    if (sizeBytes > partSizeBytes) {
      const sizes = partSizesFor(sizeBytes, this.#plan);
      const upload = { request, creation, conditions, sizes, signal };
      return done(await this.#uploads.put(source, upload));
    }
    const body = await collect(source);
    return this.#ask(request, signal, async () => {
      const command = new PutObjectCommand({
        ...creation,
        ...conditions,
        Body: body,
        ContentLength: body.length,
      });
      const answer = await this.#client.send(command, { abortSignal: signal });
      this.#errors.requireEncrypted(answer, request);
      return done(answer.ETag);
    });
  }

  async *list(prefix: string, call: BackendList): AsyncGenerator<ObjectInfo, void, void> {
    for (const keys of this.#listed) {
      let isEmpty = true;
      for await (const info of this.#listBelow(keys, prefix, call)) {
        isEmpty = false;
        yield info;
      }
      if (!isEmpty) return;
    }
  }

  async *#listBelow(
    keys: RootedKeys,
    prefix: string,
    { startAfter, signal }: BackendList,
  ): AsyncGenerator<ObjectInfo, void, void> {
    const first = startAfter === "" ? {} : { StartAfter: keys.text(startAfter) };
    let token: string | undefined;
    do {
      const command = new ListObjectsV2Command({
        Bucket: this.#plan.bucket,
        Prefix: keys.text(prefix),
        ...(token === undefined ? first : { ContinuationToken: token }),
      });
      const page = await this.#ask({ op: "list objects" }, signal, () =>
        this.#client.send(command, { abortSignal: signal }),
      );
      for (const { Key = "", Size, ETag, LastModified } of page.Contents ?? []) {
        const key = keys.key(Key);
        if (key === undefined || SERVERS_OWN.test(key)) continue;
        const createdAtMs = LastModified?.getTime() ?? 0;
        yield { key, sizeBytes: Size ?? 0, createdAtMs, etag: ETag };
      }
      token = page.IsTruncated === true ? page.NextContinuationToken : undefined;
    } while (token !== undefined);
  }

  async delete(keys: readonly string[], { signal }: BackendCall): Promise<void> {
    const op = "delete objects";
    const [single, ...others] = keys;
    if (single !== undefined && others.length === 0) {
      const request = { op, key: single };
      const command = new DeleteObjectCommand(this.#object(request));
      try {
        await this.#ask(request, signal, () => this.#client.send(command, { abortSignal: signal }));
      } catch (error) {
        // Amazon does not mind; Google does.
        if (!isMillraceError(error, "storage/not-found")) throw error;
      }
      return;
    }
    const command = new DeleteObjectsCommand({
      Bucket: this.#plan.bucket,
      Delete: { Quiet: true, Objects: keys.map((key) => ({ Key: this.#keys.name(op, key) })) },
    });
    const { Errors = [] } = await this.#ask({ op }, signal, () =>
      this.#client.send(command, { abortSignal: signal }),
    );
    const failed = Errors.filter(({ Code }) => Code !== "NoSuchKey");
    const [first] = failed;
    if (first === undefined) return;
    const { Key = "", Code = "", Message = "" } = first;
    const text = `${Message}; ${failed.length} of ${keys.length} objects were not deleted`;
    throw this.#errors.ofKey(Code, text, { op, key: this.#keys.key(Key) });
  }

  async close(): Promise<void> {
    await this.#uploads.close();
    this.#client.destroy();
  }

  async #head(request: Request, signal: AbortSignal): Promise<ObjectInfo> {
    const command = new HeadObjectCommand({
      ...this.#object(request),
      ...this.#plan.encryption.content,
    });
    try {
      return this.#info(request, await this.#client.send(command, { abortSignal: signal }));
    } catch (error) {
      signal.throwIfAborted();
      const status = statusOf(error) ?? 0;
      if (status < 300 || status >= 500) throw this.#errors.translate(error, request);
    }
    // Answers to HEAD do not say what is wrong: without a bucket, or with a wrong key, the object is absent too.
    const body = await this.#get(request, { offset: 0, sizeBytes: undefined, signal });
    await body.close();
    return body.info;
  }

  #info(
    request: Request,
    answer: {
      readonly ContentLength?: number | undefined;
      readonly ETag?: string | undefined;
      readonly LastModified?: Date | undefined;
      readonly Metadata?: Record<string, string> | undefined;
    },
  ): ObjectInfo {
    const { ContentLength, ETag, LastModified, Metadata } = answer;
    if (ContentLength === undefined)
      throw this.#errors.malformed("the answer does not say how large the object is", request);
    const createdAtMs = parseTimestamp(Metadata?.[TIMESTAMP]) ?? LastModified?.getTime() ?? 0;
    return { key: request.key ?? "", sizeBytes: ContentLength, createdAtMs, etag: ETag };
  }

  #object({ op, key = "" }: Request): { Bucket: string; Key: string } {
    return { Bucket: this.#plan.bucket, Key: this.#keys.name(op, key) };
  }

  async #ask<T>(request: Request, signal: AbortSignal, send: () => Promise<T>): Promise<T> {
    try {
      return await send();
    } catch (error) {
      signal.throwIfAborted();
      throw this.#errors.translate(error, request);
    }
  }
}
