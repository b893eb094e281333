/**
 * Where the last capture ended in a WAL, and whether a WAL found later is still the one that it points into [C4].
 */
import type { Kernel } from "../kernel/kernel.ts";
import { frameSize, WAL_HEADER_SIZE, walSize } from "../wal/constants.ts";
import { sameGeneration, type WalHeader } from "../wal/header.ts";
import { startOfGeneration, type WalPosition } from "../wal/scan.ts";
import type { WalMark } from "./state.ts";
import type { WalFile } from "./wal-file.ts";

export interface Mark {
  readonly header: WalHeader;
  readonly position: WalPosition;
}

/** The form in which a mark is kept on disk. */
export function recordMark({ header, position }: Mark): WalMark {
  const { salt1, salt2 } = header;
  return { salt1, salt2, offset: position.offset, s0: position.sum.s0, s1: position.sum.s1 };
}

/**
 * Finds the place to go on from after `recorded`, or says why there is none. There is one when the WAL is of the same
 * generation, SQLite holds everything up to the recorded place for committed, and the frame before it carries the
 * recorded cumulative checksum; or when the WAL is of the direct successor, with the recorded frame still in place
 * and a whole frame of neither generation after it, so that nothing had followed it (docs/decisions/0002-wal-generations.md).
 */
export function findMark(
  wal: WalFile,
  recorded: WalMark,
  options: { readonly kernel: Kernel; readonly committedFrames: number },
): Mark | string {
  const { pageSize } = options.kernel;
  const header = wal.header();
  if (header === undefined) return "the WAL is gone or empty";
  if (header.pageSize !== pageSize) return "the WAL has another page size";
  const { offset } = recorded;
  const sum = { s0: recorded.s0, s1: recorded.s1 };
  const before = wal.frameAt(offset - frameSize(pageSize), pageSize);
  const intact =
    before !== undefined &&
    sameGeneration(before, recorded) &&
    before.sum.s0 === sum.s0 &&
    before.sum.s1 === sum.s1;
  if (sameGeneration(header, recorded)) {
    if (offset === WAL_HEADER_SIZE) return { header, position: startOfGeneration(header) };
    const reached = walSize(options.committedFrames, pageSize) >= offset;
    if (intact && reached) return { header, position: { offset, sum } };
    return "the WAL was rewritten before the last captured frame";
  }
  const next = wal.frameAt(offset, pageSize);
  const successor = header.salt1 === (recorded.salt1 + 1) >>> 0;
  if (intact && successor && next !== undefined && !sameGeneration(next, recorded)) {
    return { header, position: startOfGeneration(header) };
  }
  return "the WAL was restarted while Millrace was not running";
}
