/**
 * A store between a caller and another store that counts requests and breaks those its plan picks.
 *
 * Fault model. A request may
 *   before     fail without having done anything (refused, throttled, connection not made);
 *   after      do everything and lose the answer (put, delete): the caller cannot know the outcome;
 *   reset      break in the middle: a get after some bytes, a list after some items, a delete after some
 *              keys were deleted, a put after some bytes of its source were taken, with nothing stored;
 *   truncate   deliver fewer bytes than promised and be caught at it: `storage/truncated` (get);
 *   short      deliver fewer bytes and end as if it were all: a store that lies (get);
 *   flip       deliver (get) or store (put) bytes of which one bit is wrong: a store that rots;
 *   disk-full  fail with `fs/disk-full` after some bytes of the source were taken, with nothing stored (put);
 *   hang       give no answer until it is aborted or the store closes;
 *   delay      take `delayMs` on the given clock, and then succeed.
 * Not modelled: objects that appear partially, vanish or change by themselves, and listings out of order;
 * a store that does this breaks the contract, and nothing above it is expected to cope.
 */
import { assert, defined } from "../base/assert.ts";
import { sleep } from "../base/async.ts";
import type { Clock } from "../base/clock.ts";
import { type ErrorCode, MillraceError } from "../errors.ts";
import { CallTracker, SignalLink } from "../storage/calls.ts";
import type {
  ByteSource,
  CallOptions,
  GetOptions,
  ListOptions,
  ObjectBody,
  ObjectInfo,
  ObjectStore,
  PutOptions,
  StoreCapabilities,
} from "../storage/contract.ts";
import {
  APPLICABLE,
  type Fault,
  type FaultPlan,
  NO_FAULTS,
  type StoreOperation,
  type StoreRequest,
} from "./fault-store-plan.ts";

export interface FaultStoreOptions {
  readonly plan?: FaultPlan | undefined;
  /** Needed by plans that delay. */
  readonly clock?: Clock | undefined;
}

export type RequestCounts = Readonly<Record<StoreOperation, number>>;

export class FaultStore implements ObjectStore {
  /** May be replaced at any time: an outage begins, or ends. */
  plan: FaultPlan;
  readonly #inner: ObjectStore;
  readonly #clock: Clock | undefined;
  readonly #calls: CallTracker;
  readonly #counts: Record<StoreOperation, number> = {
    get: 0,
    head: 0,
    put: 0,
    list: 0,
    delete: 0,
  };
  readonly #attempts = new Map<string, number>();
  #countFaults = 0;
  #countRunning = 0;
  #maxRunning = 0;

  /** Takes over `inner` and closes it. */
  constructor(inner: ObjectStore, options: FaultStoreOptions = {}) {
    this.#inner = inner;
    this.plan = options.plan ?? NO_FAULTS;
    this.#clock = options.clock;
    this.#calls = new CallTracker(inner.type);
  }

  get type(): string {
    return this.#inner.type;
  }

  get capabilities(): StoreCapabilities {
    return this.#inner.capabilities;
  }

  /** Requests so far by operation, broken ones included; an iteration of a list is one request. */
  get counts(): RequestCounts {
    return { ...this.#counts };
  }

  /** All requests so far. */
  get countRequests(): number {
    return Object.values(this.#counts).reduce((sum, count) => sum + count, 0);
  }

  /** Requests that met a fault, delays included. */
  get countFaults(): number {
    return this.#countFaults;
  }

  /** The most requests that were running at once; a get runs until it returned its body. */
  get maxRunning(): number {
    return this.#maxRunning;
  }

  get(key: string, options: GetOptions = {}): Promise<ObjectBody> {
    return this.#request("get", key, options, async (fault, signal) => {
      // The body outlives this request, so the inner store gets the caller's own signal.
      const body = await this.#inner.get(key, options);
      if (signal.aborted) await body[Symbol.asyncDispose]();
      signal.throwIfAborted();
      return fault === undefined ? body : new FaultBody(body, fault);
    });
  }

  head(key: string, options: CallOptions = {}): Promise<ObjectInfo> {
    return this.#request("head", key, options, (_, signal) => this.#inner.head(key, { signal }));
  }

  put(key: string, body: ByteSource, options: PutOptions = {}): Promise<ObjectInfo> {
    return this.#request("put", key, options, async (fault, signal) => {
      if (fault?.kind === "reset" || fault?.kind === "disk-full") {
        await take(body, fault.after ?? 0);
        throw faultError("put", key, fault);
      }
      const source = fault?.kind === "flip" ? flipped(body, fault.after ?? 0) : body;
      const info = await this.#inner.put(key, source, { ...options, signal });
      if (fault?.kind === "after") throw faultError("put", key, fault);
      return info;
    });
  }

  list(prefix: string, options: ListOptions = {}): AsyncIterable<ObjectInfo> {
    const start = (signal: AbortSignal): AsyncIterable<ObjectInfo> =>
      this.#list(prefix, options, signal);
    return {
      [Symbol.asyncIterator]: () =>
        this.#calls.iterate("list objects", new SignalLink(options.signal), { start }),
    };
  }

  delete(keys: readonly string[], options: CallOptions = {}): Promise<void> {
    return this.#request("delete", keys.join(","), options, async (fault, signal) => {
      const isReset = fault?.kind === "reset";
      await this.#inner.delete(isReset ? keys.slice(0, fault.after ?? 0) : keys, { signal });
      if (isReset || fault?.kind === "after") throw faultError("delete", keys.join(","), fault);
    });
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#calls.close(async () => this.#inner[Symbol.asyncDispose]());
  }

  async *#list(
    prefix: string,
    options: ListOptions,
    signal: AbortSignal,
  ): AsyncGenerator<ObjectInfo, void, void> {
    const fault = await this.#begin("list", prefix, signal);
    let count = 0;
    for await (const info of this.#inner.list(prefix, { ...options, signal })) {
      if (fault?.kind === "reset" && count >= (fault.after ?? 0))
        throw faultError("list", prefix, fault);
      yield info;
      count += 1;
    }
    if (fault?.kind === "reset") throw faultError("list", prefix, fault);
  }

  async #request<T>(
    operation: StoreOperation,
    key: string,
    { signal: outer }: CallOptions,
    run: (fault: Fault | undefined, signal: AbortSignal) => Promise<T>,
  ): Promise<T> {
    const op = operation === "delete" ? "delete objects" : `${operation} object`;
    this.#calls.check(op, outer);
    this.#countRunning += 1;
    this.#maxRunning = Math.max(this.#maxRunning, this.#countRunning);
    try {
      return await this.#calls.call(op, outer, async (signal) =>
        run(await this.#begin(operation, key, signal), signal),
      );
    } finally {
      this.#countRunning -= 1;
    }
  }

  /** Counts a request, and runs what its fault does before it reaches the inner store. */
  async #begin(
    operation: StoreOperation,
    key: string,
    signal: AbortSignal,
  ): Promise<Fault | undefined> {
    const name = `${operation} ${key}`;
    const attempt = this.#attempts.get(name) ?? 0;
    this.#attempts.set(name, attempt + 1);
    this.#counts[operation] += 1;
    const request: StoreRequest = { operation, key, attempt };
    const fault = this.plan(request);
    if (fault === undefined) return undefined;
    assert(
      APPLICABLE[operation].includes(fault.kind),
      `fault ${fault.kind} does not apply to ${operation}`,
    );
    this.#countFaults += 1;
    if (fault.kind === "before") throw faultError(operation, key, fault);
    if (fault.kind === "hang") await untilAborted(signal);
    if (fault.kind === "delay") {
      await sleep(
        defined(this.#clock, "the clock of a fault store that delays"),
        fault.delayMs ?? 0,
        { signal },
      );
    }
    return fault;
  }
}

