/** What the restore's main thread asks of its other threads: one type map for both sides. Messages are lists. */
import type { ErrorRecord } from "../errors.ts";
import type { CrcRegister } from "../kernel/kernel.ts";
import type { FrameSums, FrameTask } from "./decode-frames.ts";
import type { LocalRange } from "./local-file.ts";
import type { PageRun } from "./page-set.ts";

/** Arguments and results of every call. Byte arrays are transferred: they belong to the other side from then on. */
export interface DecodeCalls {
  /**
   * Sets page size and output, in place of earlier ones; without a path nothing is written. Before `decode`, which
   * adds up checksums if `hashed`.
   */
  open: {
    readonly args: {
      readonly pageSize: number;
      readonly path: string | undefined;
      /** Scratch file for frames that are kept; may be unlinked once this has answered. */
      readonly scratch: string | undefined;
      readonly hashed: boolean;
    };
    readonly result: undefined;
  };
  decode: { readonly args: FrameTask; readonly result: FrameSums };
  /** XOR of the checksums of a run of pages as they are in the output now; bit 63 means nothing. */
  sum: { readonly args: PageRun; readonly result: CrcRegister };
  /** Ranges of files of this machine; `undefined` for those that cannot be had. */
  read: {
    readonly args: readonly LocalRange[];
    readonly result: readonly (Uint8Array<ArrayBuffer> | undefined)[];
  };
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
