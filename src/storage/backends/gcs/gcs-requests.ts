/**
 * Requests to Google Cloud Storage, each made once: signed in, counted, its failures translated.
 *
 * The service is asked by `fetch`, because the official client for Node.js cannot end a request that runs; of it only the
 * part that signs in is used.
 */
import type { RequestKind, RequestMeter } from "../../meter.ts";
import { failureError, type Failure } from "../../remote/failures.ts";
import type { GcsCredentials } from "./gcs-credentials.ts";
import type { GcsEndpoint } from "./gcs-endpoint.ts";
import { credentialError, refusalError, requestError, type Condition } from "./gcs-errors.ts";

export interface GcsRequest {
  readonly kind: RequestKind;
  readonly method: "GET" | "POST" | "PUT" | "DELETE";
  /** From the base of the endpoint, with its query. */
  readonly path: string;
  /** For messages. */
  readonly op: string;
  readonly key?: string | undefined;
  readonly signal: AbortSignal;
  readonly headers?: Readonly<Record<string, string>> | undefined;
  readonly body?: Uint8Array<ArrayBuffer> | string | undefined;
  readonly condition?: Condition;
  /** Whether nothing but the bucket can be missing. */
  readonly isBucketRequest?: boolean | undefined;
  /** Statuses beyond 2xx that are answers here. */
  readonly accept?: readonly number[] | undefined;
}

export class GcsRequests {
  readonly #endpoint: GcsEndpoint;
  readonly #credentials: GcsCredentials;
  readonly #meter: RequestMeter;
  readonly #bucket: string;
  /** As it may be shown. */
  readonly where: string;

  constructor(options: {
    readonly endpoint: GcsEndpoint;
    readonly credentials: GcsCredentials;
    readonly meter: RequestMeter;
    readonly bucket: string;
    readonly where: string;
  }) {
    this.#endpoint = options.endpoint;
    this.#credentials = options.credentials;
    this.#meter = options.meter;
    this.#bucket = options.bucket;
    this.where = options.where;
  }

  /** The answer, its body not yet read. Ended by the signal, also while its body is read. */
  async send(request: GcsRequest): Promise<Response> {
    const { kind, method, path, op, key, signal, body, condition, accept = [] } = request;
    const failure: Failure = { op, key, where: this.where };
    const headers = await this.#signIn(failure, signal);
    for (const [name, value] of Object.entries(request.headers ?? {})) headers.set(name, value);
    this.#meter.request(kind);
    const response = await fetch(this.#endpoint.base + path, {
      method,
      headers,
      signal,
      redirect: "manual",
      ...(body === undefined ? {} : { body }),
    }).catch(fail(failure, signal));
    if (response.ok || accept.includes(response.status)) return response;
    const text = await response.text().catch(fail(failure, signal));
    throw refusalError(failure, {
      status: response.status,
      headers: response.headers,
      body: text,
      condition,
      bucket: this.#bucket,
      isBucketRequest: request.isBucketRequest ?? false,
    });
  }

  /** The answer's body, which is JSON. */
  async json(request: GcsRequest): Promise<unknown> {
    const response = await this.send(request);
    return this.parse(request, response);
  }

  async parse({ op, key, signal }: GcsRequest, response: Response): Promise<unknown> {
    const failure: Failure = { op, key, where: this.where };
    const text = await response.text().catch(fail(failure, signal));
    try {
      return JSON.parse(text);
    } catch (cause) {
      const found = "the answer is not that of Google Cloud Storage";
      const hint = "check the endpoint of the replica";
      throw failureError("storage/misconfigured", { ...failure, cause }, { found, hint });
    }
  }

  async #signIn(failure: Failure, signal: AbortSignal): Promise<Headers> {
    try {
      const headers = new Headers(await this.#credentials.headers());
      signal.throwIfAborted();
      return headers;
    } catch (cause) {
      signal.throwIfAborted();
      throw credentialError({ ...failure, cause });
    }
  }
}

function fail(failure: Failure, signal: AbortSignal): (cause: unknown) => never {
  return (cause) => {
    throw requestError({ ...failure, cause }, signal);
  };
}
