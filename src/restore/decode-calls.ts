/** What the restore's main thread asks of a decoding thread: one type map for both sides. */
import type { ErrorRecord } from "../errors.ts";
import type { FrameSums, FrameTask } from "./decode-frames.ts";

/** Arguments and results of every call. `FrameTask.bytes` is transferred: it belongs to the thread from then on. */
export interface DecodeCalls {
  /** Sets page size and output, in place of earlier ones; without a path nothing is written. Before all others. */
  open: {
    readonly args: { readonly pageSize: number; readonly path: string | undefined };
    readonly result: undefined;
  };
  decode: { readonly args: FrameTask; readonly result: FrameSums };
  /** Makes everything written to the output so far durable, by whichever thread. */
  sync: { readonly args: undefined; readonly result: undefined };
}

export type DecodeMethod = keyof DecodeCalls;

export type DecodeRequest = {
  [M in DecodeMethod]: {
    readonly id: number;
    readonly method: M;
    readonly args: DecodeCalls[M]["args"];
  };
}[DecodeMethod];

export type DecodeReply =
  | { readonly id: number; readonly result: DecodeCalls[DecodeMethod]["result"] }
  | { readonly id: number; readonly error: ErrorRecord };
