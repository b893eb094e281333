/**
 * The composition root of a replicating process: any number of databases, each with its capture, its local queue and
 * its destinations, on a few threads.
 */
import { availableParallelism } from "node:os";
import { dirname } from "node:path";
import type { Clock, Random } from "../base/clock.ts";
import type { Txid } from "../base/ids.ts";
import type { Logger } from "../base/logger.ts";
import { withoutUndefined } from "../base/objects.ts";
import { DEFAULT_CAPTURE } from "../capture/contract.ts";
import { defaultMetaDir, metaPaths } from "../capture/meta-dir.ts";
import type { WorkerSetup } from "../capture/protocol.ts";
import { fromErrorRecord, MillraceError } from "../errors.ts";
import { systemClock, systemRandom } from "../platform/clock.ts";
import { nodeFiles, type Files } from "../platform/files.ts";
import { openReplica } from "../storage/registry.ts";
import { redactUrl } from "../storage/replica-url/redact.ts";
import { CapturePool } from "./capture-pool.ts";
import { CloseLimit } from "./close-limit.ts";
import type { ReplicatorContext } from "./context.ts";
import {
  DEFAULT_CLOSE_TIMEOUT_MS,
  type CloseResult,
  type DatabaseOptions,
  type ReplicationEvent,
  type ReplicatorStatus,
} from "./contract.ts";
import { ReplicatedDatabase, type Target } from "./database.ts";
import { leaseOptions } from "./lease.ts";
import { finishDatabase } from "./finish.ts";
import { logEvent } from "./log-event.ts";
import { StatusFile } from "./status-file.ts";

export interface ReplicatorOptions {
  readonly databases: readonly DatabaseOptions[];
  readonly logger: Logger;
  readonly version: string;
  readonly pid: number;
  readonly onEvent?: ((event: ReplicationEvent) => void) | undefined;
  readonly files?: Files | undefined;
  readonly clock?: Clock | undefined;
  readonly random?: Random | undefined;
  /** For fault injection into capture. */
  readonly captureSetup?: WorkerSetup | undefined;
}

export interface SyncOptions {
  /** Also wait until every destination has it. */
  readonly wait?: boolean | undefined;
  readonly signal?: AbortSignal | undefined;
}

export interface CloseOptions {
  /** How long destinations are waited for; 0 for a single attempt. Default 30 s. */
  readonly timeoutMs?: number | undefined;
  /** Gives the waiting up. */
  readonly signal?: AbortSignal | undefined;
  /** Also wait where another process has the lease, until it is silent for its TTL. Default: it is left to that one. */
  readonly awaitLease?: boolean | undefined;
}

/** What changes a database's status file; the other events happen too often or tell nothing new. */
const STATUS_EVENTS: ReadonlySet<ReplicationEvent["type"]> = new Set([
  "captured",
  "durable",
  "lease",
  "phase",
  "failing",
  "recovered",
  "stopped",
]);

interface Hosted {
  readonly database: ReplicatedDatabase;
  readonly statusFile: StatusFile;
}

/**
 * Begins to replicate. Throws `config/invalid`, `url/*`, `capture/busy` or `fs/*` when a database cannot be taken up; then
 * none is. A database that does not exist yet, or cannot be read just now, is waited for.
 */
export async function openReplicator(options: ReplicatorOptions): Promise<Replicator> {
  const replicator = new Replicator(options);
  try {
    for (const database of options.databases) await replicator.add(database);
    return replicator;
  } catch (error) {
    await replicator.abandon();
    throw error;
  }
}

export class Replicator implements AsyncDisposable {
  readonly #options: ReplicatorOptions;
  readonly #context: ReplicatorContext;
  readonly #startedAtMs: number;
  readonly #pool: CapturePool;
  readonly #hosted = new Map<string, Hosted>();
  #limit: CloseLimit | undefined;
  #closing: Promise<CloseResult> | undefined;

