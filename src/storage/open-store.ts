/**
 * The public face of every store: checks each call once, so that backends need not.
 *
 * Order of checks: open, not aborted, valid key and options, capability. A capability that the backend does
 * not declare makes the call fail with `storage/unsupported` before the backend is asked. Bodies are counted:
 * a store that delivers fewer or more bytes than it announced is reported, never passed on.
 */
import { assert } from "../base/assert.ts";
import { MillraceError } from "../errors.ts";
import type { BackendBody, StoreBackend } from "./backend.ts";
import { CallTracker, SignalLink, type TrackedIterator } from "./calls.ts";
import type {
  ByteSource,
  CallOptions,
  GetOptions,
  ListOptions,
  ObjectBody,
  ObjectInfo,
  ObjectKey,
  ObjectStore,
  PutOptions,
  StoreCapabilities,
} from "./contract.ts";
import { assertKey, assertPrefix } from "./keys.ts";
import type { StoreUsage } from "./meter.ts";
import { guardSource } from "./source.ts";

/** Makes a store of a backend that is ready to serve. The store owns the backend and closes it. */
export function openStore(backend: StoreBackend): ObjectStore {
  return new OpenStore(backend);
}

class OpenStore implements ObjectStore {
  readonly #backend: StoreBackend;
  readonly #calls: CallTracker;

  constructor(backend: StoreBackend) {
    this.#backend = backend;
    this.#calls = new CallTracker(backend.type);
  }

  get type(): string {
    return this.#backend.type;
  }

  get capabilities(): StoreCapabilities {
    return this.#backend.capabilities;
  }

  async get(key: ObjectKey, options: GetOptions = {}): Promise<ObjectBody> {
    const op = "get object";
    this.#calls.check(op, options.signal);
    assertKey(op, key);
    const offset = options.offset ?? 0;
    assertCount(op, "offset", offset);
    const { sizeBytes } = options;
    if (sizeBytes !== undefined) assertCount(op, "sizeBytes", sizeBytes);
    if (offset > 0 || sizeBytes !== undefined) this.#need(op, "rangeReads");
    const link = new SignalLink(options.signal);
    try {
      return await this.#calls.linked(op, link, async (signal) => {
        const inner = await this.#backend.get(key, { offset, sizeBytes, signal });
        if (signal.aborted) {
          await inner.close();
          throw signal.reason;
        }
        const present = Math.max(0, inner.info.sizeBytes - offset);
        return new CheckedBody(this.#calls, link, inner, Math.min(sizeBytes ?? present, present));
      });
    } catch (error) {
      link.release();
      throw error;
    }
  }

  async head(key: ObjectKey, options: CallOptions = {}): Promise<ObjectInfo> {
    const op = "head object";
    this.#calls.check(op, options.signal);
    assertKey(op, key);
    return this.#calls.call(op, options.signal, (signal) => this.#backend.head(key, { signal }));
  }

  async put(key: ObjectKey, body: ByteSource, options: PutOptions = {}): Promise<ObjectInfo> {
    const op = "put object";
    this.#calls.check(op, options.signal);
    assertKey(op, key);
    const { ifAbsent = false, ifMatch, createdAtMs } = options;
    if (ifAbsent && ifMatch !== undefined)
      throw misuse(op, "ifAbsent and ifMatch exclude each other");
    if (createdAtMs !== undefined) assertCount(op, "createdAtMs", createdAtMs);
    if (ifAbsent) this.#need(op, "conditionalCreate");
    if (ifMatch !== undefined) this.#need(op, "conditionalReplace");
    return this.#calls.call(op, options.signal, async (signal) => {
      const source = guardSource(op, key, body, signal);
      const { maxObjectBytes } = this.capabilities;
      if (source.sizeBytes > maxObjectBytes) {
        const found = `${source.sizeBytes} bytes are more than the ${this.type} store's limit of ${maxObjectBytes}`;
        throw new MillraceError("storage/unsupported", `${op} "${key}": ${found}`, {
          op,
          details: { key },
        });
      }
      return this.#backend.put(key, source, { ifAbsent, ifMatch, createdAtMs, signal });
    });
  }

  list(prefix: string, options: ListOptions = {}): AsyncIterable<ObjectInfo> {
    const op = "list objects";
    const { signal: outer, startAfter = "" } = options;
    return {
      [Symbol.asyncIterator]: () =>
        this.#calls.iterate(op, new SignalLink(outer), {
          start: (signal) => {
            assertPrefix(op, prefix);
            if (!startAfter.isWellFormed())
              throw misuse(op, "startAfter is not well-formed Unicode");
            return this.#backend.list(prefix, { startAfter, signal });
          },
        }),
    };
  }

  async delete(keys: readonly ObjectKey[], options: CallOptions = {}): Promise<void> {
    const op = "delete objects";
    this.#calls.check(op, options.signal);
    for (const key of keys) assertKey(op, key);
    if (keys.length === 0) return;
    const unique = [...new Set(keys)];
    await this.#calls.call(op, options.signal, (signal) =>
      this.#backend.delete(unique, { signal }),
    );
  }

  localPath(key: ObjectKey): string | undefined {
    const op = "locate object";
    this.#calls.check(op, undefined);
    assertKey(op, key);
    return this.#backend.localPath?.(key);
  }

  usage(): StoreUsage | undefined {
    return this.#backend.meter?.usage();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#calls.close(() => this.#backend.close());
  }

  #need(op: string, capability: "conditionalCreate" | "conditionalReplace" | "rangeReads"): void {
    if (this.capabilities[capability]) return;
    throw new MillraceError(
      "storage/unsupported",
      `${op}: the ${this.type} store has no ${capability}`,
      {
        op,
        details: { capability },
      },
    );
  }
}

