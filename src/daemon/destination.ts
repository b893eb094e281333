/** One destination of one database: the store, the shipper, and the loop that runs it. */
import type { Clock, Random } from "../base/clock.ts";
import { toErrorRecord, toMillraceError, type MillraceError } from "../errors.ts";
import type { Txid } from "../base/ids.ts";
import type { Logger } from "../base/logger.ts";
import type { Files } from "../platform/files.ts";
import type { ShipEvent } from "../ship/contract.ts";
import type { LocalLine } from "../ship/local-line.ts";
import { Shipper } from "../ship/shipper.ts";
import type { LtxStore } from "../storage/ltx-store.ts";
import type { DestinationStatus } from "./contract.ts";
import type { LagMarks } from "./lag.ts";
import type { DestinationLease } from "./lease.ts";

export interface DestinationOptions {
  /** The replica URL without credentials. */
  readonly name: string;
  readonly store: LtxStore;
  /** Taken over. */
  readonly lease: DestinationLease;
  readonly line: LocalLine;
  readonly lag: LagMarks;
  readonly files: Files;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  readonly onEvent: (event: ShipEvent) => void;
}

export class Destination implements AsyncDisposable {
  readonly name: string;
  readonly #shipper: Shipper;
  readonly #lease: DestinationLease;
  readonly #lag: LagMarks;
  readonly #end = new AbortController();
  readonly #onEvent: (event: ShipEvent) => void;
  #defect: MillraceError | undefined;
  #loop: Promise<void> | undefined;

  /** The store stays its opener's. */
  constructor(options: DestinationOptions) {
    const { name, lag, onEvent } = options;
    this.name = name;
    this.#lag = lag;
    this.#onEvent = onEvent;
    this.#lease = options.lease;
    this.#shipper = new Shipper({ ...options, permit: options.lease.permit });
  }

  /** Takes the lease, and begins to ship. */
  start(): void {
    this.#lease.start();
    this.#loop ??= this.#shipper.run(this.#end.signal).catch((error: unknown) => {
      this.#defect = toMillraceError(error);
      this.#onEvent({ type: "stopped", error: this.#defect });
    });
  }

  get durableTxid(): Txid {
    return this.#shipper.position().durableTxid;
  }

  /** Why shipping ended for good, if it did. */
  get stoppedBy(): MillraceError | undefined {
    const { state, error } = this.#shipper.position();
    return this.#defect ?? (state === "stopped" ? error : undefined);
  }

  status(): DestinationStatus {
    const { state, durableTxid, pendingFiles, pendingBytes, lastUploadAtMs, error } =
      this.#shipper.position();
    return {
      name: this.name,
      state,
      durableTxid,
      pendingFiles,
      pendingBytes,
      behindSinceMs: this.#lag.behindSinceMs(durableTxid),
      lastUploadAtMs,
      error: error === undefined ? undefined : toErrorRecord(error),
    };
  }

  /** Resolves when everything captured before the call is there; failures are tried again sooner meanwhile. */
  drain(signal: AbortSignal | undefined): Promise<void> {
    return this.#shipper.drain({ signal });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#end.abort();
    await this.#loop;
    await this.#lease[Symbol.asyncDispose]();
    this.#shipper[Symbol.dispose]();
  }
}
