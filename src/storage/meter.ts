/** What a store over a network was asked, and how much went over the wire as content. */

export const REQUEST_KINDS = ["get", "head", "put", "list", "delete"] as const;

/** `put` includes every request of a multipart upload, `delete` one request for many keys. */
export type RequestKind = (typeof REQUEST_KINDS)[number];

export interface StoreUsage {
  readonly requests: Readonly<Record<RequestKind, number>>;
  /** Attempts that failed and were, or would have been, worth another one. */
  readonly retries: number;
  readonly sentBytes: number;
  readonly receivedBytes: number;
}

/** Counted where the request is made: a backend calls it once for each. */
export class RequestMeter {
  readonly #requests: Record<RequestKind, number> = { get: 0, head: 0, put: 0, list: 0, delete: 0 };
  #retries = 0;
  #sentBytes = 0;
  #receivedBytes = 0;

  request(kind: RequestKind): void {
    this.#requests[kind] += 1;
  }

  retry(): void {
    this.#retries += 1;
  }

  sent(bytes: number): void {
    this.#sentBytes += bytes;
  }

  received(bytes: number): void {
    this.#receivedBytes += bytes;
  }

  usage(): StoreUsage {
    return {
      requests: { ...this.#requests },
      retries: this.#retries,
      sentBytes: this.#sentBytes,
      receivedBytes: this.#receivedBytes,
    };
  }
}
