/**
 * The library's side of a replication: a child process that does it, and calls to that process.
 *
 * The database is never opened here, in the application's own process: POSIX locks belong to a process, and closing any
 * descriptor of a file drops all of the process's locks on it [decision 4].
 */
import { handledElsewhere } from "../base/async.ts";
import { fork, type ChildProcess } from "node:child_process";
import { resolve } from "node:path";
import { defined } from "../base/assert.ts";
import type { Txid } from "../base/ids.ts";
import { withoutUndefined } from "../base/objects.ts";
import { fromErrorRecord, MillraceError } from "../errors.ts";
import { siblingModule } from "../platform/sibling.ts";
import { toLocation } from "../storage/replica-url/replica-url.ts";
import type { ChildCallName, ChildCalls, ChildMessage, ParentMessage } from "./child-protocol.ts";
import type {
  DatabaseResult,
  DatabaseStatus,
  DestinationLocation,
  ReplicationEvent,
} from "./contract.ts";

export interface ReplicateOptions {
  /** Replica URL, or several; with settings where the URL is not the place for them. */
  readonly to: string | DestinationLocation | readonly (string | DestinationLocation)[];
  /** Least time between two captures while commits keep coming; default 1000. The first after a pause never waits. */
  readonly syncIntervalMs?: number | undefined;
  /** Where Millrace keeps its local files; default `.<file>-millrace` beside the database. */
  readonly metaDir?: string | undefined;
  /** Further tuning; the defaults are Litestream's. */
  readonly monitorIntervalMs?: number | undefined;
  readonly checkpointIntervalMs?: number | undefined;
  readonly checkpointPages?: number | undefined;
  readonly truncatePages?: number | undefined;
  readonly maxSyncWalBytes?: number | undefined;
  readonly busyTimeoutMs?: number | undefined;
  readonly pageFormat?: "block" | "frame" | undefined;
  /** Ends the replication, with a final sync, when aborted. */
  readonly signal?: AbortSignal | undefined;
  /** Hears of everything that happens. Errors in events are plain records. */
  readonly onEvent?: ((event: ReplicationEvent) => void) | undefined;
}

interface Pending {
  readonly resolve: (value: never) => void;
  readonly reject: (reason: Error) => void;
}

/**
 * Replicates the database at `path`, which need not exist yet, for as long as this process lives. Resolves when it was
 * captured for the first time; whether that is durable, `durable()` tells. Rejects with `sqlite/*`, `fs/*`, `url/*` or
 * `capture/busy` when it cannot be taken up.
 */
export async function replicate(path: string, options: ReplicateOptions): Promise<Replication> {
  const { to, signal, onEvent, metaDir, ...tuning } = options;
  signal?.throwIfAborted();
  const replication = new Replication(resolve(path), { signal, onEvent });
  try {
    await replication.open({
      path: replication.path,
      metaDir: metaDir === undefined ? undefined : resolve(metaDir),
      to: [to].flat().map(toLocation),
      capture: withoutUndefined(tuning),
    });
    return replication;
  } catch (error) {
    replication.disconnect();
    throw error;
  }
}

/** A running replication. Dispose it to end it with a final sync. */
export class Replication implements AsyncDisposable {
  /** Absolute path of the database. */
  readonly path: string;
  readonly #child: ChildProcess;
  readonly #exited: Promise<void>;
  readonly #signal: AbortSignal | undefined;
  readonly #onAbort = (): void => this.#aborted();
  readonly #pending = new Map<number, Pending>();
  #nextId = 1;
  #ended: MillraceError | undefined;
  #closing: Promise<DatabaseResult> | undefined;

