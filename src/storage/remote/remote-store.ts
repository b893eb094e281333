/**
 * What every store over a network needs around its backend: calls that make no progress are ended, failures that pass are
 * tried again, readings that broke off go on where they were.
 *
 * Repeated is only what cannot do harm twice. A conditional put whose answer was lost may have happened: that is for the
 * caller to find out, who knows what it wanted to write. Backends make every request once: their libraries' own retries are off.
 */
import type { Clock, Random } from "../../base/clock.ts";
import type { Logger } from "../../base/logger.ts";
import type {
  BackendBody,
  BackendCall,
  BackendGet,
  BackendList,
  BackendPut,
  BackendSource,
  StoreBackend,
} from "../backend.ts";
import type { ObjectInfo, ObjectStore, StoreCapabilities } from "../contract.ts";
import { openStore } from "../open-store.ts";
import { Attempts, hadNoEffect, isPassing, type RemoteOptions } from "./attempts.ts";
import type { RequestMeter } from "../meter.ts";
import { ResumingBody } from "./resuming-body.ts";
import type { Watchdog } from "./watchdog.ts";

/** Slowest line over which an upload counts as moving. */
export const MIN_BYTES_PER_SECOND: number = 16 * 1024;
/** Keys that one attempt deletes. */
const DELETE_BATCH = 1000;

/** What a backend gets from outside when it is opened. */
export interface RemoteContext {
  readonly clock: Clock;
  readonly random: Random;
  /** Where credentials are looked for. */
  readonly env: Readonly<Record<string, string | undefined>>;
  /** `write` allows to clean up after writers that died. Default `read`. */
  readonly access?: "read" | "write" | undefined;
  /** Told what a user should know, but need not act upon. Default: nobody. */
  readonly log?: Logger | undefined;
}

/** Makes a store of a backend that asks a server for everything. The store owns the backend and closes it. */
export function openRemoteStore(backend: StoreBackend, options: RemoteOptions): ObjectStore {
  return openStore(new RemoteBackend(backend, new Attempts(options), options.meter));
}

class RemoteBackend implements StoreBackend {
  readonly #inner: StoreBackend;
  readonly #attempts: Attempts;
  readonly meter: RequestMeter;

  constructor(inner: StoreBackend, attempts: Attempts, meter: RequestMeter) {
    this.#inner = inner;
    this.#attempts = attempts;
    this.meter = meter;
  }

  get type(): string {
    return this.#inner.type;
  }

  get capabilities(): StoreCapabilities {
    return this.#inner.capabilities;
  }

  async get(key: string, call: BackendGet): Promise<BackendBody> {
    return ResumingBody.open(key, call, {
      inner: this.#inner,
      attempts: this.#attempts,
      meter: this.meter,
    });
  }

  head(key: string, { signal }: BackendCall): Promise<ObjectInfo> {
    return this.#attempts.run("head object", signal, (watchdog) =>
      this.#inner.head(key, { signal: watchdog.signal }),
    );
  }

  put(key: string, source: BackendSource, call: BackendPut): Promise<ObjectInfo> {
    const isConditional = call.ifAbsent || call.ifMatch !== undefined;
    return this.#attempts.run(
      "put object",
      call.signal,
      async (watchdog) => {
        const guarded = this.#paced(source, watchdog);
        const info = await this.#inner.put(key, guarded, { ...call, signal: watchdog.signal });
        this.meter.sent(source.sizeBytes);
        return info;
      },
      isConditional ? hadNoEffect : isPassing,
    );
  }

  /** Goes on after the last key that came. */
  async *list(prefix: string, call: BackendList): AsyncGenerator<ObjectInfo, void, void> {
    const rest = this.#attempts.rest(call.signal);
    let { startAfter } = call;
    for (;;) {
      using watchdog = this.#attempts.watch("list objects", call.signal);
      const items = this.#inner.list(prefix, { startAfter, signal: watchdog.signal });
      const iterator = items[Symbol.asyncIterator]();
      try {
        for (;;) {
          const next = await watchdog.guard(iterator.next());
          if (next.done === true) return;
          rest.reset();
          startAfter = next.value.key;
          // The receiver may take its time.
          watchdog.pause();
          yield next.value;
          watchdog.resume();
          watchdog.allow(this.#attempts.idleMs);
        }
      } catch (error) {
        call.signal.throwIfAborted();
        if (!isPassing(error)) throw error;
        await rest.after(error);
      } finally {
        // Frees what a page holds; the listing is over, whatever it says to that.
        iterator.return?.().catch(() => {});
      }
    }
  }

  async delete(keys: readonly string[], { signal }: BackendCall): Promise<void> {
    for (let start = 0; start < keys.length; start += DELETE_BATCH) {
      const batch = keys.slice(start, start + DELETE_BATCH);
      await this.#attempts.run("delete objects", signal, (watchdog) =>
        this.#inner.delete(batch, { signal: watchdog.signal }),
      );
    }
  }

  close(): Promise<void> {
    return this.#inner.close();
  }

  /** Time for what was taken to go over the line; none passes while the source itself is waited for. */
  #paced(source: BackendSource, watchdog: Watchdog): BackendSource {
    const timeFor = (bytes: number): number => (bytes / MIN_BYTES_PER_SECOND) * 1000;
    if (source.bytes !== undefined) {
      watchdog.allow(this.#attempts.idleMs + timeFor(source.sizeBytes));
      return source;
    }
    return {
      ...source,
      open: async function* () {
        const iterator = source.open()[Symbol.asyncIterator]();
        try {
          for (;;) {
            watchdog.pause();
            const next = await iterator.next();
            watchdog.resume(next.done === true ? 0 : timeFor(next.value.length));
            if (next.done === true) return;
            yield next.value;
          }
        } finally {
          await iterator.return?.();
        }
      },
    };
  }
}
