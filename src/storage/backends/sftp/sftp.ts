/**
 * Objects as files in a directory of an SSH server.
 *
 * Frozen on the server: an object's key is its path below the replica's; its `createdAtMs` is the file's mtime, in whole
 * seconds, rounded down. A put writes `<name>.<pid>.<n>.tmp` beside its target, sets the mtime, flushes where the server can
 * (fsync@openssh.com), and only then gives the file its name. A conditional create links the name (hardlink@openssh.com) and
 * removes the temporary one; a server without that extension renames, which version 3 of the protocol has fail when the name
 * exists. Replacing is posix-rename@openssh.com; without it the old file is removed first.
 * Source: benbjohnson/litestream@63225f1 `sftp.ReplicaClient`; draft-ietf-secsh-filexfer-02; PROTOCOL of OpenSSH, section 4.
 */
import { SILENT } from "../../../base/logger.ts";
import type { BackendBody, BackendCall, BackendGet, BackendList } from "../../backend.ts";
import type { BackendPut, BackendSource, StoreBackend } from "../../backend.ts";
import type { ObjectInfo, ObjectStore, StoreCapabilities } from "../../contract.ts";
import { RequestMeter } from "../../meter.ts";
import { Cleanups } from "../../remote/cleanups.ts";
import { failureError, type Failure } from "../../remote/failures.ts";
import { openRemoteStore, type RemoteContext } from "../../remote/remote-store.ts";
import type { SftpTarget } from "../../replica-url/target.ts";
import { walkTree } from "../../tree/walk.ts";
import { SftpConnection } from "./connection.ts";
import { readLogin } from "./login.ts";
import { OPEN_READ, type FileFacts, type SftpSession } from "./session.ts";
import { isRefused, LostError, sftpError, STATUS } from "./sftp-errors.ts";
import { SftpTree } from "./sftp-tree.ts";
import { CONCURRENT_PIECES, SftpBody } from "./transfer.ts";
import { Upload } from "./upload.ts";

/** How many files are deleted at once. */
const DELETE_BATCH = 64;

/** Throws `storage/misconfigured`. Connects when first asked for something. */
export async function openSftpStore(
  target: SftpTarget,
  context: RemoteContext,
): Promise<ObjectStore> {
  const { clock, random, env, log = SILENT } = context;
  const login = readLogin(target, env);
  const host = target.host.includes(":") ? `[${target.host}]` : target.host;
  const where = `sftp://${host}:${target.port}${target.path.startsWith("/") ? "" : "/~/"}${target.path}`;
  const meter = new RequestMeter();
  const connection = new SftpConnection({ login, clock, where, log });
  const backend = new SftpBackend(target, { connection, meter, where, context });
  return openRemoteStore(backend, { clock, random, meter, where });
}

interface SftpParts {
  readonly connection: SftpConnection;
  /** Counts calls: one for a file opened, put or deleted, and one for a directory listed. */
  readonly meter: RequestMeter;
  readonly where: string;
  readonly context: RemoteContext;
}

class SftpBackend implements StoreBackend {
  readonly type = "sftp";
  readonly capabilities: StoreCapabilities = {
    conditionalCreate: true,
    conditionalReplace: false,
    rangeReads: true,
    consistentList: true,
    exactTimesInList: true,
    timeUnitMs: 1000,
    maxObjectBytes: Number.MAX_SAFE_INTEGER,
  };
  readonly #root: string;
  readonly #limit: number;
  readonly #parts: SftpParts;
  readonly #cleanups: Cleanups;

  constructor({ path, settings }: SftpTarget, parts: SftpParts) {
    this.#root = path.replace(/\/$/, "");
    this.#limit = settings.concurrentWrites === false ? 1 : CONCURRENT_PIECES;
    this.#parts = parts;
    this.#cleanups = new Cleanups(parts.context.clock);
  }

