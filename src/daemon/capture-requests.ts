/**
 * What destinations ask of capture, carried to its thread. Nobody waits for the answers, but a request must not get lost:
 * one that fails in passing is made again.
 */
import type { Clock } from "../base/clock.ts";
import type { Txid } from "../base/ids.ts";
import type { CaptureHandle } from "../capture/client.ts";
import { toMillraceError, type MillraceError } from "../errors.ts";

const AGAIN_MS = 1000;

export interface CaptureRequestsOptions {
  readonly handle: CaptureHandle;
  readonly clock: Clock;
  /** A request failed and is made again. */
  readonly onFailing: (error: MillraceError) => void;
  /** Capture cannot go on. */
  readonly onDefect: (error: MillraceError) => void;
}

export class CaptureRequests implements Disposable {
  readonly #options: CaptureRequestsOptions;
  readonly #timers = new Set<Disposable>();

  constructor(options: CaptureRequestsOptions) {
    this.#options = options;
  }

  /** A snapshot of the present state. */
  boundary(reason: string): void {
    this.#ask(() => this.#options.handle.requireBoundary(reason), { repeat: true });
  }

  /** Go on after `txid`, with a snapshot as well if `snapshotNeeded`. */
  move(txid: Txid, options: { readonly snapshotNeeded: boolean }): void {
    const request = { txid, snapshot: options.snapshotNeeded };
    this.#ask(() => this.#options.handle.moveTo(request), { repeat: true });
  }

  /** Local files up to `txid` are needed by nobody; what fails here is made good by the next release. */
  release(txid: Txid): void {
    this.#ask(() => this.#options.handle.release(txid), { repeat: false });
  }

  #ask(request: () => Promise<unknown>, options: { readonly repeat: boolean }): void {
    const { clock, onFailing, onDefect } = this.#options;
    request().catch((error: unknown) => {
      const known = toMillraceError(error);
      // At the end capture is gone before shipping: the next start does what is left.
      if (known.code === "daemon/closed") return;
      if (known.retry === "never") return onDefect(known);
      if (!options.repeat) return;
      onFailing(known);
      const timer = clock.schedule(AGAIN_MS, () => {
        this.#timers.delete(timer);
        this.#ask(request, options);
      });
      this.#timers.add(timer);
    });
  }

  [Symbol.dispose](): void {
    for (const timer of this.#timers) timer[Symbol.dispose]();
    this.#timers.clear();
  }
}
