/** The content of an object, or a range of it: chunks read ahead a little, joined, cut, and checked against the digest. */
import { handledElsewhere } from "../../../base/async.ts";
import { createHash, type Hash } from "node:crypto";
import type { MillraceError } from "../../../errors.ts";
import type { BackendBody } from "../../backend.ts";
import type { ObjectInfo } from "../../contract.ts";
import { failureError, type Failure } from "../../remote/failures.ts";
import type { ChunkMap, ChunkPlace } from "./chunk-map.ts";
import type { ObjectMeta } from "./nats-format.ts";
import type { Session, Stored } from "./nats-session.ts";

/** Content that is asked for at a time; twice that is in memory while the next is on its way. */
const READ_AHEAD_BYTES = 2 * 1024 * 1024;
/** Chunks that are asked for at a time, however short. */
const MAX_MESSAGES = 1024;

/** Where an object begins, or later: the server looks for the first message of its subject from there. */
const START: ChunkPlace = { offset: 0, sequence: 1 };

export interface BodyOptions {
  readonly session: Session;
  readonly failure: Failure;
  readonly meta: ObjectMeta;
  readonly map: ChunkMap;
  readonly info: ObjectInfo;
  /** First byte, and the one after the last; within the object. */
  readonly offset: number;
  readonly end: number;
  readonly signal: AbortSignal;
}

export class NatsBody implements BackendBody {
  readonly info: ObjectInfo;
  readonly #first: Uint8Array | undefined;
  readonly #rest: AsyncGenerator<Uint8Array, void, void>;

  private constructor(
    info: ObjectInfo,
    first: Uint8Array | undefined,
    rest: AsyncGenerator<Uint8Array, void, void>,
  ) {
    this.info = info;
    this.#first = first;
    this.#rest = rest;
  }

  /** Reads the beginning. Throws `storage/truncated` when chunks are missing. */
  static async open(options: BodyOptions): Promise<NatsBody> {
    const rest = content(options);
    const first = await rest.next();
    return new NatsBody(options.info, first.value ?? undefined, rest);
  }

  async *chunks(): AsyncGenerator<Uint8Array, void, void> {
    if (this.#first !== undefined) yield this.#first;
    yield* this.#rest;
  }

  async close(): Promise<void> {
    await this.#rest.return();
  }
}

/** The wanted bytes in order; the digest is checked before the last of them are handed out. */
async function* content(options: BodyOptions): AsyncGenerator<Uint8Array, void, void> {
  const { offset, end, meta, failure } = options;
  const isWhole = offset === 0 && end === meta.sizeBytes && meta.digest !== undefined;
  const hash = isWhole ? createHash("sha256") : undefined;
  let position = offset;
  if (position === end) checkDigest(hash, meta, failure);
  for await (const { place, data } of chunksFrom(options)) {
    const bytes = data.subarray(position - place, end - place);
    if (bytes.length === 0) continue;
    hash?.update(bytes);
    position += bytes.length;
    if (position === end) checkDigest(hash, meta, failure);
    yield bytes;
  }
}

function checkDigest(hash: Hash | undefined, meta: ObjectMeta, failure: Failure): void {
  if (hash === undefined || hash.digest("base64url") === meta.digest) return;
  throw failureError("storage/corrupt", failure, {
    found: "its content is not what its digest says",
    hint: "the object was damaged in the store; restore from another replica, or from before it",
  });
}

/** Chunks with the offset of their first byte, from one that holds `offset` or lies before it. */
async function* chunksFrom(
  options: BodyOptions,
): AsyncGenerator<{ readonly place: number; readonly data: Uint8Array }, void, void> {
  const { offset, end, map, signal } = options;
  if (offset === end) return;
  const begun = await begin(options);
  let place = begun.offset;
  for (let { messages } = begun; ;) {
    signal.throwIfAborted();
    const next = after(place, messages);
    if (next === undefined) throw incomplete(options, place);
    const ahead = next.offset < end ? batch(options, next) : undefined;
    // Its failure is thrown when it is waited for; a reading that was left does not need it.
    if (ahead !== undefined) handledElsewhere(ahead);
    for (const { sequence, data } of messages) {
      map.add({ offset: place, sequence });
      if (place + data.length > offset) yield { place, data };
      place += data.length;
    }
    if (ahead === undefined) return;
    messages = await ahead;
  }
}

/**
 * A whole first batch, before anything of it is handed out: a short object is then read whole or, when it is replaced under
 * the reader's hands, not at all.
 */
async function begin(
  options: BodyOptions,
): Promise<{ readonly offset: number; readonly messages: readonly Stored[] }> {
  const { end, map } = options;
  let start = map.find(options.offset) ?? START;
  let messages = await batch(options, start);
  if (start !== START && messages[0]?.sequence !== start.sequence) {
    // The stream was copied, and its messages have other numbers than when they were written.
    map.clear();
    start = START;
    messages = await batch(options, start);
  }
  const wanted = countOf(options, start);
  for (;;) {
    const next = after(start.offset, messages);
    if (next === undefined) throw incomplete(options, start.offset);
    const countBytes = next.offset - start.offset;
    if (next.offset >= end || messages.length >= wanted || countBytes >= READ_AHEAD_BYTES)
      return { offset: start.offset, messages };
    const more = await batch(options, next);
    if (more.length === 0) throw incomplete(options, next.offset);
    messages = [...messages, ...more];
  }
}

/** Where the chunk after `messages` is or may be; `undefined` when there are none. */
function after(offset: number, messages: readonly Stored[]): ChunkPlace | undefined {
  const last = messages.at(-1);
  if (last === undefined) return undefined;
  const countBytes = messages.reduce((sum, { data }) => sum + data.length, 0);
  return { offset: offset + countBytes, sequence: last.sequence + 1 };
}

function batch(options: BodyOptions, from: ChunkPlace): Promise<readonly Stored[]> {
  const { session, failure, meta } = options;
  const count = countOf(options, from);
  const range = { sequence: from.sequence, count, maxBytes: READ_AHEAD_BYTES };
  return session.run(failure, () => session.chunks(meta.nuid, range));
}

/** Chunks to ask for from a place on. Other clients write short ones too, so that only their average is known. */
function countOf({ meta, end }: BodyOptions, { offset }: ChunkPlace): number {
  const { sizeBytes, countChunks, chunkBytes } = meta;
  const areFull = countChunks === Math.ceil(sizeBytes / chunkBytes);
  const usualBytes = areFull ? chunkBytes : Math.ceil(sizeBytes / Math.max(1, countChunks));
  const wanted = Math.ceil((end - offset) / usualBytes);
  return Math.min(wanted, Math.max(1, Math.floor(READ_AHEAD_BYTES / usualBytes)), MAX_MESSAGES);
}

function incomplete({ failure, meta }: BodyOptions, offset: number): MillraceError {
  return failureError("storage/truncated", failure, {
    found: `its content ends at byte ${offset} of ${meta.sizeBytes}`,
    hint: "it was replaced or deleted meanwhile, or parts of the object store were removed",
  });
}
