/** What is asked of JetStream about one object store, over one connection. */
import {
  jetstream,
  type JetStreamClient,
  type JetStreamManager,
  type StoredMsg,
  type StreamInfo,
} from "@nats-io/jetstream";
import { headers, type Msg, type NatsConnection } from "@nats-io/transport-node";
import type { RequestKind, RequestMeter } from "../../meter.ts";
import type { NatsTarget } from "../../replica-url/target.ts";
import {
  isUnanswered,
  isWrongSequence,
  natsError,
  type NatsFailure,
  noBucket,
} from "./nats-errors.ts";
import {
  chunkSubject,
  CHUNK_BYTES,
  decodeMeta,
  metaSubject,
  metaSubjects,
  type ObjectMeta,
  streamName,
} from "./nats-format.ts";

/** Slowest line over which an answer counts as coming. */
const MIN_BYTES_PER_SECOND = 16 * 1024;
/** Objects of which one request asks. */
export const META_BATCH = 256;
/** Subjects that the server names in one answer. */
const SUBJECTS_PAGE = 100_000;
/** From this version on the server answers one request with many messages. */
const BATCH_VERSION: readonly [number, number] = [2, 11];

const SEQUENCE = "Nats-Sequence";
const TIME = "Nats-Time-Stamp";
const PENDING = "Nats-Num-Pending";

/** A message of the stream. */
export interface Stored {
  readonly sequence: number;
  readonly storedAtMs: number;
  readonly data: Uint8Array;
}

export interface SessionOptions {
  readonly target: NatsTarget;
  readonly meter: RequestMeter;
  /** How long an answer may take that carries nothing. */
  readonly timeoutMs: number;
}

/** One connection. Its methods fail with what the NATS library throws, unless they say otherwise. */
export class Session {
  readonly #connection: NatsConnection;
  readonly #client: JetStreamClient;
  readonly #options: SessionOptions;
  #manager: Promise<JetStreamManager> | undefined;
  #info: Promise<StreamInfo> | undefined;

  constructor(connection: NatsConnection, options: SessionOptions) {
    this.#connection = connection;
    this.#options = options;
    this.#client = jetstream(connection, { timeout: options.timeoutMs });
  }

  get bucket(): string {
    return this.#options.target.bucket;
  }

  get stream(): string {
    return streamName(this.bucket);
  }

  /** Resolves when the connection is gone, whatever the reason. */
  get closed(): Promise<unknown> {
    return this.#connection.closed();
  }

  close(): Promise<void> {
    return this.#connection.close();
  }

  /** Runs `work`; what the library throws leaves as a MillraceError. */
  async run<T>(failure: NatsFailure, work: () => Promise<T>): Promise<T> {
    try {
      return await work();
    } catch (error) {
      // A write to a bucket that is gone has nobody to answer it.
      if (isUnanswered(error)) await this.#requireBucket(failure);
      throw natsError(this.bucket, { ...failure, cause: error });
    }
  }

