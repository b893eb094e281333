/**
 * Contents over SFTP: many small requests under way at once, so that a long line is used, and no more of them than a bound.
 *
 * A piece fits into what every server takes in one packet; a server may answer a read with less, which is asked for again.
 */
import { handledElsewhere } from "../../../base/async.ts";
import type { BackendBody, BackendSource } from "../../backend.ts";
import type { ObjectInfo } from "../../contract.ts";
import { failureError, type Failure } from "../../remote/failures.ts";
import type { Handle, SftpSession } from "./session.ts";
import { sftpError } from "./sftp-errors.ts";

/** Bytes of one request: below the 32 KiB that servers have to take. */
export const PIECE_BYTES: number = 31 * 1024;
/** Requests of one transfer under way at once: 2 MB. */
export const CONCURRENT_PIECES = 64;
/** What a reader gets at a time. */
const CHUNK_BYTES = 8 * PIECE_BYTES;
/** Chunks asked for before they are wanted. */
const CHUNKS_AHEAD = CONCURRENT_PIECES / 8;

/** Writes all of `source`, at most `limit` pieces at once. */
export async function writeAll(
  session: SftpSession,
  handle: Handle,
  source: BackendSource,
  options: { readonly signal: AbortSignal; readonly limit: number },
): Promise<void> {
  const { signal, limit } = options;
  const running = new Set<Promise<void>>();
  const failures: unknown[] = [];
  let position = 0;
  const room = async (most: number): Promise<void> => {
    while (running.size > most && failures.length === 0) await Promise.race(running);
    if (failures.length > 0) throw failures[0];
  };
  for await (const chunk of source.open()) {
    for (let start = 0; start < chunk.length; start += PIECE_BYTES) {
      await room(limit - 1);
      const piece = chunk.subarray(start, start + PIECE_BYTES);
      const writing = session
        .write(handle, piece, position, signal)
        .catch((error: unknown) => void failures.push(error))
        .finally(() => running.delete(writing));
      running.add(writing);
      position += piece.length;
    }
  }
  await room(0);
}

export interface BodyOptions {
  readonly session: SftpSession;
  readonly handle: Handle;
  readonly info: ObjectInfo;
  /** For messages. */
  readonly failure: Failure;
  readonly offset: number;
  readonly sizeBytes: number | undefined;
  readonly signal: AbortSignal;
}

/** An open file, read ahead. */
export class SftpBody implements BackendBody {
  readonly info: ObjectInfo;
  readonly #options: BodyOptions;
  readonly #end: number;
  readonly #start: number;
  #isClosed = false;

  /** Takes over the handle. */
  constructor(options: BodyOptions) {
    const { info, offset, sizeBytes = info.sizeBytes } = options;
    this.info = info;
    this.#options = options;
    this.#start = Math.min(offset, info.sizeBytes);
    this.#end = Math.min(info.sizeBytes, this.#start + sizeBytes);
  }

  async *chunks(): AsyncGenerator<Uint8Array, void, void> {
    const ahead: Promise<Uint8Array>[] = [];
    let next = this.#start;
    try {
      for (;;) {
        while (next < this.#end && ahead.length < CHUNKS_AHEAD) {
          const sizeBytes = Math.min(CHUNK_BYTES, this.#end - next);
          const chunk = this.#chunk(next, sizeBytes);
          // Its failure is thrown when it is its turn.
          handledElsewhere(chunk);
          ahead.push(chunk);
          next += sizeBytes;
        }
        const first = ahead.shift();
        if (first === undefined) return;
        yield await first;
      }
    } catch (error) {
      throw sftpError(this.#options.failure, error);
    }
  }

  async close(): Promise<void> {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#options.session.release(this.#options.handle);
  }

  async #chunk(position: number, sizeBytes: number): Promise<Uint8Array> {
    const target = Buffer.from(new ArrayBuffer(sizeBytes));
    const pieces: Promise<void>[] = [];
    for (let start = 0; start < sizeBytes; start += PIECE_BYTES) {
      const piece = target.subarray(start, start + PIECE_BYTES);
      pieces.push(this.#fill(piece, position + start));
    }
    await Promise.all(pieces);
    return target;
  }

  async #fill(target: Buffer, position: number): Promise<void> {
    const { session, handle, signal, failure } = this.#options;
    for (let count = 0; count < target.length;) {
      const got = await session.read(handle, target.subarray(count), position + count, signal);
      if (got === 0) {
        throw failureError("storage/truncated", failure, {
          found: `the file ended at byte ${position + count}, before the size that it had`,
        });
      }
      count += got;
    }
  }
}
