/** The content of an object, read on where the connection broke off as long as it is the same object. */
import { MillraceError } from "../../errors.ts";
import type { BackendBody, BackendGet, StoreBackend } from "../backend.ts";
import type { ObjectInfo } from "../contract.ts";
import { isPassing, type Attempts, type Rest } from "./attempts.ts";
import type { RequestMeter } from "../meter.ts";
import type { Watchdog } from "./watchdog.ts";

export interface ResumingContext {
  readonly inner: StoreBackend;
  readonly attempts: Attempts;
  readonly meter: RequestMeter;
}

interface Connection {
  readonly body: BackendBody;
  /** Paused; watches over the body too. */
  readonly watchdog: Watchdog;
}

const OP = "get object";

export class ResumingBody implements BackendBody {
  readonly info: ObjectInfo;
  readonly #call: BackendGet;
  readonly #context: ResumingContext;
  readonly #rest: Rest;
  #connection: Connection | undefined;

  private constructor(
    call: BackendGet,
    context: ResumingContext,
    first: { readonly connection: Connection; readonly rest: Rest },
  ) {
    this.info = first.connection.body.info;
    this.#call = call;
    this.#context = context;
    this.#rest = first.rest;
    this.#connection = first.connection;
  }

  static async open(
    key: string,
    call: BackendGet,
    context: ResumingContext,
  ): Promise<ResumingBody> {
    const rest = context.attempts.rest(call.signal);
    const connection = await connect(key, call, context, rest);
    return new ResumingBody(call, context, { connection, rest });
  }

  async *chunks(): AsyncGenerator<Uint8Array, void, void> {
    const { offset, sizeBytes = Infinity, signal } = this.#call;
    const end = Math.min(offset + sizeBytes, this.info.sizeBytes);
    let position = offset;
    for (;;) {
      try {
        for await (const chunk of this.#live()) {
          position += chunk.length;
          yield chunk;
        }
        if (position >= end) return;
        throw this.#endedEarly(end - position);
      } catch (error) {
        signal.throwIfAborted();
        if (!isPassing(error) || !this.#context.inner.capabilities.rangeReads) throw error;
        await this.close();
        await this.#rest.after(error);
      }
      const call = { offset: position, sizeBytes: end - position, signal };
      this.#connection = await connect(this.info.key, call, this.#context, this.#rest);
      this.#requireSame(this.#connection.body.info);
    }
  }

  async close(): Promise<void> {
    const connection = this.#connection;
    this.#connection = undefined;
    if (connection === undefined) return;
    connection.watchdog[Symbol.dispose]();
    await connection.body.close();
  }

  /** What the present connection delivers. */
  async *#live(): AsyncGenerator<Uint8Array, void, void> {
    if (this.#connection === undefined) return;
    const { body, watchdog } = this.#connection;
    const { attempts, meter } = this.#context;
    const iterator = body.chunks()[Symbol.asyncIterator]();
    for (;;) {
      watchdog.resume();
      watchdog.allow(attempts.idleMs);
      const next = await watchdog.guard(iterator.next());
      // The receiver may take its time.
      watchdog.pause();
      if (next.done === true) return;
      meter.received(next.value.length);
      this.#rest.reset();
      yield next.value;
    }
  }

  #requireSame(found: ObjectInfo): void {
    const { key, sizeBytes, etag, createdAtMs } = this.info;
    const isSame =
      found.sizeBytes === sizeBytes && found.etag === etag && found.createdAtMs === createdAtMs;
    if (isSame) return;
    throw new MillraceError(
      "storage/truncated",
      `${OP} "${key}": it was replaced while it was read`,
      { op: OP, details: { key } },
    );
  }

  #endedEarly(missingBytes: number): MillraceError {
    const { key } = this.info;
    return new MillraceError(
      "storage/truncated",
      `${OP} "${key}": it ended ${missingBytes} bytes early`,
      { op: OP, details: { key, missingBytes } },
    );
  }
}

async function connect(
  key: string,
  call: BackendGet,
  { inner, attempts }: ResumingContext,
  rest: Rest,
): Promise<Connection> {
  for (;;) {
    const watchdog = attempts.watch(OP, call.signal);
    try {
      const body = await watchdog.guard(inner.get(key, { ...call, signal: watchdog.signal }));
      watchdog.pause();
      return { body, watchdog };
    } catch (error) {
      watchdog[Symbol.dispose]();
      call.signal.throwIfAborted();
      if (!isPassing(error)) throw error;
      await rest.after(error);
    }
  }
}
