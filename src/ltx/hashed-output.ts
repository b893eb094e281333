/**
 * The way from the encoder to its sink: counts bytes and keeps the running file checksum.
 *
 * The checksum covers pages as they are before compression, so the bytes hashed are not the bytes
 * written. A CRC is linear: bytes that were hashed before can still be changed, by adding the CRC
 * of the change, shifted by what was hashed since.
 */
import { ByteWriter } from "../base/bytes.ts";
import { toChecksum } from "../base/ids.ts";
import type { Checksum } from "../base/ids.ts";
import { crcValue, newCrc, xorCrc } from "../kernel/kernel.ts";
import type { CrcRegister, Kernel } from "../kernel/kernel.ts";
import { CHECKSUM_FLAG, TRAILER_FIELDS } from "./constants.ts";

/**
 * Where a file goes. The encoder writes a batch at a time; gathering them into large writes is the
 * sink's business.
 */
export interface LtxSink {
  /** Appends bytes, which are valid only during the call. */
  write(bytes: Uint8Array): void;
  /**
   * Overwrites bytes that were written before. Called at most once, for twelve bytes of the header.
   */
  patch(offset: number, bytes: Uint8Array): void;
}

export class HashedOutput {
  /** Register of the file checksum. Whoever writes frames advances it. */
  readonly crc: CrcRegister = newCrc();
  readonly #kernel: Kernel;
  readonly #sink: LtxSink;
  #hashedBytes = 0;
  #writtenBytes = 0;

  constructor(kernel: Kernel, sink: LtxSink) {
    this.#kernel = kernel;
    this.#sink = sink;
  }

  get writtenBytes(): number {
    return this.#writtenBytes;
  }

  /** Writes bytes that the checksum covers as they are. */
  put(bytes: Uint8Array): void {
    this.#kernel.crc64(this.crc, bytes);
    this.#append(bytes);
    this.#hashedBytes += bytes.length;
  }

  /** Writes frames that `crc` covers already, as `hashedBytes` bytes. */
  putFrames(frames: Uint8Array, hashedBytes: number): void {
    this.#append(frames);
    this.#hashedBytes += hashedBytes;
  }

  /** Puts `bytes` over zeros that `put` wrote at `offset`, before any frame. */
  fillIn(offset: number, bytes: Uint8Array): void {
    this.#sink.patch(offset, bytes);
    const change: CrcRegister = { low: 0, high: 0 };
    this.#kernel.crc64(change, bytes);
    this.#kernel.crc64Shift(change, this.#hashedBytes - (offset + bytes.length));
    xorCrc(this.crc, change);
  }

  /** Writes the file checksum, the last bytes of a file. */
  end(): Checksum {
    const checksum = toChecksum(crcValue(this.crc) | CHECKSUM_FLAG);
    this.#append(new ByteWriter(TRAILER_FIELDS.fileChecksum.size).u64(checksum).bytes);
    return checksum;
  }

  #append(bytes: Uint8Array): void {
    this.#sink.write(bytes);
    this.#writtenBytes += bytes.length;
  }
}