/** A body that breaks, ends early, or has a wrong bit. */
class FaultBody implements ObjectBody {
  readonly info: ObjectInfo;
  readonly #inner: ObjectBody;
  readonly #fault: Fault;

  constructor(inner: ObjectBody, fault: Fault) {
    this.info = inner.info;
    this.#inner = inner;
    this.#fault = fault;
  }

  [Symbol.asyncIterator](): AsyncIterator<Uint8Array> {
    const { kind, after = 0 } = this.#fault;
    if (kind === "flip") return flippedChunks(this.#inner, after);
    if (kind === "short" || kind === "reset" || kind === "truncate") return this.#cut(after);
    return this.#inner[Symbol.asyncIterator]();
  }

  async bytes(): Promise<Uint8Array> {
    return Buffer.concat(await Array.fromAsync(this));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#inner[Symbol.asyncDispose]();
  }

  async *#cut(after: number): AsyncGenerator<Uint8Array, void, void> {
    let left = after;
    for await (const chunk of this.#inner) {
      if (left > 0) yield chunk.slice(0, left);
      left -= chunk.length;
      if (left <= 0) break;
    }
    if (this.#fault.kind !== "short") throw faultError("get", this.info.key, this.#fault);
  }
}

function faultError(operation: StoreOperation, key: string, fault: Fault): MillraceError {
  const byKind: Partial<Record<Fault["kind"], ErrorCode>> = {
    truncate: "storage/truncated",
    "disk-full": "fs/disk-full",
  };
  const code = fault.code ?? byKind[fault.kind] ?? "storage/unavailable";
  return new MillraceError(code, `${operation} "${key}": injected fault "${fault.kind}"`, {
    op: operation,
    details: { key, fault: fault.kind },
  });
}

function untilAborted(signal: AbortSignal): Promise<never> {
  return new Promise((_, reject) => {
    const onAbort = (): void => reject(signal.reason as Error);
    if (signal.aborted) onAbort();
    else signal.addEventListener("abort", onAbort, { once: true });
  });
}

/** Reads a source until `countBytes` have come, as a store does whose disk fills up then. */
async function take(body: ByteSource, countBytes: number): Promise<void> {
  if (body instanceof Uint8Array) return;
  let count = 0;
  for await (const chunk of body.open()) {
    count += chunk.length;
    if (count >= countBytes) return;
  }
}

/** The same bytes with the lowest bit of byte `at` (or of the last one) inverted. */
function flipped(body: ByteSource, at: number): ByteSource {
  if (body instanceof Uint8Array) {
    const copy = body.slice();
    flipBit(copy, Math.min(at, copy.length - 1));
    return copy;
  }
  const { sizeBytes } = body;
  const position = Math.min(at, sizeBytes - 1);
  return {
    sizeBytes,
    open: () => ({ [Symbol.asyncIterator]: () => flippedChunks(body.open(), position) }),
  };
}

async function* flippedChunks(
  chunks: AsyncIterable<Uint8Array>,
  at: number,
): AsyncGenerator<Uint8Array, void, void> {
  let offset = 0;
  for await (const chunk of chunks) {
    const copy = chunk.slice();
    flipBit(copy, at - offset);
    yield copy;
    offset += chunk.length;
  }
}

function flipBit(bytes: Uint8Array, index: number): void {
  const byte = bytes[index];
  if (byte !== undefined) bytes[index] = byte ^ 1;
}