  /** Largest chunk that the server and the bucket take. */
  async chunkBytes(): Promise<number> {
    const { config } = await this.info();
    const limits = [CHUNK_BYTES, this.#connection.info?.max_payload ?? CHUNK_BYTES];
    if (config.max_msg_size > 0) limits.push(config.max_msg_size);
    return Math.min(...limits);
  }

  /** The stream's own facts, asked once. */
  info(): Promise<StreamInfo> {
    this.#info ??= this.#ask();
    return this.#info;
  }

  /** Subjects of all objects, and of those whose deletion left a trace. */
  async metaSubjects(): Promise<string[]> {
    this.#options.meter.request("list");
    const manager = await this.manager();
    const filter = { subjects_filter: metaSubjects(this.bucket) };
    const subjects = Object.keys(
      (await manager.streams.info(this.stream, filter)).state.subjects ?? {},
    );
    // The library asks for the further pages itself.
    for (let page = SUBJECTS_PAGE; page < subjects.length; page += SUBJECTS_PAGE)
      this.#options.meter.request("list");
    return subjects;
  }

  /** What the leader has about an object; `undefined` when nothing. */
  async meta(name: string, kind: RequestKind): Promise<ObjectMeta | undefined> {
    this.#options.meter.request(kind);
    const manager = await this.manager();
    const query = { last_by_subj: metaSubject(this.bucket, name) };
    const message = await manager.streams.getMessage(this.stream, query);
    return message === null ? undefined : toMeta(name, fromApi(message));
  }

  /** The same for many names, at most `META_BATCH`; in no order, and without those that are not there. */
  async metas(names: readonly string[]): Promise<ObjectMeta[]> {
    const subjects = new Map(names.map((name) => [metaSubject(this.bucket, name), name]));
    if (!(await this.#hasOneReplica())) {
      const found = await Promise.all(names.map((name) => this.meta(name, "list")));
      return found.filter((meta) => meta !== undefined);
    }
    this.#options.meter.request("list");
    const query = { multi_last: [...subjects.keys()], batch: names.length };
    const messages = await this.#direct(query, 0);
    return messages.flatMap((message) => {
      const meta = toMeta(
        subjects.get(message.headers?.last("Nats-Subject") ?? ""),
        fromDirect(message),
      );
      return meta === undefined ? [] : [meta];
    });
  }

  /**
   * Up to `count` messages with chunks of an object from `sequence` on, in order, and no more once there are `maxBytes`; none
   * when there are none left.
   */
  async chunks(
    nuid: string,
    range: { readonly sequence: number; readonly count: number; readonly maxBytes: number },
  ): Promise<Stored[]> {
    this.#options.meter.request("get");
    const { sequence, count, maxBytes } = range;
    const next = { seq: sequence, next_by_subj: chunkSubject(this.bucket, nuid) };
    const { config } = await this.info();
    if (!config.allow_direct) {
      const manager = await this.manager();
      const message = await manager.streams.getMessage(this.stream, next);
      return message === null ? [] : [fromApi(message)];
    }
    const query = { ...next, batch: count, max_bytes: maxBytes };
    return (await this.#direct(query, maxBytes)).map(fromDirect);
  }

  /** Writes one chunk; resolves to its sequence. `countBytes` are on their way at most, this one included. */
  async putChunk(nuid: string, data: Uint8Array, countBytes: number): Promise<number> {
    this.#options.meter.request("put");
    const timeout = this.#timeFor(countBytes);
    const subject = chunkSubject(this.bucket, nuid);
    return (await this.#client.publish(subject, data, { timeout })).seq;
  }

  /**
   * Makes an object visible if the last message about its name is `expected` (0: there is none). Resolves to the new
   * message's sequence, `undefined` when another one is there.
   */
  async putMeta(name: string, text: string, expected: number): Promise<number | undefined> {
    this.#options.meter.request("put");
    const header = headers();
    header.set("Nats-Rollup", "sub");
    header.set("Nats-Expected-Last-Subject-Sequence", `${expected}`);
    const options = { headers: header, timeout: this.#timeFor(text.length) };
    try {
      return (await this.#client.publish(metaSubject(this.bucket, name), text, options)).seq;
    } catch (error) {
      if (isWrongSequence(error)) return undefined;
      throw error;
    }
  }

  /** Removes the chunks of an object. */
  async purgeChunks(nuid: string, kind: RequestKind): Promise<void> {
    await this.#purge({ filter: chunkSubject(this.bucket, nuid) }, kind);
  }

  /** Removes what says that an object is there, unless it is newer than `meta`; whether it did. */
  async purgeMeta({ name, sequence }: ObjectMeta): Promise<boolean> {
    const filter = metaSubject(this.bucket, name);
    return (await this.#purge({ filter, seq: sequence + 1 }, "delete")) > 0;
  }

  async #purge(
    options: { readonly filter: string; readonly seq?: number },
    kind: RequestKind,
  ): Promise<number> {
    this.#options.meter.request(kind);
    const manager = await this.manager();
    return (await manager.streams.purge(this.stream, options)).purged;
  }

  manager(): Promise<JetStreamManager> {
    this.#manager ??= this.#client.jetstreamManager(false);
    return this.#manager;
  }

  async #ask(): Promise<StreamInfo> {
    try {
      const manager = await this.manager();
      return await manager.streams.info(this.stream);
    } catch (error) {
      this.#info = undefined;
      throw error;
    }
  }

  async #requireBucket(failure: NatsFailure): Promise<void> {
    try {
      await this.#ask();
    } catch (error) {
      const translated = natsError(this.bucket, { ...failure, cause: error });
      if (translated.code === "storage/no-bucket") throw noBucket(this.bucket, failure);
      // Anything else says less than the failure that led here.
    }
  }

  /** Whether any server that answers is the one that took the last write, and can answer for many names at once. */
  async #hasOneReplica(): Promise<boolean> {
    const info = await this.info();
    const { allow_direct: isDirect, num_replicas: countReplicas } = info.config;
    const mirrors: unknown = "alternates" in info ? info.alternates : undefined;
    const isAlone = countReplicas === 1 && (!Array.isArray(mirrors) || mirrors.length < 2);
    return isDirect && isAlone && this.#isAtLeast(BATCH_VERSION);
  }

  #isAtLeast([major, minor]: readonly [number, number]): boolean {
    const [foundMajor = 0, foundMinor = 0] = (this.#connection.info?.version ?? "")
      .split(".")
      .map(Number);
    return foundMajor > major || (foundMajor === major && foundMinor >= minor);
  }

  /** One request that is answered by several messages, the last of which is empty. */
  async #direct(query: Readonly<Record<string, unknown>>, sizeBytes: number): Promise<Msg[]> {
    const answers = await this.#connection.requestMany(
      `$JS.API.DIRECT.GET.${this.stream}`,
      JSON.stringify(query),
      { strategy: "sentinel", maxWait: this.#timeFor(sizeBytes) },
    );
    const messages: Msg[] = [];
    for await (const message of answers) {
      const code = message.headers?.code ?? 0;
      // 204 ends a batch, 404 says that there is nothing.
      if (code === 204 || code === 404) return messages;
      if (code !== 0) throw new Error(`${code} ${message.headers?.description ?? ""}`.trim());
      messages.push(message);
      // Servers before 2.11 know no batches and end none.
      if (message.headers?.get(PENDING) === "") return messages;
    }
    throw new Error("the answer ended early");
  }

  #timeFor(sizeBytes: number): number {
    return this.#options.timeoutMs + Math.ceil((sizeBytes / MIN_BYTES_PER_SECOND) * 1000);
  }
}

/** `undefined` for a message that describes no object of that name. */
function toMeta(name: string | undefined, message: Stored): ObjectMeta | undefined {
  const meta = decodeMeta(new TextDecoder().decode(message.data), message);
  return meta?.name === name ? meta : undefined;
}

function fromApi({ seq, time, data }: StoredMsg): Stored {
  return { sequence: seq, storedAtMs: time.getTime(), data };
}

function fromDirect({ headers: found, data }: Msg): Stored {
  const storedAtMs = Date.parse(found?.last(TIME) ?? "");
  // The library's buffer holds other messages too.
  return { sequence: Number(found?.last(SEQUENCE)), storedAtMs, data: new Uint8Array(data) };
}
