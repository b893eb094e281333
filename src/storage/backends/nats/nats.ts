/**
 * Objects in an object store of NATS JetStream, as all its clients read them (nats-format.ts).
 *
 * Their own way of writing has no conditions and, when two write at once, leaves content behind that belongs to nothing. Here
 * every version is published on the condition that the last one is still there, which the server checks: that gives
 * conditional creates and replacements, and tells exactly whose content may go. A deletion leaves no message behind, so that
 * a listing costs what there is, not what there ever was.
 */
import { MillraceError } from "../../../errors.ts";
import type { Clock } from "../../../base/clock.ts";
import { sleep } from "../../../base/async.ts";
import type {
  BackendBody,
  BackendCall,
  BackendGet,
  BackendList,
  BackendPut,
  BackendSource,
  StoreBackend,
} from "../../backend.ts";
import type { ObjectInfo, ObjectStore, StoreCapabilities } from "../../contract.ts";
import { compareKeys } from "../../keys.ts";
import { RequestMeter } from "../../meter.ts";
import { failureError, type Failure } from "../../remote/failures.ts";
import { openRemoteStore, type RemoteContext } from "../../remote/remote-store.ts";
import { RootedKeys } from "../../remote/rooted-keys.ts";
import type { NatsTarget } from "../../replica-url/target.ts";
import { ChunkMaps } from "./chunk-map.ts";
import { NatsBody } from "./nats-body.ts";
import { nameOfSubject, type ObjectMeta } from "./nats-format.ts";
import { ObjectWriter } from "./nats-writer.ts";
import { META_BATCH, type Session } from "./nats-session.ts";
import { Sessions } from "./nats-sessions.ts";

const CAPABILITIES: StoreCapabilities = {
  conditionalCreate: true,
  conditionalReplace: true,
  rangeReads: true,
  consistentList: true,
  exactTimesInList: true,
  maxObjectBytes: Number.MAX_SAFE_INTEGER,
};

/** Deletions that run at once. */
const DELETES_AT_ONCE = 16;
/** How often a reading begins anew because the object was replaced before its first byte came. */
const MAX_READ_STARTS = 8;
/** How long closing waits for what cleans up. */
const CLOSE_MS = 5_000;
/** Longest name with the prefix: a line of the protocol has 4 KiB, and base64 a third more than the name. */
const MAX_NAME_BYTES = 2048;
/** What NATS takes as a part of stream names. */
const BUCKET = /^[\w-]+$/;

/** Opens nothing yet: the first call does. Throws `storage/misconfigured`. */
export async function openNatsStore(
  target: NatsTarget,
  context: RemoteContext,
): Promise<ObjectStore> {
  const { host, port, bucket, prefix } = target;
  if (!BUCKET.test(bucket)) {
    const found = "NATS takes only letters, digits, - and _";
    throw new MillraceError("storage/misconfigured", `open object store "${bucket}": ${found}`);
  }
  const meter = new RequestMeter();
  const shownHost = host.includes(":") ? `[${host}]` : host;
  const where = `nats://${shownHost}:${port}/${bucket}${prefix === "" ? "" : `/${prefix}`}`;
  const { clock, random } = context;
  const sessions = new Sessions({ target, clock, meter });
  const backend = new NatsBackend({ target, clock, meter, where, sessions });
  return openRemoteStore(backend, { clock, random, meter, where });
}

interface NatsBackendOptions {
  readonly target: NatsTarget;
  readonly clock: Clock;
  readonly meter: RequestMeter;
  readonly where: string;
  readonly sessions: Sessions;
}

class NatsBackend implements StoreBackend {
  readonly type = "nats";
  readonly capabilities = CAPABILITIES;
  readonly #options: NatsBackendOptions;
  readonly #keys: RootedKeys;
  readonly #sessions: Sessions;
  readonly #writer: ObjectWriter;
  readonly #maps = new ChunkMaps();
  /** Puts that go on after their caller stopped waiting: they clean up. */
  readonly #running = new Set<Promise<unknown>>();

  constructor(options: NatsBackendOptions) {
    const { target, sessions, clock } = options;
    this.#options = options;
    this.#keys = new RootedKeys(target.prefix, MAX_NAME_BYTES);
    this.#sessions = sessions;
    this.#writer = new ObjectWriter(sessions, clock);
  }

  async get(key: string, call: BackendGet): Promise<BackendBody> {
    const failure = this.#failure("get object", key);
    const session = await this.#sessions.open(failure, call.signal);
    for (let starts = 1; ; starts += 1) {
      const meta = await this.#find(session, failure, "get");
      const offset = Math.min(call.offset, meta.sizeBytes);
      const end = Math.min(offset + (call.sizeBytes ?? Infinity), meta.sizeBytes);
      const map = this.#maps.of(meta);
      const info = toInfo(key, meta);
      const { signal } = call;
      try {
        return await NatsBody.open({ session, failure, meta, map, info, offset, end, signal });
      } catch (error) {
        if (!isIncomplete(error) || starts === MAX_READ_STARTS) throw error;
        const present = await this.#find(session, failure, "get");
        if (present.sequence === meta.sequence) throw error;
      }
    }
  }

