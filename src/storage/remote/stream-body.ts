/** Readings in progress, as the libraries of stores hand them over. */
import type { BackendBody } from "../backend.ts";
import type { ObjectInfo } from "../contract.ts";

/** The body of a range that holds nothing. */
export function emptyBody(info: ObjectInfo): BackendBody {
  return { info, chunks: async function* () {}, close: async () => {} };
}

/** What a connection delivers, with its failures translated. */
export class StreamBody implements BackendBody {
  readonly info: ObjectInfo;
  readonly #stream: AsyncIterable<Uint8Array>;
  readonly #release: () => Promise<void>;
  readonly #translate: (error: unknown) => unknown;

  /** `release` frees the connection; it may be called more than once, and also when the stream has ended. */
  constructor(
    info: ObjectInfo,
    options: {
      readonly stream: AsyncIterable<Uint8Array>;
      readonly release: () => Promise<void>;
      readonly translate: (error: unknown) => unknown;
    },
  ) {
    this.info = info;
    this.#stream = options.stream;
    this.#release = options.release;
    this.#translate = options.translate;
  }

  async *chunks(): AsyncGenerator<Uint8Array, void, void> {
    const iterator = this.#stream[Symbol.asyncIterator]();
    let isOver = false;
    try {
      for (;;) {
        const next = await iterator.next();
        if (next.done === true) {
          isOver = true;
          return;
        }
        yield next.value;
      }
    } catch (error) {
      isOver = true;
      throw this.#translate(error);
    } finally {
      if (!isOver) await iterator.return?.();
    }
  }

  async close(): Promise<void> {
    try {
      await this.#release();
    } catch {
      // It failed already, or was left in the middle: the connection is gone either way.
    }
  }
}
