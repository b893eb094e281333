/**
 * A few decoding threads behind asynchronous calls. Work goes to the thread that has least of it.
 *
 * A thread that dies fails its pending calls with what killed it. Disposing ends the threads, whatever they
 * are doing; when it resolves nothing writes to the output any more.
 */
import { Worker } from "node:worker_threads";
import { assert, defined } from "../base/assert.ts";
import { fromErrorRecord, MillraceError } from "../errors.ts";
import { xorCrc, type CrcRegister } from "../kernel/kernel.ts";
import { siblingModule } from "../platform/sibling.ts";
import type { DecodeCalls, DecodeMethod, DecodeReply, DecodeRequest } from "./decode-calls.ts";
import type { FrameSums, FrameTask } from "./decode-frames.ts";
import type { LocalRange } from "./local-file.ts";

export const DEFAULT_PARALLELISM = 2;
export const MAX_PARALLELISM = 64;
/** Bytes of the output that one call adds up. */
const SUM_BYTES = 32 * 1024 * 1024;

interface Pending {
  resolve(result: DecodeCalls[DecodeMethod]["result"]): void;
  reject(error: unknown): void;
  readonly weight: number;
}

class DecodeThread {
  readonly #worker: Worker;
  readonly #pending = new Map<number, Pending>();
  /** Calls that go out together with the next turn of the event loop: thousands of messages cost too much. */
  #outgoing: DecodeRequest[] = [];
  #nextId = 1;
  #weight = 0;
  #failure: MillraceError | undefined;

  constructor() {
    this.#worker = new Worker(siblingModule(import.meta.url, "decode-worker"));
    this.#worker.on("message", (replies: readonly DecodeReply[]) => {
      for (const reply of replies) this.#onReply(reply);
    });
    this.#worker.on("error", (error) => this.#fail("it failed", error));
    this.#worker.on("exit", (code) => this.#fail(`it ended with status ${code}`, undefined));
  }

  /** Frames sent and not answered. */
  get weight(): number {
    return this.#weight;
  }

  call<M extends DecodeMethod>(
    method: M,
    args: DecodeCalls[M]["args"],
  ): Promise<DecodeCalls[M]["result"]> {
    if (this.#failure !== undefined) return Promise.reject(this.#failure);
    const request = { id: this.#nextId, method, args } as DecodeRequest;
    this.#nextId += 1;
    return new Promise((resolve, reject) => {
      const task = request.method === "decode" ? request.args : undefined;
      const weight = task?.frames.length ?? 0;
      this.#pending.set(request.id, { resolve, reject, weight });
      this.#weight += weight;
      if (this.#outgoing.push(request) === 1) setImmediate(() => this.#send());
    });
  }

  #send(): void {
    const requests = this.#outgoing;
    this.#outgoing = [];
    const buffers = requests.flatMap((request) => {
      const source = request.method === "decode" ? request.args.source : "";
      return typeof source === "string" ? [] : source.buffer;
    });
    this.#worker.postMessage(requests, buffers);
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

  /** Starts `parallelism` decoding threads; they are ready for `open` at once. */
  constructor(parallelism: number) {
    assert(
      Number.isInteger(parallelism) && parallelism >= 1 && parallelism <= MAX_PARALLELISM,
      `parallelism ${parallelism} is from 1 to ${MAX_PARALLELISM}`,
    );
    this.#threads = Array.from({ length: parallelism }, () => new DecodeThread());
  }

  /** Sets the page size and the output file, which must exist; without one `decode` only decodes, and sums if `hashed`. */
  async open(output: DecodeCalls["open"]["args"]): Promise<void> {
    await Promise.all(this.#threads.map((thread) => thread.call("open", output)));
  }

  /** Takes over `task.source` when that is bytes. */
  decode(task: FrameTask): Promise<FrameSums> {
    return this.#idlest().call("decode", task);
  }

  /** XOR of the checksums of the pages of the output as it is now, the lock page left out; bit 63 means nothing. */
  async sumOutput(
    pages: number,
    options: { readonly pageSize: number; readonly signal?: AbortSignal | undefined },
  ): Promise<CrcRegister> {
    const { pageSize, signal } = options;
    const sum = { low: 0, high: 0 };
    const stride = Math.max(1, Math.floor(SUM_BYTES / pageSize));
    let next = 1;
    const work = async (thread: DecodeThread): Promise<void> => {
      while (next <= pages) {
        signal?.throwIfAborted();
        const first = next;
        next += stride;
        xorCrc(sum, await thread.call("sum", { first, last: Math.min(pages, first + stride - 1) }));
      }
    };
    await Promise.all(this.#threads.map(work));
    return sum;
  }

  /** Reads ranges of files of this machine; `undefined` for those that cannot be had. */
  read(ranges: readonly LocalRange[]): Promise<DecodeCalls["read"]["result"]> {
    return this.#idlest().call("read", ranges);
  }

  /** Makes all writes of all finished calls durable. */
  async sync(): Promise<void> {
    await this.#threads[0]?.call("sync", undefined);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.#threads.map((thread) => thread.end()));
  }

  #idlest(): DecodeThread {
    const [first, ...others] = this.#threads;
    return others.reduce(
      (best, thread) => (thread.weight < best.weight ? thread : best),
      defined(first, "a thread of the pool"),
    );
  }
}