  async head(key: string, { signal }: BackendCall): Promise<ObjectInfo> {
    const failure = this.#failure("head object", key);
    const session = await this.#sessions.open(failure, signal);
    return toInfo(key, await this.#find(session, failure, "head"));
  }

  async put(key: string, source: BackendSource, call: BackendPut): Promise<ObjectInfo> {
    const failure = this.#failure("put object", key);
    const running = this.#writer.put(this.#keys.name(failure.op, key), { source, call, failure });
    this.#running.add(running);
    try {
      return toInfo(key, await running);
    } finally {
      this.#running.delete(running);
    }
  }

  /** One question for all names in the bucket, and then one for a batch of objects that are wanted. */
  async *list(
    prefix: string,
    { startAfter, signal }: BackendList,
  ): AsyncGenerator<ObjectInfo, void, void> {
    const failure = this.#failure("list objects");
    const session = await this.#sessions.open(failure, signal);
    const subjects = await session.run(failure, () => session.metaSubjects());
    const keys = subjects.flatMap((subject) => this.#keyOf(subject) ?? []);
    const wanted = keys
      .filter((key) => key.startsWith(prefix) && compareKeys(key, startAfter) > 0)
      .sort(compareKeys);
    for (let start = 0; start < wanted.length; start += META_BATCH) {
      signal.throwIfAborted();
      const batch = wanted.slice(start, start + META_BATCH);
      const names = batch.map((key) => this.#keys.text(key));
      const metas = await session.run(failure, () => session.metas(names));
      const found = new Map(metas.map((meta) => [this.#keys.key(meta.name), meta]));
      for (const key of batch) {
        const meta = found.get(key);
        if (meta !== undefined && isObject(meta)) yield toInfo(key, meta);
      }
    }
  }

  async delete(keys: readonly string[], { signal }: BackendCall): Promise<void> {
    const pending = [...keys];
    const worker = async (): Promise<void> => {
      for (let key = pending.pop(); key !== undefined; key = pending.pop()) {
        signal.throwIfAborted();
        await this.#delete(key, signal);
      }
    };
    await Promise.all(Array.from({ length: Math.min(DELETES_AT_ONCE, keys.length) }, worker));
  }

  async close(): Promise<void> {
    const limit = new AbortController();
    // Whatever is not cleaned up by then stays as chunks that belong to no object.
    const late = sleep(this.#options.clock, CLOSE_MS, { signal: limit.signal }).catch(() => {});
    await Promise.race([Promise.allSettled(this.#running), late]);
    limit.abort();
    await this.#sessions.close();
  }

  async #delete(key: string, signal: AbortSignal): Promise<void> {
    const failure = this.#failure("delete objects", key);
    const name = this.#keys.name(failure.op, key);
    const session = await this.#sessions.open(failure, signal);
    await session.run(failure, async () => {
      const meta = await session.meta(name, "delete");
      if (meta === undefined || meta.isDeleted) return;
      // A version that came since is not the one that was to go; it took the content of this one along.
      if ((await session.purgeMeta(meta)) && meta.nuid !== "")
        await session.purgeChunks(meta.nuid, "delete");
    });
  }

  async #find(session: Session, failure: Failure, kind: "get" | "head"): Promise<ObjectMeta> {
    const name = this.#keys.name(failure.op, failure.key ?? "");
    const meta = await session.run(failure, () => session.meta(name, kind));
    if (meta !== undefined && isObject(meta)) return meta;
    throw failureError("storage/not-found", failure, { found: "no such object" });
  }

  #keyOf(subject: string): string | undefined {
    const name = nameOfSubject(this.#options.target.bucket, subject);
    return name === undefined ? undefined : this.#keys.key(name);
  }

  #failure(op: string, key?: string): Failure {
    return { op, key, where: this.#options.where };
  }
}

/** Links name objects elsewhere; nobody who writes replicas makes them. */
function isObject({ isDeleted, isLink }: ObjectMeta): boolean {
  return !isDeleted && !isLink;
}

function isIncomplete(error: unknown): boolean {
  return error instanceof MillraceError && error.code === "storage/truncated";
}

function toInfo(key: string, { sizeBytes, createdAtMs, sequence }: ObjectMeta): ObjectInfo {
  return { key, sizeBytes, createdAtMs, etag: `"${sequence}"` };
}
