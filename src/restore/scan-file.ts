/**
 * One opened file to pieces of work for the decoding threads: the frames that are wanted, or all of them
 * with the file's checksum.
 */
import { view } from "../base/bytes.ts";
import type { Pgno } from "../base/ids.ts";
import { isMillraceError } from "../errors.ts";
import type { Kernel } from "../kernel/kernel.ts";
import { ltxError, type LtxErrorCode } from "../ltx/errors.ts";
import { FRAME_USE, type FrameSums, type FrameTask, type FrameUse } from "./decode-frames.ts";
import type { DecodePool } from "./decode-pool.ts";
import { FileProof } from "./file-proof.ts";
import type { Patch } from "./patches.ts";
import {
  NO_LIMITS,
  PIECE_LIMITS,
  PieceBuilder,
  type FrameEntry,
  type Piece,
  type PieceLimits,
} from "./pieces.ts";
import { readPageIndex, type PlanFile } from "./plan-file.ts";
import type { RangeReader } from "./range-reader.ts";

export interface ScanContext {
  readonly reader: RangeReader;
  readonly pool: DecodePool;
  /** Joins file checksums; of any page size. Absent: files are not checked as a whole, only what is wanted is read. */
  readonly proofKernel: Kernel | undefined;
}

export interface ScanHandlers {
  /** What is to be done with a page of the file, or what to take instead of it; asked once a page, in order. */
  use(pgno: Pgno): FrameUse | Patch;
  /** Takes over a piece, to be run or kept once. The scan goes on when this resolves. */
  onWork(work: PieceWork): Promise<void>;
}

/** Reads the index of `file` and makes work of its frames. Throws what the index is to blame for. */
export async function scanFile(
  context: ScanContext,
  file: PlanFile,
  handlers: ScanHandlers,
): Promise<void> {
  const { reader, proofKernel } = context;
  const proof = proofKernel === undefined ? undefined : new FileProof(proofKernel, file);
  const onClosing =
    proof === undefined ? undefined : (bytes: Uint8Array) => proof.addClosing(bytes);
  const picker = new FramePicker(
    file.whole === undefined ? PIECE_LIMITS : NO_LIMITS,
    proof !== undefined,
  );
  let isUsed = false;
  const hand = async (pieces: readonly Piece[]): Promise<void> => {
    isUsed ||= pieces.length > 0;
    for (const piece of pieces) await handlers.onWork(new PieceWork(context, file, piece, proof));
  };
  for await (const { pgnos, offsets, sizes } of readPageIndex(reader, file, onClosing)) {
    for (let i = 0; i < pgnos.length; i += 1) {
      const pgno = pgnos[i] ?? 0;
      picker.offer({ pgno, offset: offsets[i] ?? 0, size: sizes[i] ?? 0 }, handlers.use(pgno));
      if (picker.hasReady) await hand(picker.takeReady());
    }
  }
  await hand(picker.finish());
  proof?.seal();
  if (!isUsed) file.whole?.buffer.transfer(0);
}

/** Decides which frames go into pieces: all, or those that are wanted. */
class FramePicker {
  readonly #builder: PieceBuilder;
  readonly #isAll: boolean;
  #ready: Piece[] = [];

  constructor(limits: PieceLimits, isAll: boolean) {
    this.#builder = new PieceBuilder(limits);
    this.#isAll = isAll;
  }

  get hasReady(): boolean {
    return this.#ready.length > 0;
  }

  offer(entry: FrameEntry, use: FrameUse | Patch): void {
    if (typeof use === "object") this.#add(use, FRAME_USE.patch);
    else if (this.#isAll || use !== FRAME_USE.check) this.#add(entry, use);
  }

  /** The pieces that are complete. */
  takeReady(): readonly Piece[] {
    const ready = this.#ready;
    this.#ready = [];
    return ready;
  }

  /** The pieces that are left. */
  finish(): readonly Piece[] {
    const last = this.#builder.finish();
    if (last !== undefined) this.#ready.push(last);
    return this.takeReady();
  }

  #add(entry: FrameEntry, use: FrameUse): void {
    const piece = this.#builder.add(entry, use);
    if (piece !== undefined) this.#ready.push(piece);
  }
}

/** A piece of a file on its way through a decoding thread. */
export class PieceWork {
  readonly #context: ScanContext;
  readonly #file: Pick<PlanFile, "info" | "name" | "path" | "whole">;
  readonly #finish: ((sums: FrameSums) => void) | undefined;
  readonly piece: Piece;

  constructor(context: ScanContext, file: PlanFile, piece: Piece, proof: FileProof | undefined) {
    const { info, name, path, whole } = file;
    this.#context = context;
    this.#file = { info, name, path, whole };
    this.piece = piece;
    this.#finish = proof?.nextPart();
  }

  /** Reads, decodes and writes. Throws `ltx/*` naming file, page and offset, what reading throws, and what writing throws. */
  async run(): Promise<FrameSums> {
    const { name } = this.#file;
    try {
      const { frames, uses } = this.piece;
      const sums = await this.#decode({ frames, uses, keepAt: undefined });
      this.#finish?.(sums);
      return sums;
    } catch (error) {
      if (!isMillraceError(error) || !error.code.startsWith("ltx/") || "file" in error.details)
        throw error;
      throw ltxError(error.code as LtxErrorCode, name, error.message, {
        pgno: Number(error.details["pgno"]),
        offset: Number(error.details["offset"]),
        reason: String(error.details["reason"]),
      });
    }
  }

  /** Reads, and puts the piece into the scratch file as it is. */
  keep(keepAt: number): Promise<FrameSums> {
    return this.#decode({ frames: new Uint32Array(), uses: new Uint8Array(), keepAt });
  }

  async #decode(what: Pick<FrameTask, "frames" | "uses" | "keepAt">): Promise<FrameSums> {
    const { pool, reader } = this.#context;
    const { info, name, path, whole } = this.#file;
    const { offset, sizeBytes } = this.piece;
    const task = { ...what, fileOffset: offset, sizeBytes };
    if (whole !== undefined) {
      const source = view(whole, offset, sizeBytes, { code: "ltx/truncated", what: name });
      return pool.decode({ ...task, source });
    }
    if (path !== undefined) {
      try {
        return await pool.decode({ ...task, source: path });
      } catch (error) {
        // The store can say what is wrong with the file, and may still deliver it.
        if (!isMillraceError(error, "storage/unavailable")) throw error;
      }
    }
    return pool.decode({ ...task, source: await reader.read(info, offset, sizeBytes) });
  }
}
