/** Frames that were compressed before and are copied from one file to another. */
import { ByteReader, view } from "../base/bytes.ts";
import type { Kernel } from "../kernel/kernel.ts";
import { PAGE_FLAG_SIZE, PAGE_HEADER_SIZE, PAYLOAD_SIZE_SIZE } from "./constants.ts";

/** Frames one after the other. The tables have one row a frame. */
export interface FrameBatch {
  readonly pgnos: Uint32Array;
  readonly frames: Uint8Array;
  /** Bytes of each frame, page header included. */
  readonly frameSizes: Uint32Array;
  /** CRC of each bare page from register 0, not inverted: a decoder's are right. */
  readonly pageCrcs: BigUint64Array;
}

const FRAMES = { code: "ltx/misuse", what: "frames to copy" } as const;

/** Says what keeps a batch from being copied, if anything. */
export function findBatchProblem(batch: FrameBatch, kernel: Kernel): string | undefined {
  const count = batch.pgnos.length;
  const { length: sizeBytes } = batch.frames;
  if (count > kernel.batchPages || sizeBytes > kernel.input.length) {
    return `${count} frames of ${sizeBytes} bytes, wanted at most a batch`;
  }
  if (batch.frameSizes.length !== count || batch.pageCrcs.length !== count) {
    return `tables of different lengths for ${count} frames`;
  }
  let offset = 0;
  for (let i = 0; i < count; i++) {
    const size = batch.frameSizes[i] ?? 0;
    const problem = findFrameProblem(view(batch.frames, offset, size, FRAMES), batch.pgnos[i] ?? 0);
    if (problem !== undefined) return problem;
    offset += size;
  }
  return offset === sizeBytes
    ? undefined
    : `${sizeBytes} bytes of frames whose sizes add up to ${offset}`;
}

function findFrameProblem(frame: Uint8Array, pgno: number): string | undefined {
  const reader = new ByteReader(frame, FRAMES);
  const found = reader.u32();
  if (found !== pgno) return `frame of page ${found}, wanted page ${pgno}`;
  const flags = reader.u16();
  if (flags === 0) return undefined;
  if (flags !== PAGE_FLAG_SIZE) return `frame of page ${pgno} with flags ${flags}`;
  const size = PAGE_HEADER_SIZE + PAYLOAD_SIZE_SIZE + reader.u32();
  if (size === frame.length) return undefined;
  return `frame of page ${pgno} in ${frame.length} bytes, wanted ${size}`;
}

/** Page number of a frame. */
export function pgnoOfFrame(frame: Uint8Array): number {
  return new ByteReader(frame, FRAMES).u32();
}

/**
 * Bytes that the file checksum covers for these frames: headers, size fields and uncompressed
 * pages.
 */
export function hashedBytes(batch: FrameBatch, pageSize: number): number {
  let total = 0;
  let offset = 0;
  for (const size of batch.frameSizes) {
    const hasSize = batch.frames[offset + PAGE_HEADER_SIZE - 1] === PAGE_FLAG_SIZE;
    total += PAGE_HEADER_SIZE + (hasSize ? PAYLOAD_SIZE_SIZE : 0) + pageSize;
    offset += size;
  }
  return total;
}
