/** The content of an object on its way into the stream: cut into chunks, a few of which are under way at a time. */
import { handledElsewhere } from "../../../base/async.ts";
import { createHash } from "node:crypto";
import { nuid } from "@nats-io/transport-node";
import type { BackendSource } from "../../backend.ts";
import { failureError } from "../../remote/failures.ts";
import type { NatsFailure } from "./nats-errors.ts";
import { type ChunkRun, toRuns } from "./nats-format.ts";
import type { Session } from "./nats-session.ts";

/** Chunks that are sent and not yet acknowledged; as many are in memory. */
const MAX_UNDER_WAY = 8;

export interface Uploaded {
  readonly nuid: string;
  readonly chunkBytes: number;
  readonly countChunks: number;
  /** SHA-256 in base64url without padding. */
  readonly digest: string;
  readonly runs: readonly ChunkRun[];
}

/** One content, which nobody sees until a message names its `nuid`. */
export class ChunkUpload {
  readonly nuid: string = nuid.next();
  readonly #session: Session;
  readonly #failure: NatsFailure;
  readonly #underWay: Promise<number>[] = [];
  readonly #sequences: number[] = [];

  constructor(session: Session, failure: NatsFailure) {
    this.#session = session;
    this.#failure = failure;
  }

  /** Sends all of `source`. Errors of the source leave unchanged. */
  async send(source: BackendSource, signal: AbortSignal): Promise<Uploaded> {
    const chunkBytes = await this.#session.run(this.#failure, () => this.#session.chunkBytes());
    const hash = createHash("sha256");
    for await (const chunk of cut(source, chunkBytes)) {
      signal.throwIfAborted();
      hash.update(chunk);
      if (this.#underWay.length === MAX_UNDER_WAY) await this.#acknowledged();
      const sending = this.#session.putChunk(this.nuid, chunk, MAX_UNDER_WAY * chunkBytes);
      // Its failure is thrown when its turn comes.
      handledElsewhere(sending);
      this.#underWay.push(sending);
    }
    while (this.#underWay.length > 0) await this.#acknowledged();
    const runs = toRuns(this.#sequences);
    const countChunks = this.#sequences.length;
    return { nuid: this.nuid, chunkBytes, countChunks, digest: hash.digest("base64url"), runs };
  }

  /** Waits until nothing is under way, well or not. */
  async settled(): Promise<void> {
    await Promise.allSettled(this.#underWay);
  }

  async #acknowledged(): Promise<void> {
    const sequence = await this.#session.run(this.#failure, async () => this.#underWay[0] ?? 0);
    void this.#underWay.shift();
    if (sequence <= (this.#sequences.at(-1) ?? 0)) {
      throw failureError("storage/unavailable", this.#failure, {
        found: "the server stored the chunks in another order than they were sent",
      });
    }
    this.#sequences.push(sequence);
  }
}

/** All of `source` in chunks of `chunkBytes`; each stays as it is until the put settles. */
async function* cut(
  source: BackendSource,
  chunkBytes: number,
): AsyncGenerator<Uint8Array, void, void> {
  if (source.bytes !== undefined) {
    for (let offset = 0; offset < source.bytes.length; offset += chunkBytes)
      yield source.bytes.subarray(offset, offset + chunkBytes);
    return;
  }
  let chunk = new Uint8Array(chunkBytes);
  let count = 0;
  for await (const piece of source.open()) {
    let taken = 0;
    while (taken < piece.length) {
      const part = piece.subarray(taken, taken + chunkBytes - count);
      chunk.set(part, count);
      count += part.length;
      taken += part.length;
      if (count < chunkBytes) continue;
      yield chunk;
      chunk = new Uint8Array(chunkBytes);
      count = 0;
    }
  }
  if (count > 0) yield chunk.subarray(0, count);
}
