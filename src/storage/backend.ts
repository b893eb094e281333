/**
 * What a storage backend implements: the contract without its checks.
 *
 * `openStore` wraps a backend into the public `ObjectStore`. By the time a backend is called, the store is
 * open, keys and options are valid, the capability that the call needs is there, and the signal is not
 * aborted. A backend still has to watch the signal between its own steps and to reject with `signal.reason`
 * (or an `AbortError`, which the wrapper replaces by the reason).
 */
import type { ObjectInfo, ObjectKey, StoreCapabilities } from "./contract.ts";
import type { RequestMeter } from "./meter.ts";

export interface BackendCall {
  /** Aborted by the caller or when the store closes. */
  readonly signal: AbortSignal;
}

export interface BackendGet extends BackendCall {
  readonly offset: number;
  /** Bytes wanted; `undefined` means to the end. */
  readonly sizeBytes: number | undefined;
}

export interface BackendPut extends BackendCall {
  readonly ifAbsent: boolean;
  readonly ifMatch: string | undefined;
  /** Unix ms; `undefined` means the store's own time. */
  readonly createdAtMs: number | undefined;
}

export interface BackendList extends BackendCall {
  /** Only keys after this one; empty for all. */
  readonly startAfter: string;
}

/** Bytes to store. The wrapper checks the size and the signal while the chunks pass. */
export interface BackendSource {
  readonly sizeBytes: number;
  /** The whole content when it is in memory already; borrowed until the put settles. */
  readonly bytes: Uint8Array | undefined;
  /** Chunks in order, none empty; throws instead of ending when the size is wrong. May be opened again. */
  open(): AsyncIterable<Uint8Array>;
}

/** One read in progress. Exactly one of `chunks` and `bytes` is called, at most once. */
export interface BackendBody {
  readonly info: ObjectInfo;
  /** The wanted range in order; every chunk belongs to the receiver. */
  chunks(): AsyncIterable<Uint8Array>;
  /** The wanted range in one buffer, where the backend has a shorter way than collecting chunks. */
  bytes?(): Promise<Uint8Array>;
  /** Releases whatever the read holds. Idempotent; called when the read ended, failed or was given up. */
  close(): Promise<void>;
}

export interface StoreBackend {
  readonly type: string;
  readonly capabilities: StoreCapabilities;
  /** See `ObjectStore.usage`. */
  readonly meter?: RequestMeter | undefined;
  get(key: ObjectKey, call: BackendGet): Promise<BackendBody>;
  head(key: ObjectKey, call: BackendCall): Promise<ObjectInfo>;
  put(key: ObjectKey, source: BackendSource, call: BackendPut): Promise<ObjectInfo>;
  list(prefix: string, call: BackendList): AsyncIterable<ObjectInfo>;
  /** See `ObjectStore.localPath`. */
  localPath?(key: ObjectKey): string;
  /** `keys` is not empty and holds no key twice. */
  delete(keys: readonly ObjectKey[], call: BackendCall): Promise<void>;
  /** Called once, after every call settled and every read was closed. */
  close(): Promise<void>;
}
