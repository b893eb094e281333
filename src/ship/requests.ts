/** Asks capture for the file without which shipping cannot go on: once per need, not once per step. */
import { toTxid, type Txid } from "../base/ids.ts";
import type { Logger } from "../base/logger.ts";
import type { ShipEvent } from "./contract.ts";
import type { Need } from "./reconcile.ts";

export interface RequestsOptions {
  readonly line: { readonly positionTxid: Txid };
  readonly logger: Logger;
  readonly emit: (event: ShipEvent) => void;
}

export class Requests {
  readonly #options: RequestsOptions;
  #need: Need | undefined;
  /** Identifies the request that was last made. */
  #made: string | undefined;

  constructor(options: RequestsOptions) {
    this.#options = options;
  }

  /** The open need. */
  get need(): Need | undefined {
    return this.#need;
  }

  /** What was provided is of no use: the next `set` asks again. */
  repeat(): void {
    this.#made = undefined;
  }

  /** Makes a request unless it was made for this need; `undefined` when nothing is needed any more. */
  set(need: Need | undefined): void {
    this.#need = need;
    if (need === undefined) {
      this.#made = undefined;
      return;
    }
    const { line, logger, emit } = this.#options;
    const { reason, minTxid } = need;
    // Capture makes this snapshot by itself before the next file; only its absence is worth a request.
    if (reason === "page-size-changed" && line.positionTxid <= minTxid) return;
    const request = `${reason} ${minTxid}`;
    if (request === this.#made) return;
    this.#made = request;
    const event = requestFor(need, line.positionTxid);
    logger.log("warn", "shipping needs a new base", { request: event.type, reason, minTxid });
    emit(event);
  }
}

/** A line that has not reached what is needed must first be moved there. */
function requestFor(need: Need, positionTxid: Txid): ShipEvent {
  const { reason, minTxid, wholeFileTxid } = need;
  if (minTxid <= positionTxid) return { type: "boundary-needed", reason, minTxid };
  return {
    type: "remote-ahead",
    remoteMaxTxid: toTxid(minTxid - 1n),
    localMaxTxid: positionTxid,
    snapshotNeeded: wholeFileTxid === undefined,
  };
}
