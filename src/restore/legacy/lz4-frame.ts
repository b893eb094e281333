/**
 * LZ4 frames of any size, decompressed block by block: memory is two blocks, whatever the frame holds.
 *
 * Everything a frame can prove is proven: header checksum, block checksums and content size where there are any, and
 * the content checksum, without which a frame is refused. Exactly one frame is expected; skippable frames,
 * dictionaries and blocks that need earlier ones are refused, because Litestream writes none.
 *
 * Source: the LZ4 frame format description (lz4/lz4 doc `lz4_Frame_format.md`), version 1.6.
 */
import { rows } from "../../base/bytes.ts";
import { MillraceError, type ErrorCode } from "../../errors.ts";
import { openKernel, type Kernel } from "../../kernel/kernel.ts";
import { Xxh32, xxh32Of } from "../../kernel/xxh32-stream.ts";

const MAGIC = 0x184d2204;
const MAGIC_SIZE = 4;
const WORD_SIZE = 4;
const CONTENT_SIZE_SIZE = 8;
/** Bits of the first descriptor byte. */
const FLAG = {
  dictionary: 0x01,
  reserved: 0x02,
  contentChecksum: 0x04,
  contentSize: 0x08,
  blockChecksum: 0x10,
  independent: 0x20,
  version: 0xc0,
} as const;
const VERSION_1 = 0x40;
/** Bit of a block's size: the block is not compressed. */
const STORED = 0x80000000;
/** Bytes of the largest block by the three bits of the second descriptor byte. */
const BLOCK_SIZES: Readonly<Record<number, number>> = {
  4: 64 * 1024,
  5: 256 * 1024,
  6: 1024 * 1024,
  7: 4 * 1024 * 1024,
};
/** The kernel's areas are measured in pages; one more, because a compressed block may be as long as its content. */
const AREA_PAGE_SIZE = 65536;
/** What an encrypted backup begins with. */
const AGE_MAGIC = "age-encryption.org/";

interface Descriptor {
  readonly blockSize: number;
  readonly hasBlockChecksums: boolean;
  readonly contentSize: bigint | undefined;
}

/** Decompresses frames one after the other, in buffers that it keeps. */
export class Lz4Frames {
  #block = new Uint8Array();
  #kernel: Kernel | undefined;

  /**
   * Decompresses what `chunks` deliver: one frame and nothing after it. Each item is borrowed until the next is asked
   * for. Throws `lz4/damaged` or `lz4/unsupported` with `name` in the message, and what `chunks` throws. What was
   * delivered before an error is not proven. One frame at a time.
   */
  async *decompress(
    chunks: AsyncIterable<Uint8Array>,
    name: string,
  ): AsyncGenerator<Uint8Array, void, void> {
    await using input = new FrameInput(chunks, name);
    const { blockSize, hasBlockChecksums, contentSize } = await readDescriptor(input);
    const content = new Xxh32();
    let size = 0n;
    for (;;) {
      const word = await input.word("a block's size");
      if (word === 0) break;
      const bytes = rows(this.#roomFor(blockSize), 0, checkBlockSize(input, word, blockSize));
      await input.read(bytes, "a block");
      if (hasBlockChecksums && (await input.word("a block's checksum")) !== xxh32Of(bytes)) {
        throw input.damaged("a block does not match its checksum");
      }
      const plain = word >= STORED ? bytes : this.#kernel?.lz4Decompress(bytes, blockSize);
      if (plain === undefined || plain.length === 0) throw input.damaged("a block is malformed");
      content.update(plain);
      size += BigInt(plain.length);
      yield plain;
    }
    if ((await input.word("the content checksum")) !== content.value) {
      throw input.damaged("the content does not match its checksum");
    }
    if (contentSize !== undefined && contentSize !== size) {
      throw input.damaged(`${size} bytes of content, announced were ${contentSize}`);
    }
    if (!(await input.isAtEnd())) throw input.damaged("something follows the end of the frame");
  }

  /** Where a block is read to; the kernel has room for it as well. */
  #roomFor(blockSize: number): Uint8Array {
    if (this.#block.length < blockSize) {
      this.#block = new Uint8Array(blockSize);
      const batchPages = Math.ceil(blockSize / AREA_PAGE_SIZE) + 1;
      this.#kernel = openKernel({ pageSize: AREA_PAGE_SIZE, batchPages });
    }
    return this.#block;
  }
}

function checkBlockSize(input: FrameInput, word: number, blockSize: number): number {
  const size = word >= STORED ? word - STORED : word;
  if (size > 0 && size <= blockSize) return size;
  throw input.damaged(`a block of ${size} bytes, the largest allowed is ${blockSize}`);
}

