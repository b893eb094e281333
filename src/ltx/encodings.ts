/**
 * Telling version 3 of the format from the two before it, which have the same magic and header.
 *
 * Only a positive match is reported as an old encoding; anything else is left for the decoder to
 * find fault with.
 *
 * Source: superfly/ltx v0.3.18 (version 1) and v0.4.0 (version 2), `Encoder.EncodePage`.
 */
import {
  HEADER_SIZE,
  LZ4_FRAME_MAGIC,
  MIN_FILE_SIZE,
  PAGE_FLAG_SIZE,
  TRAILER_SIZE,
} from "./constants.ts";
import { ltxError } from "./errors.ts";
import type { LtxHeader } from "./header.ts";

/** Bytes after the header that tell the encodings apart. */
export const SNIFF_SIZE = 10;

/** Bytes of a page header in versions 1 and 2: only the page number. */
const OLD_PAGE_HEADER_SIZE = 4;

/**
 * Throws `ltx/unsupported` when `start`, at most SNIFF_SIZE bytes after the header, is of version 1
 * or 2.
 */
export function rejectOldEncodings(
  start: Uint8Array,
  header: LtxHeader,
  file: { readonly name: string; readonly sizeBytes: number },
): void {
  const version = oldVersion(start, header.pageSize, file.sizeBytes);
  if (version === undefined) return;
  const problem = `encoding version ${version}; only version 3 is read`;
  throw ltxError("ltx/unsupported", file.name, problem, { version });
}

function oldVersion(start: Uint8Array, pageSize: number, sizeBytes: number): 1 | 2 | undefined {
  const bytes = new Uint8Array(SNIFF_SIZE);
  bytes.set(start);
  const view = new DataView(bytes.buffer);
  if (view.getUint32(OLD_PAGE_HEADER_SIZE) === LZ4_FRAME_MAGIC) return 2;
  if (!isVersion1Size(pageSize, sizeBytes)) return undefined;
  return sizeBytes < MIN_FILE_SIZE || !isVersion3Start(view) ? 1 : undefined;
}

/** Block frame, legacy frame, or the end of pages followed by an index. */
function isVersion3Start(view: DataView): boolean {
  const flags = view.getUint16(4);
  if (flags === PAGE_FLAG_SIZE) return true;
  if (flags === 0 && view.getUint32(6) === LZ4_FRAME_MAGIC) return true;
  return view.getUint32(0) === 0 && flags === 0;
}

/** Version 1 stores whole pages without index: its size says how many. */
function isVersion1Size(pageSize: number, sizeBytes: number): boolean {
  const block = sizeBytes - HEADER_SIZE - OLD_PAGE_HEADER_SIZE - TRAILER_SIZE;
  return block >= 0 && block % (OLD_PAGE_HEADER_SIZE + pageSize) === 0;
}
