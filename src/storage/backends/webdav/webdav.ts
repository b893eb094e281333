/**
 * Objects as files in a collection of a WebDAV server.
 *
 * Frozen on the server: an object's key is its path below the replica's. Its time is the server's: when it was uploaded, since
 * WebDAV has no way to set another; readers that want exact times find them in the files themselves. A put uploads to
 * `<name>.<pid>.<n>.tmp` beside its target, with its length announced, and moves it to its name when it is whole.
 *
 * A move that may not overwrite is no promise by itself: of eight contenders for a name Apache lets two win now and then, since it
 * looks first and renames then. Only servers known to hold a lock over both get the capability; see `dialect.ts`.
 * A move that overwrites deletes first, on most servers: for a moment there is neither the old object nor the new one.
 * Source: benbjohnson/litestream@63225f1 `webdav.ReplicaClient`; RFC 4918, sections 9.6 to 9.9.
 */
import { Readable } from "node:stream";
import { sleep } from "../../../base/async.ts";
import { SILENT } from "../../../base/logger.ts";
import { MillraceError } from "../../../errors.ts";
import type { BackendBody, BackendCall, BackendGet, BackendList } from "../../backend.ts";
import type { BackendPut, BackendSource, StoreBackend } from "../../backend.ts";
import type { ObjectInfo, ObjectStore, StoreCapabilities } from "../../contract.ts";
import { invalidKey } from "../../keys.ts";
import { RequestMeter } from "../../meter.ts";
import { Cleanups } from "../../remote/cleanups.ts";
import { failureError, type Failure } from "../../remote/failures.ts";
import { openRemoteStore, type RemoteContext } from "../../remote/remote-store.ts";
import type { WebdavTarget } from "../../replica-url/target.ts";
import { temporaryPath } from "../../tree/temporary.ts";
import { walkTree } from "../../tree/walk.ts";
import {
  bareEtag,
  DavClient,
  statusError,
  timeOf,
  type DavAnswer,
  type DavFacts,
} from "./client.ts";
import { learnDialect, type Dialect } from "./dialect.ts";
import { WebdavBody } from "./webdav-body.ts";
import { WebdavTree } from "./webdav-tree.ts";

/** How many files are deleted at once. */
const DELETE_BATCH = 8;
/** A collection that somebody else is making is locked for a moment. */
const LOCKED_ATTEMPTS = 20;
const LOCKED_WAIT_MS = 25;
/** Numbers of temporary files are drawn, since hosts may share a process id and the server does not refuse a name twice. */
const MAX_NUMBER = 2 ** 48;

/** Asks the server what it is; one that does not answer is taken for one that promises nothing. Throws `storage/misconfigured`. */
export async function openWebdavStore(
  target: WebdavTarget,
  context: RemoteContext,
): Promise<ObjectStore> {
  const { clock, random, log = SILENT } = context;
  const { webdavUsername: username, webdavPassword: password } = target.settings;
  if ((username === undefined) !== (password === undefined)) {
    throw new MillraceError(
      "storage/misconfigured",
      "open webdav store: user and password go together",
      {
        hint: "give both webdav-username and webdav-password, or neither",
      },
    );
  }
  const host = target.host.includes(":") ? `[${target.host}]` : target.host;
  const port = target.port === undefined ? "" : `:${target.port}`;
  const scheme = target.scheme === "webdavs" ? "https" : "http";
  const where = `${target.scheme}://${host}${port}${target.path}`;
  const meter = new RequestMeter();
  const client = new DavClient({ origin: `${scheme}://${host}${port}`, username, password, meter });
  const root = target.path.replace(/\/$/, "");
  const dialect = await learnDialect(client, `${root}/`, { where, clock, log });
  const backend = new WebdavBackend({ client, meter, where, context, root, dialect });
  return openRemoteStore(backend, { clock, random, meter, where });
}

interface WebdavParts {
  readonly client: DavClient;
  readonly meter: RequestMeter;
  readonly where: string;
  readonly context: RemoteContext;
  /** Empty, or absolute without a slash at its end. */
  readonly root: string;
  readonly dialect: Dialect;
}

class WebdavBackend implements StoreBackend {
  readonly type = "webdav";
  readonly capabilities: StoreCapabilities;
  readonly #parts: WebdavParts;
  readonly #cleanups: Cleanups;
  /** Collections that were there a moment ago. */
  readonly #known = new Set<string>();

  constructor(parts: WebdavParts) {
    this.#parts = parts;
    this.#cleanups = new Cleanups(parts.context.clock);
    this.capabilities = {
      conditionalCreate: parts.dialect.movesAtomically,
      conditionalReplace: false,
      rangeReads: true,
      consistentList: true,
      exactTimesInList: true,
      timeUnitMs: 0,
      gaplessReplace: false,
      maxObjectBytes: Number.MAX_SAFE_INTEGER,
    };
  }

