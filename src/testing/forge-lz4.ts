/** LZ4 frames in every shape that the format allows, right unless told otherwise. */
import { openKernel } from "../kernel/kernel.ts";
import { xxh32Of } from "../kernel/xxh32-stream.ts";

export interface ForgedLz4 {
  /** Bytes of content in a block, at most 65,536; default 65,536. */
  readonly blockBytes?: number | undefined;
  /** Default 7: blocks of up to 4 MiB, as Litestream announces them. */
  readonly blockCode?: number | undefined;
  readonly stored?: boolean | undefined;
  readonly blockChecksums?: boolean | undefined;
  /** Default: left out. */
  readonly contentSize?: bigint | undefined;
  /** Default: the right one; null leaves it out. */
  readonly contentChecksum?: number | null | undefined;
  readonly linked?: boolean | undefined;
  readonly dictionary?: number | undefined;
  readonly version?: number | undefined;
}

const kernel = openKernel({ pageSize: 65536, batchPages: 1 });

function u32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(value >>> 0);
  return bytes;
}

/** A frame that holds `content`. */
export function forgeLz4(content: Uint8Array, options: ForgedLz4 = {}): Buffer {
  const { blockBytes = 65536, stored = false, blockChecksums = false } = options;
  const pieces: Uint8Array[] = [u32(0x184d2204), ...descriptor(options)];
  for (let at = 0; at < content.length; at += blockBytes) {
    const plain = content.slice(at, at + blockBytes);
    const packed = kernel.lz4Compress(plain).slice();
    const isStored = stored || packed.length >= plain.length;
    const block = isStored ? plain : packed;
    pieces.push(u32(isStored ? block.length + 0x80000000 : block.length), block);
    if (blockChecksums) pieces.push(u32(xxh32Of(block)));
  }
  pieces.push(u32(0));
  const { contentChecksum = xxh32Of(content) } = options;
  if (contentChecksum !== null) pieces.push(u32(contentChecksum));
  return Buffer.concat(pieces);
}

function descriptor(options: ForgedLz4): Buffer[] {
  const { blockCode = 7, contentSize, contentChecksum, dictionary, version = 1 } = options;
  const flags =
    (version << 6) |
    (options.linked === true ? 0 : 0x20) |
    (options.blockChecksums === true ? 0x10 : 0) |
    (contentSize === undefined ? 0 : 0x08) |
    (contentChecksum === null ? 0 : 0x04) |
    (dictionary === undefined ? 0 : 0x01);
  const size = Buffer.alloc(contentSize === undefined ? 0 : 8);
  if (contentSize !== undefined) size.writeBigUInt64LE(contentSize);
  const bytes = Buffer.concat([
    Buffer.from([flags, blockCode << 4]),
    size,
    dictionary === undefined ? Buffer.alloc(0) : u32(dictionary),
  ]);
  return [bytes, Buffer.from([(xxh32Of(bytes) >>> 8) & 0xff])];
}
