/**
 * How an object is written: its chunks first, under a name that nobody knows, then the message that makes it visible, on the
 * condition that the version which was seen before is still the last one. What the new version replaces is removed after it.
 *
 * A put that fails removes its chunks, at once or, when the connection is gone, before a later put. When nobody can say whether
 * the message arrived, they stay.
 */
import type { Clock } from "../../../base/clock.ts";
import { MillraceError } from "../../../errors.ts";
import type { BackendPut, BackendSource } from "../../backend.ts";
import { failureError, type Failure } from "../../remote/failures.ts";
import { encodeMeta, type ObjectMeta } from "./nats-format.ts";
import type { Session } from "./nats-session.ts";
import type { Sessions } from "./nats-sessions.ts";
import { ChunkUpload } from "./nats-upload.ts";

/** Objects of which one chunk is all are sent without asking first whether they may be. */
const SMALL_BYTES = 128 * 1024;
/** Other writers of one object that a put without a condition outlasts. */
const MAX_ROUNDS = 50;
/** Contents that wait for being removed. */
const MAX_ABANDONED = 1_000;

export interface PutRequest {
  readonly source: BackendSource;
  readonly call: BackendPut;
  readonly failure: Failure;
}

type Present = ObjectMeta | undefined;

/** What is to be published when the chunks are there. */
interface Draft {
  readonly meta: Omit<ObjectMeta, "sequence" | "isDeleted" | "isLink">;
  readonly text: string;
}

export class ObjectWriter {
  readonly #sessions: Sessions;
  readonly #clock: Clock;
  /** Chunks that could not be removed yet. */
  readonly #abandoned = new Set<string>();

  constructor(sessions: Sessions, clock: Clock) {
    this.#sessions = sessions;
    this.#clock = clock;
  }

  async put(name: string, request: PutRequest): Promise<ObjectMeta> {
    const { source, call } = request;
    // Until the last message is sent nothing shows, so whatever fails before it had no effect.
    const failure = { ...request.failure, isInvisible: true };
    const session = await this.#sessions.open(failure, call.signal);
    await this.#removeAbandoned(session);
    const isBlind = call.ifAbsent && source.sizeBytes <= SMALL_BYTES;
    const present = isBlind
      ? undefined
      : await session.run(failure, () => session.meta(name, "put"));
    requireCondition(present, request);
    const upload = new ChunkUpload(session, failure);
    let draft: Draft;
    try {
      const uploaded = await upload.send(source, call.signal);
      draft = this.#draft(session, { ...uploaded, name, sizeBytes: source.sizeBytes }, call);
      call.signal.throwIfAborted();
    } catch (error) {
      await upload.settled();
      await this.#remove(session, upload.nuid);
      throw error;
    }
    return this.#publish(session, draft, { ...request, present });
  }

  #draft(
    session: Session,
    facts: Omit<Draft["meta"], "createdAtMs">,
    { createdAtMs }: BackendPut,
  ): Draft {
    const nowMs = this.#clock.now();
    const meta = { ...facts, createdAtMs: createdAtMs ?? nowMs };
    return { meta, text: encodeMeta(session.bucket, meta, nowMs) };
  }

  async #publish(
    session: Session,
    { meta, text }: Draft,
    request: PutRequest & { readonly present: Present },
  ): Promise<ObjectMeta> {
    const { failure } = request;
    const { name, nuid } = meta;
    let { present } = request;
    for (let round = 1; round <= MAX_ROUNDS; round += 1) {
      const expected = present?.sequence ?? 0;
      const sequence = await this.#send(session, { name, text, expected, nuid, failure });
      if (sequence !== undefined) {
        if (present !== undefined && !present.isDeleted) await this.#remove(session, present.nuid);
        return { ...meta, sequence, isDeleted: false, isLink: false };
      }
      try {
        present = await session.run(failure, () => session.meta(name, "put"));
        requireCondition(present, request);
      } catch (error) {
        await this.#remove(session, nuid);
        throw error;
      }
    }
    await this.#remove(session, nuid);
    throw failureError("storage/throttled", failure, {
      found: `others replaced it ${MAX_ROUNDS} times meanwhile`,
    });
  }

  /** The sequence of the message, `undefined` when its condition did not hold. */
  async #send(
    session: Session,
    message: {
      readonly name: string;
      readonly text: string;
      readonly expected: number;
      readonly nuid: string;
      readonly failure: Failure;
    },
  ): Promise<number | undefined> {
    const { name, text, expected, nuid, failure } = message;
    try {
      return await session.run(failure, () => session.putMeta(name, text, expected));
    } catch (error) {
      // Refused: it certainly is not there.
      if (!(error instanceof MillraceError && error.code === "storage/unavailable")) {
        await this.#remove(session, nuid);
        throw error;
      }
      const found = await this.#look(name, failure);
      if (found === "unknown") throw error;
      if (found?.nuid === nuid) return found.sequence;
      // Once another message is there, the condition of a late one can no longer hold.
      if ((found?.sequence ?? 0) > expected) return undefined;
      throw error;
    }
  }

  async #look(name: string, failure: Failure): Promise<Present | "unknown"> {
    try {
      const session = await this.#sessions.open(failure, new AbortController().signal);
      return await session.run(failure, () => session.meta(name, "put"));
    } catch {
      // The failure that led here is the one to report.
      return "unknown";
    }
  }

  /** Removes content that belongs to no object, now or later. */
  async #remove(session: Session, nuid: string): Promise<void> {
    if (nuid === "") return;
    try {
      await session.purgeChunks(nuid, "put");
    } catch {
      // It takes room and does no other harm; the next put tries again.
      if (this.#abandoned.size < MAX_ABANDONED) this.#abandoned.add(nuid);
    }
  }

  async #removeAbandoned(session: Session): Promise<void> {
    const abandoned = [...this.#abandoned];
    this.#abandoned.clear();
    await Promise.all(abandoned.map((nuid) => this.#remove(session, nuid)));
  }
}

function requireCondition(present: Present, { call, failure }: PutRequest): void {
  const isThere = present !== undefined && !present.isDeleted;
  if (call.ifAbsent && isThere)
    throw failureError("storage/exists", failure, { found: "the object exists already" });
  if (call.ifMatch === undefined) return;
  const etag = isThere ? `"${present.sequence}"` : undefined;
  if (etag === call.ifMatch) return;
  const found = etag === undefined ? "no object" : `version ${etag}`;
  throw failureError("storage/precondition-failed", failure, {
    found: `${found}, wanted ${call.ifMatch}`,
  });
}
