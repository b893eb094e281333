/** What the library asks its child process and what that answers. Crosses by structured clone, so `bigint` survives. */
import type { Txid } from "../base/ids.ts";
import type { ErrorRecord } from "../errors.ts";
import type {
  DatabaseOptions,
  DatabaseResult,
  DatabaseStatus,
  ReplicationEvent,
} from "./contract.ts";

/** One entry a call. */
export interface ChildCalls {
  /** First of all, once: begins to replicate; answers when the database was captured for the first time. */
  open: { readonly argument: DatabaseOptions; readonly result: undefined };
  /** Answers when everything committed before the call is in every destination. */
  durable: { readonly argument: undefined; readonly result: Txid };
  status: { readonly argument: undefined; readonly result: DatabaseStatus };
  /** Final sync; then the child ends. */
  close: {
    readonly argument: { readonly timeoutMs: number | undefined };
    readonly result: DatabaseResult;
  };
}

export type ChildCallName = keyof ChildCalls;

export type ParentMessage =
  | {
      readonly [Name in ChildCallName]: {
        readonly type: "call";
        readonly id: number;
        readonly name: Name;
        readonly argument: ChildCalls[Name]["argument"];
      };
    }[ChildCallName]
  /** Nobody waits for the call any more. */
  | { readonly type: "cancel"; readonly id: number };

export type ChildMessage =
  | { readonly type: "event"; readonly event: ReplicationEvent }
  | {
      readonly type: "result";
      readonly id: number;
      readonly value: ChildCalls[ChildCallName]["result"];
    }
  | { readonly type: "error"; readonly id: number; readonly error: ErrorRecord };
