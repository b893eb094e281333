/**
 * One opened file through the decoding threads: the frames that are wanted, or all of them with the file's
 * checksum. What is done with the pages is the threads' business.
 */
import { view } from "../base/bytes.ts";
import type { Pgno } from "../base/ids.ts";
import { isMillraceError } from "../errors.ts";
import type { Kernel } from "../kernel/kernel.ts";
import { ltxError, type LtxErrorCode } from "../ltx/errors.ts";
import type { BoundedJobs } from "./bounded-jobs.ts";
import type { FrameSums } from "./decode-frames.ts";
import type { DecodePool } from "./decode-pool.ts";
import { FileProof } from "./file-proof.ts";
import { NO_LIMITS, PIECE_LIMITS, PieceBuilder, type Piece, type PieceLimits } from "./pieces.ts";
import { readPageIndex, type PlanFile } from "./plan-file.ts";
import type { RangeReader } from "./range-reader.ts";

export interface ScanContext {
  readonly reader: RangeReader;
  readonly pool: DecodePool;
  readonly jobs: BoundedJobs;
  /** Joins file checksums; of any page size. Absent: files are not checked as a whole, only what is wanted is read. */
  readonly proofKernel: Kernel | undefined;
  readonly limits?: PieceLimits | undefined;
}

/**
 * Reads the index of `file` and starts jobs for its frames; `isWanted` is asked once a page, in order, and says
 * whether the page is to be written. `onSums` hears what each job adds up to. Returns when all jobs are started;
 * failures of jobs appear in `context.jobs`. Throws what the index is to blame for.
 */
export async function scanFile(
  context: ScanContext,
  file: PlanFile,
  handlers: { isWanted(pgno: Pgno): boolean; onSums(sums: FrameSums): void },
): Promise<void> {
  const { reader, proofKernel } = context;
  const proof = proofKernel === undefined ? undefined : new FileProof(proofKernel, file);
  const onClosing =
    proof === undefined ? undefined : (bytes: Uint8Array) => proof.addClosing(bytes);
  const builder = new PieceBuilder(
    file.whole === undefined ? (context.limits ?? PIECE_LIMITS) : NO_LIMITS,
  );
  const start = async (piece: Piece): Promise<void> => {
    const finish = proof?.nextPart();
    await context.jobs.start(piece.sizeBytes, async () => {
      const sums = await decodePiece(context, file, piece);
      handlers.onSums(sums);
      finish?.(sums);
    });
  };
  for await (const { pgnos, offsets, sizes } of readPageIndex(reader, file, onClosing)) {
    for (let i = 0; i < pgnos.length; i += 1) {
      const pgno = pgnos[i] ?? 0;
      const isWanted = handlers.isWanted(pgno);
      if (!isWanted && proof === undefined) continue;
      const piece = builder.add({ pgno, offset: offsets[i] ?? 0, size: sizes[i] ?? 0 }, isWanted);
      if (piece !== undefined) await start(piece);
    }
  }
  const last = builder.finish();
  if (last !== undefined) await start(last);
  proof?.seal();
}

async function decodePiece(context: ScanContext, file: PlanFile, piece: Piece): Promise<FrameSums> {
  const { offset, sizeBytes, frames, taken } = piece;
  const bytes =
    file.whole === undefined
      ? await context.reader.read(file.info, offset, sizeBytes)
      : view(file.whole, offset, sizeBytes, { code: "ltx/truncated", what: file.name });
  try {
    return await context.pool.decode({
      bytes,
      fileOffset: offset,
      frames,
      taken: taken.includes(0) ? taken : undefined,
    });
  } catch (error) {
    if (!isMillraceError(error) || !error.code.startsWith("ltx/")) throw error;
    throw ltxError(error.code as LtxErrorCode, file.name, error.message, {
      pgno: Number(error.details["pgno"]),
      offset: Number(error.details["offset"]),
      reason: String(error.details["reason"]),
    });
  }
}