/** A body that is read once, counted, and released however its reading ends. */
class CheckedBody implements ObjectBody {
  readonly info: ObjectInfo;
  readonly #inner: BackendBody;
  readonly #expectedBytes: number;
  readonly #iterator: TrackedIterator<Uint8Array>;
  #wanted: "chunks" | "bytes" | undefined;

  constructor(calls: CallTracker, link: SignalLink, inner: BackendBody, expectedBytes: number) {
    this.info = inner.info;
    this.#inner = inner;
    this.#expectedBytes = expectedBytes;
    this.#iterator = calls.iterate("read object", link, {
      start: (signal) => (this.#wanted === "bytes" ? this.#whole() : this.#chunks(signal)),
      release: () => inner.close(),
    });
  }

  [Symbol.asyncIterator](): AsyncIterator<Uint8Array> {
    this.#claim("chunks");
    return this.#iterator;
  }

  async bytes(): Promise<Uint8Array> {
    this.#claim("bytes");
    const result = await this.#iterator.next();
    assert(result.done === false, "a whole body is one item");
    await this.#iterator.return();
    return result.value;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#wanted ??= "chunks";
    await this.#iterator.return();
  }

  #claim(how: "chunks" | "bytes"): void {
    if (this.#wanted !== undefined)
      throw misuse("read object", `the body of "${this.info.key}" was read already`);
    this.#wanted = how;
  }

  async *#chunks(signal: AbortSignal): AsyncGenerator<Uint8Array, void, void> {
    let count = 0;
    for await (const chunk of this.#inner.chunks()) {
      count += chunk.length;
      if (count > this.#expectedBytes) throw this.#sizeError(count);
      signal.throwIfAborted();
      if (chunk.length > 0) yield chunk;
    }
    if (count !== this.#expectedBytes) throw this.#sizeError(count);
  }

  async *#whole(): AsyncGenerator<Uint8Array, void, void> {
    const direct = await this.#inner.bytes?.();
    if (direct !== undefined) {
      if (direct.length !== this.#expectedBytes) throw this.#sizeError(direct.length);
      yield direct;
      return;
    }
    const whole = new Uint8Array(this.#expectedBytes);
    let count = 0;
    for await (const chunk of this.#inner.chunks()) {
      if (count + chunk.length > whole.length) throw this.#sizeError(count + chunk.length);
      whole.set(chunk, count);
      count += chunk.length;
    }
    if (count !== whole.length) throw this.#sizeError(count);
    yield whole;
  }

  #sizeError(count: number): MillraceError {
    const op = "read object";
    return truncatedError(op, this.info.key, count, this.#expectedBytes);
  }
}

/** The error for a body that ended early or late. */
export function truncatedError(
  op: string,
  key: string,
  count: number,
  expectedBytes: number,
): MillraceError {
  return new MillraceError(
    "storage/truncated",
    `${op} "${key}": ${count} bytes arrived, ${expectedBytes} were expected`,
    { op, details: { key, deliveredBytes: count, expectedBytes } },
  );
}

function assertCount(op: string, name: string, value: number): void {
  if (Number.isSafeInteger(value) && value >= 0) return;
  throw misuse(op, `${name} must be a whole number from 0, not ${value}`);
}

function misuse(op: string, problem: string): MillraceError {
  return new MillraceError("storage/misuse", `${op}: ${problem}`, { op });
}