  async get(key: string, call: BackendGet): Promise<BackendBody> {
    const failure = this.#failure("get object", key);
    const { offset, sizeBytes } = call;
    const isWhole = offset === 0 && sizeBytes === undefined;
    if (sizeBytes === 0) return this.#emptyBody(key, call.signal, failure);
    const controller = new AbortController();
    const signal = AbortSignal.any([call.signal, controller.signal]);
    const end = sizeBytes === undefined ? Infinity : offset + sizeBytes - 1;
    const range = `bytes=${offset}-${Number.isSafeInteger(end) ? end : ""}`;
    try {
      const answer = await this.#parts.client.request({
        kind: "get",
        method: "GET",
        path: this.#path(key),
        headers: isWhole ? {} : { range },
        signal,
        failure,
        expected: [404, 405, 416],
      });
      if (answer.status === 404 || answer.status === 405) throw notFound(failure);
      if (answer.status === 416) {
        controller.abort();
        return await this.#emptyBody(key, call.signal, failure);
      }
      requireRange(answer, offset, failure);
      // What has no such head may be a collection that the server shows as a page.
      const info = answerInfo(key, answer) ?? (await this.#head(key, signal, failure));
      const skipBytes = answer.status === 206 ? 0 : Math.min(offset, info.sizeBytes);
      const present = Math.max(0, info.sizeBytes - offset);
      const wanted = Math.min(sizeBytes ?? present, present);
      const check = (): Promise<void> => this.#requireSame(info, signal, failure);
      return new WebdavBody({
        info,
        answer,
        skipBytes,
        sizeBytes: wanted,
        failure,
        check,
        controller,
      });
    } catch (error) {
      controller.abort();
      throw error;
    }
  }

  async head(key: string, { signal }: BackendCall): Promise<ObjectInfo> {
    return this.#head(key, signal, this.#failure("head object", key));
  }

  async put(key: string, source: BackendSource, call: BackendPut): Promise<ObjectInfo> {
    const failure = this.#failure("put object", key);
    const path = this.#path(key);
    const number = Math.floor(this.#parts.context.random() * MAX_NUMBER);
    const temporary = temporaryPath(path, number);
    try {
      await this.#upload(temporary, source, call, failure);
      await this.#publish(temporary, path, call, failure);
    } catch (error) {
      // The call may have been given up already: closing waits for this.
      await this.#cleanups.run((signal) => this.#delete(temporary, signal, failure));
      throw error;
    }
    const { createdAtMs, etag } = await this.#head(key, call.signal, failure);
    return { key, sizeBytes: source.sizeBytes, createdAtMs, etag };
  }

  async *list(
    prefix: string,
    { signal, startAfter }: BackendList,
  ): AsyncGenerator<ObjectInfo, void, void> {
    const { client, root, context } = this.#parts;
    const failure = this.#failure("list objects", undefined);
    const tree = new WebdavTree({
      client,
      root,
      signal,
      failure,
      clock: context.access === "write" ? context.clock : undefined,
    });
    // A listing of a collection comes whole: cutting it into windows would only fetch it again.
    yield* walkTree(tree, prefix, { startAfter, signal, window: Infinity });
  }

  async delete(keys: readonly string[], { signal }: BackendCall): Promise<void> {
    for (let start = 0; start < keys.length; start += DELETE_BATCH) {
      const batch = keys.slice(start, start + DELETE_BATCH);
      const results = await Promise.allSettled(batch.map((key) => this.#deleteObject(key, signal)));
      for (const result of results) if (result.status === "rejected") throw result.reason;
    }
  }

  async close(): Promise<void> {
    await this.#cleanups.settled();
  }

  async #head(key: string, signal: AbortSignal, failure: Failure): Promise<ObjectInfo> {
    const facts = await this.#find(this.#path(key), signal, failure);
    if (facts === undefined || facts.isCollection) throw notFound(failure);
    const { sizeBytes, modifiedMs, etag } = facts;
    return { key, sizeBytes, createdAtMs: modifiedMs, etag };
  }

  async #find(path: string, signal: AbortSignal, failure: Failure): Promise<DavFacts | undefined> {
    const found = await this.#parts.client.find(path, { depth: 0, kind: "head", signal, failure });
    return found?.[0];
  }

  async #emptyBody(key: string, signal: AbortSignal, failure: Failure): Promise<BackendBody> {
    const info = await this.#head(key, signal, failure);
    const controller = new AbortController();
    return new WebdavBody({
      info,
      answer: undefined,
      skipBytes: 0,
      sizeBytes: 0,
      failure,
      check: async () => {},
      controller,
    });
  }

  /** Whether what was read is what was announced. */
  async #requireSame(info: ObjectInfo, signal: AbortSignal, failure: Failure): Promise<void> {
    if (this.#parts.dialect.servesWhole) return;
    const found = await this.#find(this.#path(info.key), signal, failure);
    if (found?.etag === info.etag) return;
    throw failureError("storage/truncated", failure, {
      found: "it was replaced while it was read",
    });
  }

  async #upload(
    temporary: string,
    source: BackendSource,
    { signal }: BackendPut,
    failure: Failure,
  ): Promise<void> {
    const directory = temporary.slice(0, temporary.lastIndexOf("/"));
    for (let attempt = 1; ; attempt += 1) {
      await this.#makeCollection(directory, signal, failure);
      const answer = await this.#parts.client.request({
        kind: "put",
        method: "PUT",
        path: temporary,
        headers: {
          "content-length": String(source.sizeBytes),
          "content-type": "application/octet-stream",
        },
        body: Readable.from(source.open(), { objectMode: false }),
        signal,
        failure,
        expected: attempt === 1 ? [404, 409] : [],
      });
      if (answer.status < 400) return;
      // The collection was removed since it was last used.
      this.#known.clear();
    }
  }

  async #publish(
    temporary: string,
    path: string,
    { ifAbsent, signal }: BackendPut,
    failure: Failure,
  ): Promise<void> {
    const { client } = this.#parts;
    const answer = await client.request({
      kind: "put",
      method: "MOVE",
      path: temporary,
      headers: { destination: client.url(path), overwrite: ifAbsent ? "F" : "T" },
      signal,
      failure,
      expected: [412],
    });
    if (answer.status === 412)
      throw failureError("storage/exists", failure, { found: "the object exists already" });
    if (answer.status !== 207) return;
    throw failureError("storage/unavailable", failure, {
      found: "the server moved it in part only",
    });
  }

  /** Creates a collection and its missing parents; once for each. */
  async #makeCollection(path: string, signal: AbortSignal, failure: Failure): Promise<void> {
    if (path === "" || this.#known.has(path)) return;
    for (let attempt = 1; ; attempt += 1) {
      const answer = await this.#parts.client.request({
        kind: "put",
        method: "MKCOL",
        path: `${path}/`,
        signal,
        failure,
        expected: [400, 403, 404, 405, 409, 423],
      });
      const { status } = answer;
      if (status < 400) break;
      // It is there already; Apache says 403 when another client was quicker by a moment, and 400 below a file.
      if (status === 400 || status === 403 || status === 405) {
        const found = await this.#find(path, signal, failure);
        if (found?.isCollection === true) break;
        if (status === 403) throw await statusError(answer, failure);
        throw invalidKey(failure.op, failure.key ?? "", `"${path}" on the server is a file`);
      }
      if (attempt >= LOCKED_ATTEMPTS) {
        throw failureError("storage/unavailable", failure, {
          found: `the collection "${path}" cannot be made (${status})`,
        });
      }
      if (status === 423) await sleep(this.#parts.context.clock, LOCKED_WAIT_MS, { signal });
      else await this.#makeCollection(path.slice(0, path.lastIndexOf("/")), signal, failure);
    }
    this.#known.add(path);
  }

  async #deleteObject(key: string, signal: AbortSignal): Promise<void> {
    const failure = this.#failure("delete objects", key);
    const path = this.#path(key);
    // A collection of that name would go with all that is in it.
    const facts = await this.#find(path, signal, failure);
    if (facts === undefined || facts.isCollection) return;
    await this.#delete(path, signal, failure);
  }

  async #delete(path: string, signal: AbortSignal, failure: Failure): Promise<void> {
    const { client } = this.#parts;
    const expected = [404, 409];
    await client.request({ kind: "delete", method: "DELETE", path, signal, failure, expected });
  }

  #path(key: string): string {
    return `${this.#parts.root}/${key}`;
  }

  #failure(op: string, key: string | undefined): Failure {
    return { op, key, where: this.#parts.where };
  }
}

function notFound(failure: Failure): MillraceError {
  return failureError("storage/not-found", failure, { found: "no such object" });
}

const CONTENT_RANGE = /^bytes (\d+)-\d+\/(\d+)$/;

function requireRange(answer: DavAnswer, offset: number, failure: Failure): void {
  if (answer.status !== 206) return;
  const range = answer.header("content-range") ?? "";
  if (CONTENT_RANGE.exec(range)?.[1] === String(offset)) return;
  throw failureError("storage/misconfigured", failure, {
    found: `the server sent another part than the one from byte ${offset} ("${range.slice(0, 80)}")`,
    hint: "a server or proxy in between does not understand ranges: connect without it",
  });
}

/** Facts from the head of an answer; `undefined` where it has not all that a file's has. */
function answerInfo(key: string, answer: DavAnswer): ObjectInfo | undefined {
  const etag = bareEtag(answer.header("etag"));
  const createdAtMs = timeOf(answer.header("last-modified"));
  const range = CONTENT_RANGE.exec(answer.header("content-range") ?? "");
  const size = answer.status === 206 ? range?.[2] : answer.header("content-length");
  if (size === undefined || etag === undefined) return undefined;
  return { key, sizeBytes: Number(size), createdAtMs, etag };
}
