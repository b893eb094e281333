/**
 * Capture as the rest of the daemon sees it: asynchronous, in a thread of its own, so that neither SQLite's locks nor
 * a long copy ever stop uploads.
 */
import { Worker } from "node:worker_threads";
import { defined } from "../base/assert.ts";
import type { Txid } from "../base/ids.ts";
import { fromErrorRecord, MillraceError } from "../errors.ts";
import { siblingModule } from "../platform/sibling.ts";
import type { CaptureEvent, CaptureOptions, CaptureStatus, MoveRequest } from "./contract.ts";
import type {
  CallMessage,
  CallName,
  CaptureCalls,
  WorkerMessage,
  WorkerSetup,
} from "./protocol.ts";

interface Pending {
  readonly resolve: (value: never) => void;
  readonly reject: (error: Error) => void;
}

/** One capture thread; hosts any number of databases. */
export class CaptureThread implements AsyncDisposable {
  readonly #worker: Worker;
  readonly #pending = new Map<number, Pending>();
  readonly #listeners = new Map<string, (event: CaptureEvent) => void>();
  readonly #onDeath: (error: MillraceError) => void;
  #nextId = 1;
  #dead: MillraceError | undefined;

  /** `onDeath` is called when the thread ends although nobody closed it. */
  constructor(options: {
    readonly setup?: WorkerSetup | undefined;
    readonly onDeath: (error: MillraceError) => void;
  }) {
    this.#onDeath = options.onDeath;
    this.#worker = new Worker(siblingModule(import.meta.url, "./worker"), {
      workerData: options.setup ?? {},
    });
    this.#worker.on("message", (message: WorkerMessage) => this.#receive(message));
    this.#worker.on("error", (error) => this.#died(error));
    this.#worker.on("exit", () => this.#died(undefined));
  }

  /** Begins capturing; `onEvent` hears everything that happens to this database. */
  async add(
    options: CaptureOptions,
    onEvent: (event: CaptureEvent) => void,
  ): Promise<CaptureHandle> {
    this.#listeners.set(options.path, onEvent);
    try {
      const { txid, files } = await this.call(options.path, "add", options);
      return new CaptureHandle(this, options.path, { txid, files });
    } catch (error) {
      this.#listeners.delete(options.path);
      throw error;
    }
  }

  call<Name extends CallName>(
    key: string,
    name: Name,
    argument: CaptureCalls[Name]["argument"],
  ): Promise<CaptureCalls[Name]["result"]> {
    if (this.#dead !== undefined) return Promise.reject(this.#dead);
    const id = this.#nextId++;
    return new Promise((resolve, reject) => {
      this.#pending.set(id, { resolve, reject });
      const message: CallMessage<Name> = { id, key, name, argument };
      this.#worker.postMessage(message);
    });
  }

  #receive(message: WorkerMessage): void {
    if (message.type === "event") {
      this.#listeners.get(message.key)?.(message.event);
      return;
    }
    const pending = defined(this.#pending.get(message.id), "pending call");
    this.#pending.delete(message.id);
    if (message.type === "result") pending.resolve(message.value as never);
    else pending.reject(fromErrorRecord(message.error));
  }

  #died(cause: unknown): void {
    if (this.#dead !== undefined) return;
    this.#dead = new MillraceError("internal/bug", "the capture thread ended unexpectedly", {
      cause,
    });
    for (const { reject } of this.#pending.values()) reject(this.#dead);
    this.#pending.clear();
    this.#onDeath(this.#dead);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#dead ??= new MillraceError("daemon/closed", "the capture thread was closed");
    await this.#worker.terminate();
  }
}

/** One database being captured. */
export class CaptureHandle {
  readonly #thread: CaptureThread;
  readonly path: string;
  /** Where the line ended and which local files existed when capture began. */
  readonly initial: CaptureCalls["add"]["result"];

  constructor(thread: CaptureThread, path: string, initial: CaptureCalls["add"]["result"]) {
    this.#thread = thread;
    this.path = path;
    this.initial = initial;
  }

  /** Captures everything committed before the call; resolves with the TXID that holds it. */
  sync(): Promise<Txid> {
    return this.#thread.call(this.path, "sync", undefined);
  }

  status(): Promise<CaptureStatus> {
    return this.#thread.call(this.path, "status", undefined);
  }

  /** The destination's line has a hole: write a level 9 snapshot that covers it. */
  requireBoundary(reason: string): Promise<undefined> {
    return this.#thread.call(this.path, "requireBoundary", reason);
  }

  /** The destination holds another line: go on after it. */
  moveTo(request: MoveRequest): Promise<undefined> {
    return this.#thread.call(this.path, "moveTo", request);
  }

  /** Every destination holds everything up to `durable`. */
  release(durable: Txid): Promise<undefined> {
    return this.#thread.call(this.path, "release", durable);
  }

  /** Captures once more, then lets go; resolves with the last TXID. */
  remove(): Promise<Txid> {
    return this.#thread.call(this.path, "remove", undefined);
  }
}
