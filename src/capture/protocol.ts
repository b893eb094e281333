/** What the capture thread is asked and what it answers: one entry a call. All of it survives structured clone. */
import type { Txid } from "../base/ids.ts";
import type { ErrorRecord } from "../errors.ts";
import type { CaptureEvent, CaptureOptions, CaptureStatus, MoveRequest } from "./contract.ts";

export interface LocalFileRecord {
  readonly level: number;
  readonly minTxid: Txid;
  readonly maxTxid: Txid;
}

/** `key` names the database: its path. */
export interface CaptureCalls {
  add: {
    readonly argument: CaptureOptions;
    readonly result: { readonly txid: Txid; readonly files: readonly LocalFileRecord[] };
  };
  /** Captures everything committed before the call; answers the TXID that holds it. */
  sync: { readonly argument: undefined; readonly result: Txid };
  status: { readonly argument: undefined; readonly result: CaptureStatus };
  requireBoundary: { readonly argument: string; readonly result: undefined };
  moveTo: { readonly argument: MoveRequest; readonly result: undefined };
  release: { readonly argument: Txid; readonly result: undefined };
  /** Captures once more and lets go of the database. */
  remove: { readonly argument: undefined; readonly result: Txid };
}

export type CallName = keyof CaptureCalls;

export interface CallMessage<Name extends CallName = CallName> {
  readonly id: number;
  readonly key: string;
  readonly name: Name;
  readonly argument: CaptureCalls[Name]["argument"];
}

export type WorkerMessage =
  | { readonly type: "event"; readonly key: string; readonly event: CaptureEvent }
  | {
      readonly type: "result";
      readonly id: number;
      readonly value: CaptureCalls[CallName]["result"];
    }
  | { readonly type: "error"; readonly id: number; readonly error: ErrorRecord };

export interface WorkerSetup {
  /** URL of a module exporting `files: Files`, for fault injection; the real file system by default. */
  readonly filesModule?: string | undefined;
}