  /** Use `replicate`. */
  constructor(path: string, options: Pick<ReplicateOptions, "signal" | "onEvent">) {
    const { signal, onEvent } = options;
    this.path = path;
    this.#signal = signal;
    this.#child = fork(siblingModule(import.meta.url, "./child"), [], {
      execArgv: [],
      serialization: "advanced",
      stdio: ["ignore", "ignore", "inherit", "ipc"],
    });
    this.#child.on("message", (message) => this.#receive(message as ChildMessage, onEvent));
    this.#exited = new Promise((done) => {
      this.#child.once("exit", (code, by) => {
        this.#over(by === null ? `it ended with status ${code}` : `${by} ended it`);
        done();
      });
      this.#child.once("error", (error) => {
        this.#over(error.message, error);
        done();
      });
    });
    signal?.addEventListener("abort", this.#onAbort, { once: true });
    this.#hold();
  }

  /** Of the child that does the work. */
  get pid(): number {
    return defined(this.#child.pid, "process id of the child");
  }

  /** Part of `replicate`. */
  async open(argument: ChildCalls["open"]["argument"]): Promise<void> {
    await this.#call("open", argument, this.#signal);
  }

  /**
   * Resolves when everything committed before the call is in every destination, with the TXID that holds it. Tries for
   * as long as it takes; `signal` gives up. Rejects with `ship/conflict` when another writer owns a destination.
   */
  durable(options: { readonly signal?: AbortSignal | undefined } = {}): Promise<Txid> {
    return this.#call("durable", undefined, options.signal);
  }

  status(): Promise<DatabaseStatus> {
    return this.#call("status", undefined);
  }

  /**
   * Ends the replication: what was committed before is captured, and brought to the destinations within `timeoutMs`
   * (30 s unless given). The result says whether everything is durable. Can be repeated.
   */
  close(options: { readonly timeoutMs?: number | undefined } = {}): Promise<DatabaseResult> {
    this.#closing ??= this.#close(options.timeoutMs);
    return this.#closing;
  }

  async #close(timeoutMs: number | undefined): Promise<DatabaseResult> {
    this.#signal?.removeEventListener("abort", this.#onAbort);
    const result = await this.#call("close", { timeoutMs });
    this.#ended ??= new MillraceError("daemon/closed", `replicate "${this.path}": it was closed`);
    this.disconnect();
    this.#child.ref();
    await this.#exited;
    return result;
  }

  /** As `close`, but rejects with `daemon/not-durable`. */
  async [Symbol.asyncDispose](): Promise<void> {
    const { error } = await this.close();
    if (error !== undefined) throw fromErrorRecord(error);
  }

  /** Lets go of the child, which ends by itself after a final sync. */
  disconnect(): void {
    this.#signal?.removeEventListener("abort", this.#onAbort);
    if (this.#child.connected) this.#child.disconnect();
    this.#child.unref();
  }

  #aborted(): void {
    const reason = this.#signal?.reason as Error;
    for (const { reject } of this.#pending.values()) reject(reason);
    this.#pending.clear();
    // The promise is kept: whoever calls `close` or disposes sees its failure.
    handledElsewhere(this.close());
  }

  #call<Name extends ChildCallName>(
    name: Name,
    argument: ChildCalls[Name]["argument"],
    signal?: AbortSignal,
  ): Promise<ChildCalls[Name]["result"]> {
    if (signal?.aborted === true) return Promise.reject(signal.reason as Error);
    if (this.#ended !== undefined) return Promise.reject(this.#ended);
    const id = this.#nextId++;
    return new Promise((resolve, reject) => {
      const onAbort = (): void => {
        this.#settle(id);
        this.#send({ type: "cancel", id });
        reject(signal?.reason as Error);
      };
      const done = (): void => signal?.removeEventListener("abort", onAbort);
      this.#pending.set(id, {
        resolve: (value) => (done(), resolve(value)),
        reject: (reason) => (done(), reject(reason)),
      });
      signal?.addEventListener("abort", onAbort, { once: true });
      this.#hold();
      this.#send({ type: "call", id, name, argument } as ParentMessage);
    });
  }

  #send(message: ParentMessage): void {
    // Whoever waits is told when the child's end is noticed.
    if (this.#child.connected) this.#child.send(message, () => {});
  }

  #receive(message: ChildMessage, onEvent: ReplicateOptions["onEvent"]): void {
    if (message.type === "event") {
      onEvent?.(message.event);
      return;
    }
    const pending = this.#settle(message.id);
    if (message.type === "result") pending?.resolve(message.value as never);
    else pending?.reject(fromErrorRecord(message.error));
  }

  #settle(id: number): Pending | undefined {
    const pending = this.#pending.get(id);
    this.#pending.delete(id);
    this.#hold();
    return pending;
  }

  /** The child keeps this process alive while somebody waits for it, and not otherwise. */
  #hold(): void {
    if (this.#pending.size > 0) {
      this.#child.ref();
      this.#child.channel?.ref();
    } else {
      this.#child.unref();
      this.#child.channel?.unref();
    }
  }

  #over(found: string, cause?: unknown): void {
    this.#ended ??= new MillraceError(
      "daemon/child-exited",
      `replicate "${this.path}": the replicating process is gone: ${found}`,
      {
        cause,
        hint: "replicate again; what was captured and not yet shipped is in the local directory",
      },
    );
    for (const { reject } of this.#pending.values()) reject(this.#ended);
    this.#pending.clear();
    this.#hold();
  }
}
