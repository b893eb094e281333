/**
 * LTX files that break the rules on purpose, with every checksum right, so that a test reaches the
 * one check it means.
 *
 * Nothing here is shared with the codec except the CRC.
 */
import { crcValue, newCrc, openKernel } from "../kernel/kernel.ts";

export interface ForgedFrame {
  readonly pgno: number;
  readonly flags: number;
  /** What follows the page header, a size field included. */
  readonly payload: Uint8Array;
  /** What the file checksum takes the payload for. */
  readonly page: Uint8Array;
}

export interface ForgedIndexEntry {
  readonly pgno: number;
  readonly offset: number;
  readonly size: number;
}

export interface ForgedFile {
  /** 100 bytes. */
  readonly header: Uint8Array;
  readonly frames: readonly ForgedFrame[];
  readonly endMarker?: Uint8Array | undefined;
  /** Entries and terminator; by default those of the frames. */
  readonly index?: ((entries: readonly ForgedIndexEntry[]) => Uint8Array) | undefined;
  /** By default the index's length. */
  readonly indexSize?: bigint | undefined;
  readonly postApplyChecksum?: bigint | undefined;
  /** By default the right one. */
  readonly fileChecksum?: bigint | undefined;
}

export interface ForgedHeader {
  readonly magic?: string | undefined;
  readonly flags?: number | undefined;
  readonly pageSize: number;
  readonly commit: number;
  readonly minTxid?: bigint | undefined;
  readonly maxTxid?: bigint | undefined;
  readonly timestampMs?: bigint | undefined;
  readonly preApplyChecksum?: bigint | undefined;
  readonly walOffset?: bigint | undefined;
  readonly walSize?: bigint | undefined;
  readonly walSalts?: readonly [number, number] | undefined;
  readonly nodeId?: bigint | undefined;
  /** From byte 80 on. */
  readonly reserved?: Uint8Array | undefined;
}

export function forgeHeader(fields: ForgedHeader): Buffer {
  const bytes = Buffer.alloc(100);
  bytes.write(fields.magic ?? "LTX1", 0, "latin1");
  bytes.writeUInt32BE(fields.flags ?? 2, 4);
  bytes.writeUInt32BE(fields.pageSize, 8);
  bytes.writeUInt32BE(fields.commit, 12);
  bytes.writeBigUInt64BE(fields.minTxid ?? 1n, 16);
  bytes.writeBigUInt64BE(fields.maxTxid ?? fields.minTxid ?? 1n, 24);
  bytes.writeBigInt64BE(fields.timestampMs ?? 1000n, 32);
  bytes.writeBigUInt64BE(fields.preApplyChecksum ?? 0n, 40);
  bytes.writeBigInt64BE(fields.walOffset ?? 0n, 48);
  bytes.writeBigInt64BE(fields.walSize ?? 0n, 56);
  bytes.writeUInt32BE(fields.walSalts?.[0] ?? 0, 64);
  bytes.writeUInt32BE(fields.walSalts?.[1] ?? 0, 68);
  bytes.writeBigUInt64BE(fields.nodeId ?? 0n, 72);
  bytes.set(fields.reserved ?? new Uint8Array(20), 80);
  return bytes;
}

const kernel = openKernel({ pageSize: 65536, batchPages: 1, twin: true });

/** A block frame of a page. */
export function forgeBlock(pgno: number, page: Uint8Array): ForgedFrame {
  const block = kernel.lz4Compress(page);
  const payload = Buffer.alloc(4 + block.length);
  payload.writeUInt32BE(block.length, 0);
  payload.set(block, 4);
  return { pgno, flags: 1, payload, page };
}

/** A legacy frame of a page, in one stored block. */
export function forgeLegacy(pgno: number, page: Uint8Array): ForgedFrame {
  const payload = Buffer.alloc(7 + 4 + page.length + 8);
  payload.set([0x04, 0x22, 0x4d, 0x18, 0x64, 0x40, 0xa7]);
  payload.writeUInt32LE((0x80000000 | page.length) >>> 0, 7);
  payload.set(page, 11);
  payload.writeUInt32LE(kernel.xxh32(page), 15 + page.length);
  return { pgno, flags: 0, payload, page };
}

export function uvarint(value: number): number[] {
  const bytes: number[] = [];
  let rest = value;
  for (; rest >= 128; rest = Math.floor(rest / 128)) bytes.push((rest % 128) | 128);
  return [...bytes, rest];
}

/** The usual form of an index. */
export function forgeIndex(entries: readonly ForgedIndexEntry[]): Uint8Array {
  const numbers = entries.flatMap(({ pgno, offset, size }) => [pgno, offset, size]);
  return Uint8Array.from([...numbers, 0].flatMap(uvarint));
}

function u64(value: bigint): Buffer {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64BE(value);
  return bytes;
}

/** Puts a file together. */
export function forgeLtx(file: ForgedFile): Buffer {
  const pieces: Uint8Array[] = [file.header];
  const crc = newCrc();
  kernel.crc64(crc, file.header);
  const entries: ForgedIndexEntry[] = [];
  let offset = file.header.length;
  for (const { pgno, flags, payload, page } of file.frames) {
    const head = Buffer.alloc(6);
    head.writeUInt32BE(pgno >>> 0, 0);
    head.writeUInt16BE(flags, 4);
    kernel.crc64(crc, head);
    if (flags === 1) kernel.crc64(crc, payload.subarray(0, 4));
    kernel.crc64(crc, page);
    pieces.push(head, payload);
    entries.push({ pgno, offset, size: 6 + payload.length });
    offset += 6 + payload.length;
  }
  const index = (file.index ?? forgeIndex)(entries);
  const rest = Buffer.concat([
    file.endMarker ?? Buffer.alloc(6),
    index,
    u64(file.indexSize ?? BigInt(index.length)),
    u64(file.postApplyChecksum ?? 0n),
  ]);
  kernel.crc64(crc, rest);
  const fileChecksum = file.fileChecksum ?? crcValue(crc) | (1n << 63n);
  return Buffer.concat([...pieces, rest, u64(fileChecksum)]);
}
