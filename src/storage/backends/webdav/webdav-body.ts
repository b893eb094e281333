/** The content of an object as a WebDAV server sends it, cut to what was asked for. */
import type { BackendBody } from "../../backend.ts";
import type { ObjectInfo } from "../../contract.ts";
import type { Failure } from "../../remote/failures.ts";
import { connectionError, type DavAnswer } from "./client.ts";

export interface BodyOptions {
  readonly info: ObjectInfo;
  /** `undefined` when nothing has to be read. */
  readonly answer: DavAnswer | undefined;
  /** Bytes to pass over: a server may send everything when it was asked for a part. */
  readonly skipBytes: number;
  readonly sizeBytes: number;
  readonly failure: Failure;
  /** Called when everything was read: throws when it may not be what was announced. */
  readonly check: () => Promise<void>;
  /** Ends the request. */
  readonly controller: AbortController;
}

export class WebdavBody implements BackendBody {
  readonly info: ObjectInfo;
  readonly #options: BodyOptions;

  constructor(options: BodyOptions) {
    this.info = options.info;
    this.#options = options;
  }

  async *chunks(): AsyncGenerator<Uint8Array, void, void> {
    const { answer, skipBytes, sizeBytes, failure, check, controller } = this.#options;
    if (answer === undefined || sizeBytes === 0) return;
    let skip = skipBytes;
    let left = sizeBytes;
    try {
      for await (const chunk of answer.chunks()) {
        const part = chunk.subarray(skip, skip + left);
        skip = Math.max(0, skip - chunk.length);
        left -= part.length;
        if (part.length > 0) yield part;
        if (left === 0) break;
      }
    } catch (error) {
      controller.signal.throwIfAborted();
      throw connectionError(error, failure);
    }
    await check();
  }

  async close(): Promise<void> {
    this.#options.controller.abort();
  }
}
