/**
 * The life of a store: open, closing, closed; and of everything that runs inside it.
 *
 * Every call and every unfinished iteration is a resource of the store. Closing refuses new calls, aborts
 * the running ones with `storage/closed`, waits until they have settled, and only then closes the backend.
 */
import { MillraceError } from "../errors.ts";

export interface IterateOptions<T> {
  readonly start: (signal: AbortSignal) => AsyncIterable<T>;
  readonly release?: (() => Promise<void>) | undefined;
}

interface Resource {
  /** Aborts with `storage/closed` and resolves when nothing runs any more. Never rejects. */
  close(): Promise<void>;
}

export class CallTracker {
  readonly #type: string;
  readonly #resources = new Set<Resource>();
  #closing: Promise<void> | undefined;

  constructor(type: string) {
    this.#type = type;
  }

  /** Throws `storage/closed` unless open, and `signal.reason` when aborted already. */
  check(op: string, signal: AbortSignal | undefined): void {
    if (this.#closing !== undefined) throw this.closedError(op);
    signal?.throwIfAborted();
  }

  closedError(op: string): MillraceError {
    return new MillraceError("storage/closed", `${op}: the ${this.#type} store is closed`, { op });
  }

  /** Runs one call that ends with its promise. */
  async call<T>(
    op: string,
    signal: AbortSignal | undefined,
    run: (signal: AbortSignal) => Promise<T>,
  ): Promise<T> {
    const link = new SignalLink(signal);
    try {
      return await this.linked(op, link, run);
    } finally {
      link.release();
    }
  }

  /** Like `call`, under a link that the caller made and releases. */
  async linked<T>(
    op: string,
    link: SignalLink,
    run: (signal: AbortSignal) => Promise<T>,
  ): Promise<T> {
    const { promise: settled, resolve: settle } = Promise.withResolvers<void>();
    const resource = {
      close: (): Promise<void> => {
        link.abort(this.closedError(op));
        return settled;
      },
    };
    this.#resources.add(resource);
    try {
      return await run(link.signal);
    } catch (error) {
      throw link.cause(error);
    } finally {
      this.#resources.delete(resource);
      settle();
    }
  }

  /**
   * An iteration whose source is started by the first `next` and closed when it is left in any way;
   * then `release` runs, once.
   */
  iterate<T>(op: string, link: SignalLink, options: IterateOptions<T>): TrackedIterator<T> {
    if (this.#closing !== undefined) link.abort(this.closedError(op));
    const iterator = new TrackedIterator(link, this.closedError(op), {
      start: options.start,
      release: async () => {
        this.#resources.delete(iterator);
        await options.release?.();
      },
    });
    this.#resources.add(iterator);
    return iterator;
  }

  /** Idempotent; every caller waits for the same end. */
  close(finish: () => Promise<void>): Promise<void> {
    this.#closing ??= (async () => {
      await Promise.all([...this.#resources].map((resource) => resource.close()));
      await finish();
    })();
    return this.#closing;
  }
}

/** A signal that follows the caller's and can be aborted by the store, without leaking listeners. */
export class SignalLink {
  readonly #controller = new AbortController();
  readonly #outer: AbortSignal | undefined;
  readonly #onAbort = (): void => this.#controller.abort(this.#outer?.reason);

  constructor(outer: AbortSignal | undefined) {
    this.#outer = outer;
    if (outer?.aborted === true) this.#onAbort();
    else outer?.addEventListener("abort", this.#onAbort, { once: true });
  }

  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  abort(reason: MillraceError): void {
    this.#controller.abort(reason);
  }

  release(): void {
    this.#outer?.removeEventListener("abort", this.#onAbort);
  }

  /** The error to report: a library's own abort error stands for the reason of the abort. */
  cause(error: unknown): unknown {
    const isAbort = error instanceof Error && error.name === "AbortError";
    return isAbort && this.signal.aborted ? this.signal.reason : error;
  }
}

export class TrackedIterator<T> implements AsyncIterator<T, undefined>, Resource {
  readonly #link: SignalLink;
  readonly #closedError: MillraceError;
  readonly #options: IterateOptions<T>;
  #inner: AsyncIterator<T> | undefined;
  #ended: Promise<void> | undefined;

  constructor(link: SignalLink, closedError: MillraceError, options: IterateOptions<T>) {
    this.#link = link;
    this.#closedError = closedError;
    this.#options = options;
  }

  async next(): Promise<IteratorResult<T, undefined>> {
    const { signal } = this.#link;
    try {
      // Also after the end: a store that closed under an iteration must not look like the end of the data.
      signal.throwIfAborted();
      if (this.#ended !== undefined) return { done: true, value: undefined };
      this.#inner ??= this.#options.start(signal)[Symbol.asyncIterator]();
      const result = await this.#inner.next();
      if (result.done !== true) return { done: false, value: result.value };
      await this.#stop();
      return { done: true, value: undefined };
    } catch (error) {
      await this.#stop();
      throw this.#link.cause(error);
    }
  }

  async return(): Promise<IteratorReturnResult<undefined>> {
    await this.#stop();
    return { done: true, value: undefined };
  }

  async close(): Promise<void> {
    this.#link.abort(this.#closedError);
    await this.#stop();
  }

  /** Closes the source, then releases. */
  #stop(): Promise<void> {
    this.#ended ??= (async () => {
      this.#link.release();
      // The iteration is over, and its end or its failure is told: what closing it says changes neither.
      await this.#inner?.return?.().catch(() => {});
      await this.#options.release?.().catch(() => {});
    })();
    return this.#ended;
  }
}
