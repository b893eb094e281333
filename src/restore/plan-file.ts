/**
 * One file of a plan, opened: its header, its trailer and its page index, wherever they come from.
 *
 * A small file is read whole, once. Of a large one the two ends are read first; its index follows in chunks,
 * so that memory does not grow with the database.
 */
import { ByteReader, view, type BytesOrigin } from "../base/bytes.ts";
import { NO_CHECKSUM, toChecksum, type Checksum } from "../base/ids.ts";
import { HEADER_SIZE, MIN_FILE_SIZE, PAGE_HEADER_SIZE, TRAILER_SIZE } from "../ltx/constants.ts";
import { ltxError } from "../ltx/errors.ts";
import { decodeHeader, isTracked, type LtxHeader } from "../ltx/header.ts";
import {
  INDEX_TAIL_SIZE,
  locatePageIndex,
  PageIndexCursor,
  type PageIndex,
  type PageIndexPlace,
} from "../ltx/page-index.ts";
import type { LtxFileInfo } from "../storage/ltx-store.ts";
import { describeFile } from "./plan.ts";
import type { RangeReader } from "./range-reader.ts";

/** Files up to this size are read whole. */
export const WHOLE_FILE_BYTES: number = 1024 * 1024;
/** Bytes read from the end of a larger file: holds the index of some thousand pages. */
const TAIL_BYTES = 64 * 1024;
/** Bytes of a longer index that are read at a time. */
const INDEX_CHUNK_BYTES = 1024 * 1024;

export interface PlanFile {
  readonly info: LtxFileInfo;
  /** What messages call it. */
  readonly name: string;
  readonly header: LtxHeader;
  /** The header's 100 bytes. */
  readonly headerBytes: Uint8Array<ArrayBuffer>;
  readonly place: PageIndexPlace;
  /** Rolling checksum of the database after this file, as recorded when it was written; NO_CHECKSUM when it was not. */
  readonly recordedChecksum: Checksum;
  readonly fileChecksum: Checksum;
  /** All bytes of a small file. Its owner may give them, and `tail` with them, away after the index was read. */
  readonly whole: Uint8Array<ArrayBuffer> | undefined;
  /** Where a thread can read it by itself. */
  readonly path: string | undefined;
  /** The last bytes of the file, at least from the index size on. */
  readonly tail: Uint8Array<ArrayBuffer>;
}

/** Hears of every byte that the file checksum covers after the frames, in order. */
export type ClosingListener = (bytes: Uint8Array) => void;

/**
 * Opens a file of a plan. Throws `ltx/truncated` or `ltx/invalid` naming it when its ends make no sense or
 * it is not what its name says, and what reading throws.
 */
export async function openPlanFile(reader: RangeReader, info: LtxFileInfo): Promise<PlanFile> {
  const name = describeFile(info);
  const { sizeBytes } = info;
  if (sizeBytes < MIN_FILE_SIZE) {
    const problem = `${sizeBytes} bytes, wanted at least ${MIN_FILE_SIZE}`;
    throw ltxError("ltx/truncated", name, problem, { sizeBytes });
  }
  let whole: Uint8Array<ArrayBuffer> | undefined;
  let headerBytes: Uint8Array<ArrayBuffer>;
  let tail: Uint8Array<ArrayBuffer>;
  if (sizeBytes <= WHOLE_FILE_BYTES) {
    whole = await reader.read(info, 0, sizeBytes);
    headerBytes = whole.slice(0, HEADER_SIZE);
    tail = whole;
  } else {
    [headerBytes, tail] = await Promise.all([
      reader.read(info, 0, HEADER_SIZE),
      reader.read(info, sizeBytes - TAIL_BYTES, TAIL_BYTES),
    ]);
  }
  const header = decodeHeader(headerBytes, name);
  if (header.minTxid !== info.minTxid || header.maxTxid !== info.maxTxid) {
    const problem = `header of TXIDs ${header.minTxid} to ${header.maxTxid}, which is not its name`;
    throw ltxError("ltx/invalid", name, problem, { offset: 0 });
  }
  const place = locatePageIndex(last(tail, INDEX_TAIL_SIZE, name), sizeBytes, name);
  const trailer = new ByteReader(last(tail, TRAILER_SIZE, name), originOf(name));
  const postApplyChecksum = toChecksum(trailer.u64());
  const fileChecksum = toChecksum(trailer.u64());
  const { databaseChecksum } = header;
  const isTagged = databaseChecksum !== NO_CHECKSUM;
  const recordedChecksum = isTagged
    ? databaseChecksum
    : isTracked(header)
      ? postApplyChecksum
      : NO_CHECKSUM;
  return {
    info,
    name,
    header,
    headerBytes,
    place,
    recordedChecksum,
    fileChecksum,
    whole,
    tail,
    path: reader.pathOf(info),
  };
}

/**
 * The page index in chunks, checked entry by entry: frames tile the file, pages ascend, a snapshot is complete.
 * `onClosing` hears the end marker, the index, its size and the post-apply checksum.
 */
export async function* readPageIndex(
  reader: RangeReader,
  file: PlanFile,
  onClosing?: ClosingListener,
): AsyncGenerator<PageIndex, void, void> {
  const { name, header, place, tail } = file;
  const cursor = new PageIndexCursor({ header, framesEnd: place.framesEnd, name });
  const end = place.offset + place.size;
  for (let at = place.framesEnd; at < end;) {
    const chunk = await readClosing(reader, file, at, Math.min(INDEX_CHUNK_BYTES, end - at));
    onClosing?.(chunk);
    const skipped = at === place.framesEnd ? PAGE_HEADER_SIZE : 0;
    if (skipped > 0) requireEndMarker(chunk, file);
    yield cursor.push(view(chunk, skipped, chunk.length - skipped, originOf(name)));
    at += chunk.length;
  }
  cursor.finish();
  onClosing?.(last(tail, INDEX_TAIL_SIZE, name).slice(0, INDEX_TAIL_SIZE - 8));
}

/** Bytes near the end of the file, from what is at hand if they are. */
function readClosing(
  reader: RangeReader,
  file: PlanFile,
  offset: number,
  sizeBytes: number,
): Promise<Uint8Array<ArrayBuffer>> | Uint8Array<ArrayBuffer> {
  const held = file.tail;
  const start = file.info.sizeBytes - held.length;
  if (offset < start) return reader.read(file.info, offset, sizeBytes);
  return view(held, offset - start, sizeBytes, originOf(file.name));
}

function requireEndMarker(chunk: Uint8Array, file: PlanFile): void {
  const marker = view(chunk, 0, PAGE_HEADER_SIZE, originOf(file.name));
  if (marker.every((byte) => byte === 0)) return;
  throw ltxError(
    "ltx/invalid",
    file.name,
    "no end of pages where the page index says the frames end",
    {
      offset: file.place.framesEnd,
    },
  );
}

function last(bytes: Uint8Array<ArrayBuffer>, size: number, name: string): Uint8Array<ArrayBuffer> {
  return view(bytes, bytes.length - size, size, originOf(name));
}

function originOf(name: string): BytesOrigin {
  return { code: "ltx/truncated", what: `end of LTX file "${name}"` };
}
