/** Promises that wait for a TXID to become durable. */
import { NO_TXID, type Txid } from "../base/ids.ts";

interface Waiter {
  readonly txid: Txid;
  readonly resolve: () => void;
  readonly reject: (reason: Error) => void;
}

export class TxidWaiters {
  readonly #waiters = new Set<Waiter>();
  #reached: Txid = NO_TXID;
  #failure: Error | undefined;

  get reached(): Txid {
    return this.#reached;
  }

  /** Sets the TXID that is durable now, which a restarted line may have lower than before. */
  set(txid: Txid): void {
    this.#reached = txid;
    for (const waiter of this.#waiters) {
      if (waiter.txid > txid) continue;
      this.#waiters.delete(waiter);
      waiter.resolve();
    }
  }

  /** Fails everybody who waits or will wait for what is not durable yet. */
  fail(error: Error): void {
    this.#failure = error;
    for (const waiter of this.#waiters) waiter.reject(error);
    this.#waiters.clear();
  }

  /** Rejects with `signal.reason` when aborted, leaving nothing behind. */
  wait(txid: Txid, options: { readonly signal?: AbortSignal | undefined } = {}): Promise<void> {
    const { signal } = options;
    if (txid <= this.#reached) return Promise.resolve();
    if (this.#failure !== undefined) return Promise.reject(this.#failure);
    if (signal?.aborted === true) return Promise.reject(signal.reason as Error);
    return new Promise((resolve, reject) => {
      const settle = (): void => signal?.removeEventListener("abort", onAbort);
      const waiter: Waiter = {
        txid,
        resolve: () => (settle(), resolve()),
        reject: (reason) => (settle(), reject(reason)),
      };
      const onAbort = (): void => {
        this.#waiters.delete(waiter);
        waiter.reject(signal?.reason as Error);
      };
      this.#waiters.add(waiter);
      signal?.addEventListener("abort", onAbort, { once: true });
    });
  }
}