async function readDescriptor(input: FrameInput): Promise<Descriptor> {
  const magic = new Uint8Array(MAGIC_SIZE);
  await input.read(magic, "the magic number");
  if (new DataView(magic.buffer).getUint32(0, true) !== MAGIC) throw await foreign(input, magic);
  const start = new Uint8Array(2);
  await input.read(start, "the frame descriptor");
  const [flags = 0, block = 0] = start;
  const sizeBytes = new Uint8Array((flags & FLAG.contentSize) === 0 ? 0 : CONTENT_SIZE_SIZE);
  const dictionaryBytes = new Uint8Array((flags & FLAG.dictionary) === 0 ? 0 : WORD_SIZE);
  await input.read(sizeBytes, "the content size");
  await input.read(dictionaryBytes, "the dictionary");
  const checksum = new Uint8Array(1);
  await input.read(checksum, "the descriptor's checksum");
  const descriptor = Uint8Array.of(...start, ...sizeBytes, ...dictionaryBytes);
  if (checksum[0] !== ((xxh32Of(descriptor) >>> 8) & 0xff)) {
    throw input.damaged("the frame descriptor does not match its checksum");
  }
  const blockSize = BLOCK_SIZES[block >>> 4];
  const isKnown = (flags & FLAG.version) === VERSION_1 && (flags & FLAG.reserved) === 0;
  if (!isKnown || blockSize === undefined || (block & 0x0f) !== 0) {
    throw input.unsupported("a version or block size that this code does not know");
  }
  if ((flags & FLAG.dictionary) !== 0) throw input.unsupported("it needs a dictionary");
  if ((flags & FLAG.independent) === 0) throw input.unsupported("its blocks need earlier blocks");
  if ((flags & FLAG.contentChecksum) === 0) throw input.unsupported("it has no content checksum");
  return {
    blockSize,
    hasBlockChecksums: (flags & FLAG.blockChecksum) !== 0,
    contentSize:
      sizeBytes.length === 0 ? undefined : new DataView(sizeBytes.buffer).getBigUint64(0, true),
  };
}

/** The error for something that is no LZ4 frame. */
async function foreign(input: FrameInput, magic: Uint8Array): Promise<MillraceError> {
  const rest = new Uint8Array(AGE_MAGIC.length - magic.length);
  const found = await input.readUpTo(rest);
  const text = String.fromCharCode(...magic, ...rows(rest, 0, found));
  if (text === AGE_MAGIC) {
    return input.unsupported("it is encrypted with age", "decrypt the backup with age first");
  }
  return input.damaged("it does not begin with the magic number of LZ4");
}

/** Bytes in the lengths that a frame wants them. */
class FrameInput implements AsyncDisposable {
  readonly #iterator: AsyncIterator<Uint8Array>;
  readonly #name: string;
  #chunk: Uint8Array = new Uint8Array();
  #at = 0;
  /** Bytes taken so far, for messages. */
  #offset = 0;

  constructor(chunks: AsyncIterable<Uint8Array>, name: string) {
    this.#iterator = chunks[Symbol.asyncIterator]();
    this.#name = name;
  }

  /** Reads into `target` as far as there are bytes; returns how many there were. */
  async readUpTo(target: Uint8Array): Promise<number> {
    let count = 0;
    while (count < target.length && (await this.#hasMore())) {
      const size = Math.min(target.length - count, this.#chunk.length - this.#at);
      target.set(rows(this.#chunk, this.#at, this.#at + size), count);
      this.#at += size;
      count += size;
    }
    this.#offset += count;
    return count;
  }

  /** Fills all of `target`; throws when the bytes end before. */
  async read(target: Uint8Array, what: string): Promise<void> {
    if ((await this.readUpTo(target)) < target.length) throw this.damaged(`it ends inside ${what}`);
  }

  /** A little-endian u32. */
  async word(what: string): Promise<number> {
    const bytes = new Uint8Array(WORD_SIZE);
    await this.read(bytes, what);
    return new DataView(bytes.buffer).getUint32(0, true);
  }

  async isAtEnd(): Promise<boolean> {
    return !(await this.#hasMore());
  }

  damaged(found: string): MillraceError {
    return this.#error("lz4/damaged", found, undefined);
  }

  unsupported(found: string, hint?: string): MillraceError {
    return this.#error("lz4/unsupported", found, hint);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#iterator.return?.();
  }

  #error(code: ErrorCode, found: string, hint: string | undefined): MillraceError {
    return new MillraceError(code, `decompress ${this.#name}: ${found} (byte ${this.#offset})`, {
      op: "decompress",
      details: { object: this.#name, offset: this.#offset },
      hint,
    });
  }

  async #hasMore(): Promise<boolean> {
    while (this.#at === this.#chunk.length) {
      const result = await this.#iterator.next();
      if (result.done === true) return false;
      this.#chunk = result.value;
      this.#at = 0;
    }
    return true;
  }
}
