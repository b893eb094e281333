/**
 * What identifies a file in the destination without reading all of it: its size, its header, and the
 * last 16 bytes, which hold a checksum over everything else.
 */
import { HEADER_SIZE, TRAILER_SIZE } from "../ltx/constants.ts";
import type { LtxFileId, LtxStore } from "../storage/ltx-store.ts";

/** A file up to this size is fetched and compared whole. */
const WHOLE_BYTES = 64 * 1024;

export interface FileEnds {
  readonly sizeBytes: number;
  /** The first 100 bytes, fewer when the file is shorter. */
  readonly header: Uint8Array;
  /** The last 16 bytes, fewer when the file is shorter. */
  readonly trailer: Uint8Array;
  /** Everything, when the file is small. */
  readonly whole: Uint8Array | undefined;
}

/** The ends of a file that lies in memory; borrows from `bytes`. */
export function endsOf(bytes: Uint8Array): FileEnds {
  return {
    sizeBytes: bytes.length,
    header: bytes.subarray(0, Math.min(HEADER_SIZE, bytes.length)),
    trailer: bytes.subarray(Math.max(0, bytes.length - TRAILER_SIZE)),
    whole: bytes.length <= WHOLE_BYTES ? bytes : undefined,
  };
}

export function sameEnds(a: FileEnds, b: FileEnds): boolean {
  if (a.sizeBytes !== b.sizeBytes) return false;
  if (a.whole !== undefined && b.whole !== undefined) return sameBytes(a.whole, b.whole);
  return sameBytes(a.header, b.header) && sameBytes(a.trailer, b.trailer);
}

function sameBytes(a: Uint8Array, b: Uint8Array): boolean {
  return Buffer.compare(a, b) === 0;
}

/** One request when the file is small, two otherwise. Throws what the store throws. */
export async function fetchEnds(
  store: LtxStore,
  file: LtxFileId,
  options: { readonly sizeBytes: number; readonly signal?: AbortSignal | undefined },
): Promise<FileEnds> {
  const { sizeBytes, signal } = options;
  if (sizeBytes <= WHOLE_BYTES) {
    const body = await store.open(file, { signal });
    return body.info.sizeBytes <= WHOLE_BYTES ? endsOf(await body.bytes()) : collectEnds(body);
  }
  if (!store.capabilities.rangeReads) return collectEnds(await store.open(file, { signal }));
  const range = async (offset: number, count: number): Promise<[Uint8Array, number]> => {
    const body = await store.open(file, { offset, sizeBytes: count, signal });
    return [await body.bytes(), body.info.sizeBytes];
  };
  const [[header, foundBytes], [trailer]] = await Promise.all([
    range(0, HEADER_SIZE),
    range(sizeBytes - TRAILER_SIZE, TRAILER_SIZE),
  ]);
  return { sizeBytes: foundBytes, header, trailer, whole: undefined };
}

/** Reads a body to its end and keeps what identifies it. */
async function collectEnds(
  body: AsyncIterable<Uint8Array> & { readonly info: { readonly sizeBytes: number } },
): Promise<FileEnds> {
  let header = new Uint8Array(0);
  let trailer = new Uint8Array(0);
  for await (const chunk of body) {
    if (header.length < HEADER_SIZE) {
      header = Buffer.concat([header, chunk.subarray(0, HEADER_SIZE - header.length)]);
    }
    trailer = Buffer.concat([trailer, chunk.subarray(Math.max(0, chunk.length - TRAILER_SIZE))]);
    trailer = trailer.slice(Math.max(0, trailer.length - TRAILER_SIZE));
  }
  return { sizeBytes: body.info.sizeBytes, header, trailer, whole: undefined };
}
