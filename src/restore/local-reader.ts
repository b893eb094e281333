/** Reads of local files, gathered so that one message to the reading thread carries many. */
import type { DecodePool } from "./decode-pool.ts";
import type { LocalRange } from "./local-file.ts";

/** Most bytes asked for with one message. */
const BATCH_BYTES = 8 * 1024 * 1024;

interface Waiting {
  readonly range: LocalRange;
  readonly resolve: (bytes: Uint8Array<ArrayBuffer> | undefined) => void;
  readonly reject: (error: unknown) => void;
}

export class LocalReader {
  readonly #pool: DecodePool;
  #waiting: Waiting[] = [];

  constructor(pool: DecodePool) {
    this.#pool = pool;
  }

  /** The range, in a buffer of its own; `undefined` when it cannot be had: then the store has to say why. */
  read(range: LocalRange): Promise<Uint8Array<ArrayBuffer> | undefined> {
    if (this.#waiting.length === 0) queueMicrotask(() => this.#flush());
    return new Promise((resolve, reject) => this.#waiting.push({ range, resolve, reject }));
  }

  #flush(): void {
    let batch: Waiting[] = [];
    let sizeBytes = 0;
    for (const waiting of this.#waiting) {
      if (batch.length > 0 && sizeBytes + waiting.range.sizeBytes > BATCH_BYTES) {
        void this.#send(batch);
        batch = [];
        sizeBytes = 0;
      }
      batch.push(waiting);
      sizeBytes += waiting.range.sizeBytes;
    }
    this.#waiting = [];
    void this.#send(batch);
  }

  async #send(batch: readonly Waiting[]): Promise<void> {
    try {
      const results = await this.#pool.read(batch.map(({ range }) => range));
      batch.forEach(({ resolve }, i) => resolve(results[i]));
    } catch (error) {
      for (const { reject } of batch) reject(error);
    }
  }
}
