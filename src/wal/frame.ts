/** One frame header of a WAL. Source: sqlite.org/fileformat2.html section 4.1. */
import { FRAME_HEADER_FIELDS as FIELD } from "./constants.ts";
import type { WalSum } from "./header.ts";

export interface FrameHeader {
  readonly pgno: number;
  /** Database size in pages after this transaction; 0 unless the frame commits one. */
  readonly commit: number;
  readonly salt1: number;
  readonly salt2: number;
  /** Cumulative checksum up to and including this frame. */
  readonly sum: WalSum;
}

/** Reads the 24 header bytes at the start of `bytes`; nothing is verified. */
export function parseFrameHeader(bytes: Uint8Array): FrameHeader {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  return {
    pgno: view.getUint32(FIELD.pgno),
    commit: view.getUint32(FIELD.commit),
    salt1: view.getUint32(FIELD.salt1),
    salt2: view.getUint32(FIELD.salt2),
    sum: { s0: view.getUint32(FIELD.checksum1), s1: view.getUint32(FIELD.checksum2) },
  };
}