  constructor(options: ReplicatorOptions) {
    const { files = nodeFiles, clock = systemClock, random = systemRandom, logger } = options;
    this.#options = options;
    this.#context = { files, clock, random, logger };
    this.#startedAtMs = clock.now();
    this.#pool = new CapturePool({
      parallelism: availableParallelism(),
      setup: options.captureSetup,
    });
  }

  /** Takes up one more database. Throws as `openReplicator` does. */
  async add(options: DatabaseOptions): Promise<void> {
    const { path, metaDir = defaultMetaDir(path) } = options;
    this.#checkPlace(options);
    await using targets = new AsyncDisposableStack();
    const opened: Target[] = [];
    for (const location of options.to) {
      const store = targets.use(
        await openReplica(location, { access: "write", log: this.#context.logger }),
      );
      const lease = leaseOptions(location);
      opened.push({ name: redactUrl(location.url), store, lease });
    }
    const mourners: ((error: MillraceError) => void)[] = [];
    const thread = this.#pool.take((error) => mourners.forEach((mourn) => mourn(error)));
    const database = await ReplicatedDatabase.open(this.#context, thread, {
      capture: { ...DEFAULT_CAPTURE, ...withoutUndefined(options.capture), path, metaDir },
      targets: opened,
      onEvent: (event) => this.#happened(event),
    });
    targets.move();
    mourners.push((error) => database.fail(error));
    const { pid, version } = this.#options;
    const statusFile = new StatusFile({
      context: this.#context,
      path: metaPaths(metaDir).status,
      identity: { pid, version, startedAtMs: this.#startedAtMs },
      status: () => database.status(),
    });
    this.#hosted.set(path, { database, statusFile });
    statusFile.write();
    for (const name of opened.map((target) => target.name)) {
      this.#context.logger.log("info", "replicating to", { db: path, replica: name });
    }
  }

  #checkPlace(options: DatabaseOptions): void {
    const { path, to } = options;
    const problem = this.#hosted.has(path)
      ? "it is replicated already"
      : to.length === 0
        ? "it has no destination"
        : new Set(to.map((location) => JSON.stringify(location))).size < to.length
          ? "two of its destinations are the same"
          : undefined;
    if (problem !== undefined) {
      throw new MillraceError("config/invalid", `replicate "${path}": ${problem}`);
    }
    const directory = dirname(path);
    if (this.#context.files.stat("find database", directory)?.isDirectory === true) return;
    throw new MillraceError("fs/not-found", `replicate "${path}": "${directory}" is no directory`, {
      op: "find database",
      details: { path },
      hint: "check the path; Millrace waits for a database file, but not for its directory",
    });
  }

  get paths(): readonly string[] {
    return [...this.#hosted.keys()];
  }

  /**
   * Captures everything committed before the call, in every database or in one. Resolves with the TXID of each
   * that holds it; rejects with the first failure once all are done.
   */
  async sync(
    options: SyncOptions & { readonly path?: string | undefined } = {},
  ): Promise<ReadonlyMap<string, Txid>> {
    const { path, wait = false, signal } = options;
    signal?.throwIfAborted();
    const chosen = path === undefined ? [...this.#hosted.values()] : [this.#find(path)];
    const results = await Promise.allSettled(
      chosen.map(async ({ database }) => {
        const txid = await database.capture();
        if (!wait) return [database.path, txid] as const;
        await database.drain(signal);
        return [database.path, database.whereDurable(txid)] as const;
      }),
    );
    for (const result of results) if (result.status === "rejected") throw result.reason;
    return new Map(
      results.flatMap((result) => (result.status === "fulfilled" ? [result.value] : [])),
    );
  }

  #find(path: string): Hosted {
    const hosted = this.#hosted.get(path);
    if (hosted !== undefined) return hosted;
    throw new MillraceError("usage/invalid", `find database "${path}": it is not replicated here`);
  }

  status(): ReplicatorStatus {
    return {
      pid: this.#options.pid,
      version: this.#options.version,
      startedAtMs: this.#startedAtMs,
      databases: [...this.#hosted.values()].map(({ database }) => database.status()),
    };
  }

  /** Why databases, or their destinations, are not replicated any more. */
  get stopped(): readonly MillraceError[] {
    return [...this.#hosted.values()].flatMap(({ database }) => database.failures());
  }

  /** No database is captured any more. */
  get isDead(): boolean {
    return (
      this.#hosted.size > 0 &&
      [...this.#hosted.values()].every(({ database }) => database.stoppedBy !== undefined)
    );
  }

  #happened(event: ReplicationEvent): void {
    logEvent(this.#context.logger, event);
    if (STATUS_EVENTS.has(event.type)) this.#hosted.get(event.database)?.statusFile.changed();
    if (event.type === "failing" || event.type === "stopped") {
      this.#limit?.failed(event.database, fromErrorRecord(event.error));
    }
    this.#options.onEvent?.(event);
  }

  /**
   * Captures once more, waits until everything is durable or the time is over, and ends. Never rejects because of
   * what could not be made durable: the result says so. Can be repeated.
   */
  close(options: CloseOptions = {}): Promise<CloseResult> {
    this.#closing ??= this.#close(options);
    return this.#closing;
  }

  async #close(options: CloseOptions): Promise<CloseResult> {
    const { clock, logger } = this.#context;
    const { timeoutMs = DEFAULT_CLOSE_TIMEOUT_MS, signal, awaitLease = false } = options;
    using limit = new CloseLimit(clock, timeoutMs, signal);
    this.#limit = limit;
    const databases = await Promise.all(
      [...this.#hosted.values()].map(({ database }) =>
        finishDatabase(this.#context, database, {
          signal: limit.signalFor(database.path),
          awaitLease,
        }),
      ),
    );
    for (const { error } of databases) {
      if (error === undefined) continue;
      logger.log("error", "shutdown sync failed", { error: error.message });
    }
    await this.abandon();
    return { durable: databases.every(({ durable }) => durable), databases };
  }

  /** Ends at once, without another look at the databases. What is not uploaded stays in the local queues. */
  async abandon(): Promise<void> {
    this.#limit = undefined;
    for (const { database, statusFile } of this.#hosted.values()) {
      await database[Symbol.asyncDispose]();
      statusFile.write();
    }
    await this.#pool[Symbol.asyncDispose]();
  }

  /** As `close`, but rejects with `daemon/not-durable`. */
  async [Symbol.asyncDispose](): Promise<void> {
    const { databases } = await this.close();
    const [failed] = databases.filter(({ durable }) => !durable);
    if (failed?.error !== undefined) throw fromErrorRecord(failed.error);
  }
}
