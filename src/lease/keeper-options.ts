/** What a keeper of a lease is given, and what it tells. */
import type { Clock, Random } from "../base/clock.ts";
import type { Logger } from "../base/logger.ts";
import type { MillraceError } from "../errors.ts";
import type { LeaseCell } from "./contract.ts";
import type { LeaseTiming } from "./lease-rules.ts";
import type { LostReason } from "./lease-state.ts";

export type LeaseKeeperEvent =
  | { readonly type: "acquired"; readonly epoch: number }
  /** Somebody else holds the lease; `sinceMs` is when this process saw it first, Unix ms. */
  | {
      readonly type: "waiting";
      readonly owner: string;
      readonly epoch: number;
      readonly sinceMs: number;
    }
  | { readonly type: "lost"; readonly epoch: number; readonly reason: LostReason }
  | { readonly type: "released" }
  /** The first failure of a row. */
  | { readonly type: "failing"; readonly error: MillraceError }
  | { readonly type: "recovered" };

export interface LeaseKeeperOptions extends LeaseTiming {
  /** Taken over, and closed with the keeper. */
  readonly cell: LeaseCell;
  /** Name of the destination, for messages. */
  readonly name: string;
  /** See `LeaseRecord.owner`. A lock of this machine has to make sure that no second process uses it. */
  readonly owner: string;
  readonly clock: Clock;
  readonly random: Random;
  /** An epoch that was in use and must not come again, from what the caller keeps. Default 0. */
  readonly floorEpoch?: number | undefined;
  /**
   * After so long without `use` the lease is not renewed any more, so that an idle process makes no request. The record
   * stays; the next use renews it, and has the same epoch, unless somebody took it meanwhile. Default: it is always renewed.
   */
  readonly parkAfterMs?: number | undefined;
  /** Default 5 s. */
  readonly requestTimeoutMs?: number | undefined;
  /** Default 5 s. */
  readonly releaseTimeoutMs?: number | undefined;
  readonly logger?: Logger | undefined;
  readonly onEvent?: ((event: LeaseKeeperEvent) => void) | undefined;
}