  async get(key: string, call: BackendGet): Promise<BackendBody> {
    const failure = this.#failure("get object", key);
    const { signal, offset, sizeBytes } = call;
    return this.#run(failure, signal, async (session) => {
      this.#parts.meter.request("get");
      const handle = await session.open(this.#path(key), OPEN_READ, { signal });
      try {
        const info = objectInfo(key, await session.stat(handle, signal), failure);
        return new SftpBody({ session, handle, info, failure, offset, sizeBytes, signal });
      } catch (error) {
        session.release(handle);
        throw error;
      }
    });
  }

  head(key: string, { signal }: BackendCall): Promise<ObjectInfo> {
    const failure = this.#failure("head object", key);
    return this.#run(failure, signal, async (session) => {
      this.#parts.meter.request("head");
      return objectInfo(key, await session.statPath(this.#path(key), signal), failure);
    });
  }

  put(key: string, source: BackendSource, call: BackendPut): Promise<ObjectInfo> {
    const failure = this.#failure("put object", key);
    return this.#run(failure, call.signal, async (session) => {
      this.#parts.meter.request("put");
      const upload = new Upload({
        session,
        root: this.#root,
        path: this.#path(key),
        failure,
        limit: this.#limit,
        nowMs: this.#parts.context.clock.now(),
        call,
      });
      try {
        return await upload.run(source);
      } catch (error) {
        // The call may have been given up already: closing waits for this.
        await this.#cleanups.run((signal) => upload.discard(signal));
        // Without its name the object is not there: whatever reached the server, nothing happened.
        const isHarmless = error instanceof LostError && !upload.isPublishing;
        throw isHarmless ? new LostError({ isSent: false, cause: error }) : error;
      }
    });
  }

  async *list(
    prefix: string,
    { signal, startAfter }: BackendList,
  ): AsyncGenerator<ObjectInfo, void, void> {
    const failure = this.#failure("list objects", undefined);
    const { connection, meter, context } = this.#parts;
    try {
      const session = await connection.session(signal);
      const tree = new SftpTree({
        session,
        root: this.#root,
        signal,
        meter,
        clock: context.access === "write" ? context.clock : undefined,
      });
      yield* walkTree(tree, prefix, { startAfter, signal });
    } catch (error) {
      throw sftpError(failure, error);
    }
  }

  async delete(keys: readonly string[], { signal }: BackendCall): Promise<void> {
    for (let start = 0; start < keys.length; start += DELETE_BATCH) {
      const batch = keys.slice(start, start + DELETE_BATCH);
      const results = await Promise.allSettled(batch.map((key) => this.#remove(key, signal)));
      for (const result of results) if (result.status === "rejected") throw result.reason;
    }
  }

  async close(): Promise<void> {
    await this.#cleanups.settled();
    await this.#parts.connection.close();
  }

  async #remove(key: string, signal: AbortSignal): Promise<void> {
    const path = this.#path(key);
    await this.#run(this.#failure("delete objects", key), signal, async (session) => {
      this.#parts.meter.request("delete");
      try {
        await session.remove(path, signal);
      } catch (error) {
        if (isRefused(error, STATUS.noSuchFile)) return;
        // What is no file is no object of that key.
        const found = isRefused(error, STATUS.failure)
          ? await session.findPath(path, signal)
          : undefined;
        if (found?.isDirectory !== true) throw error;
      }
    });
  }

  async #run<T>(
    failure: Failure,
    signal: AbortSignal,
    action: (session: SftpSession) => Promise<T>,
  ): Promise<T> {
    try {
      return await action(await this.#parts.connection.session(signal));
    } catch (error) {
      throw sftpError(failure, error);
    }
  }

  #path(key: string): string {
    return `${this.#root}/${key}`;
  }

  #failure(op: string, key: string | undefined): Failure {
    return { op, key, where: this.#parts.where };
  }
}

function objectInfo(key: string, facts: FileFacts, failure: Failure): ObjectInfo {
  if (facts.isFile) return { key, sizeBytes: facts.sizeBytes, createdAtMs: facts.modifiedMs };
  throw failureError("storage/not-found", failure, {
    found: "what is there is not a regular file",
  });
}
