/**
 * A few decoding threads behind asynchronous calls. Work goes to the thread that has least of it.
 *
 * A thread that dies fails its pending calls with what killed it. Disposing ends the threads, whatever they
 * are doing; when it resolves nothing writes to the output any more.
 */
import { Worker } from "node:worker_threads";
import { assert, defined } from "../base/assert.ts";
import { fromErrorRecord, MillraceError } from "../errors.ts";
import { siblingModule } from "../platform/sibling.ts";
import type { DecodeCalls, DecodeMethod, DecodeReply } from "./decode-calls.ts";
import type { FrameSums, FrameTask } from "./decode-frames.ts";

export const DEFAULT_PARALLELISM = 2;
export const MAX_PARALLELISM = 64;

interface Pending {
  resolve(result: DecodeCalls[DecodeMethod]["result"]): void;
  reject(error: unknown): void;
  readonly weight: number;
}

class DecodeThread {
  readonly #worker: Worker;
  readonly #pending = new Map<number, Pending>();
  #nextId = 1;
  #weight = 0;
  #failure: MillraceError | undefined;

  constructor() {
    this.#worker = new Worker(siblingModule(import.meta.url, "decode-worker"));
    this.#worker.on("message", (reply: DecodeReply) => this.#onReply(reply));
    this.#worker.on("error", (error) => this.#fail("it failed", error));
    this.#worker.on("exit", (code) => this.#fail(`it ended with status ${code}`, undefined));
  }

  /** Bytes sent and not answered. */
  get weight(): number {
    return this.#weight;
  }

  call<M extends DecodeMethod>(
    method: M,
    args: DecodeCalls[M]["args"],
    bytes?: Uint8Array<ArrayBuffer>,
  ): Promise<DecodeCalls[M]["result"]> {
    if (this.#failure !== undefined) return Promise.reject(this.#failure);
    const id = this.#nextId;
    this.#nextId += 1;
    return new Promise((resolve, reject) => {
      const weight = bytes?.length ?? 0;
      this.#pending.set(id, { resolve, reject, weight });
      this.#weight += weight;
      this.#worker.postMessage({ id, method, args }, bytes === undefined ? [] : [bytes.buffer]);
    });
  }

  async end(): Promise<void> {
    await this.#worker.terminate();
  }

  #onReply(reply: DecodeReply): void {
    const pending = defined(this.#pending.get(reply.id), "the call that a decoding thread answers");
    this.#pending.delete(reply.id);
    this.#weight -= pending.weight;
    if ("error" in reply) pending.reject(fromErrorRecord(reply.error));
    else pending.resolve(reply.result);
  }

  #fail(how: string, cause: unknown): void {
    this.#failure ??= new MillraceError("internal/bug", `a decoding thread is gone: ${how}`, {
      cause,
    });
    for (const pending of this.#pending.values()) pending.reject(this.#failure);
    this.#pending.clear();
  }
}

export class DecodePool implements AsyncDisposable {
  readonly #threads: readonly DecodeThread[];

  /** Starts the threads; they are ready for `open` at once. */
  constructor(parallelism: number) {
    assert(
      Number.isInteger(parallelism) && parallelism >= 1 && parallelism <= MAX_PARALLELISM,
      `parallelism ${parallelism} is from 1 to ${MAX_PARALLELISM}`,
    );
    this.#threads = Array.from({ length: parallelism }, () => new DecodeThread());
  }

  /** Sets the page size and the output file, which must exist; `undefined` decodes and sums only. */
  async open(pageSize: number, path: string | undefined): Promise<void> {
    await Promise.all(this.#threads.map((thread) => thread.call("open", { pageSize, path })));
  }

  /** Takes over `task.bytes` and its buffer. */
  decode(task: FrameTask): Promise<FrameSums> {
    return this.#idlest().call("decode", task, task.bytes);
  }

  /** Makes all writes of all finished calls durable. */
  async sync(): Promise<void> {
    await this.#idlest().call("sync", undefined);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.#threads.map((thread) => thread.end()));
  }

  #idlest(): DecodeThread {
    return this.#threads.reduce((best, thread) => (thread.weight < best.weight ? thread : best));
  }
}
