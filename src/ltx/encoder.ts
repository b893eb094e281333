/**
 * Writes one LTX file, strictly forward except for one patch of the header at the end.
 *
 * The encoder enforces the format's rules, so a file that it finished is valid: page order, no lock page, completeness of
 * snapshots, checksums present or absent as the header says. It holds a few bytes a page (the index) and no pages.
 *
 * The rolling database checksum is often known only after the last page, yet belongs into the header, which has been
 * hashed by then. A CRC is linear: the file checksum is corrected by the CRC of the changed bytes, shifted by the number
 * of bytes hashed since.
 *
 * Source: superfly/ltx@8cb8f8e `Encoder`; docs/formats/ltx.md.
 */
import { NO_CHECKSUM, formatChecksum, toChecksum } from "../base/ids.ts";
import type { Checksum } from "../base/ids.ts";
import { ByteWriter, rows } from "../base/bytes.ts";
import { crcValue, newCrc, xorCrc } from "../kernel/kernel.ts";
import type { CrcRegister, Kernel, PageFormat } from "../kernel/kernel.ts";
import {
  CHECKSUM_FLAG,
  INDEX_SIZE_SIZE,
  PAGE_HEADER_SIZE,
  PAYLOAD_SIZE_SIZE,
  RESERVED_FIELDS,
  TRAILER_FIELDS,
} from "./constants.ts";
import { ltxMisuse } from "./errors.ts";
import { findBatchProblem, hashedBytes, pgnoOfFrame } from "./frame-batch.ts";
import type { FrameBatch } from "./frame-batch.ts";
import { FrameLedger } from "./frame-ledger.ts";
import { encodeHeader, encodeReservedTag, isTracked } from "./header.ts";
import type { LtxHeader } from "./header.ts";
import { PageOrder } from "./page-order.ts";

/** Where a file goes. The encoder writes a batch at a time; gathering them into large writes is the sink's business. */
export interface LtxSink {
  /** Appends bytes, which are valid only during the call. */
  write(bytes: Uint8Array): void;
  /** Overwrites bytes that were written before. Called at most once, for twelve bytes of the header. */
  patch(offset: number, bytes: Uint8Array): void;
}

export interface LtxEncoderOptions {
  /** Opened for the header's page size. Its areas are used during calls only. */
  readonly kernel: Kernel;
  readonly header: LtxHeader;
  readonly sink: LtxSink;
  /** `block` by default, which Litestream reads from 0.5.16 on; `frame` is what every 0.5 reads. */
  readonly pageFormat?: PageFormat | undefined;
}

export interface LtxFinishOptions {
  /** Rolling checksum of the database after applying the file, unless the header given at construction has it. */
  readonly databaseChecksum?: Checksum | undefined;
  /** The same, for the trailer of a file whose header lacks FLAG_NO_CHECKSUM; required there, refused elsewhere. */
  readonly postApplyChecksum?: Checksum | undefined;
}

export interface LtxFileSummary {
  readonly sizeBytes: number;
  readonly fileChecksum: Checksum;
  readonly pageCount: number;
}

/** The end of pages: a page header of zeros. */
const END_MARKER = new Uint8Array(PAGE_HEADER_SIZE);
/** Bytes of the index that are written at once. */
const INDEX_PIECE_SIZE = 64 * 1024;
const ACTION = "encode LTX file";

type State =
  | { readonly at: "pages" }
  | { readonly at: "finished"; readonly summary: LtxFileSummary }
  | { readonly at: "failed"; readonly cause: unknown };

export class LtxEncoder {
  readonly #kernel: Kernel;
  readonly #header: LtxHeader;
  readonly #sink: LtxSink;
  readonly #pageFormat: PageFormat;
  readonly #order: PageOrder;
  readonly #ledger: FrameLedger;
  readonly #crc: CrcRegister = newCrc();
  /** Bytes that went into `#crc`: pages count uncompressed. */
  #hashedBytes = 0;
  #writtenBytes = 0;
  #state: State = { at: "pages" };

  /** Writes the header. Throws `ltx/misuse` for a header that breaks the format's rules. */
  constructor(options: LtxEncoderOptions) {
    const { kernel, header } = options;
    if (kernel.pageSize !== header.pageSize) {
      throw ltxMisuse(
        ACTION,
        `kernel for pages of ${kernel.pageSize}, header says ${header.pageSize}`,
      );
    }
    this.#kernel = kernel;
    this.#header = header;
    this.#sink = options.sink;
    this.#pageFormat = options.pageFormat ?? "block";
    this.#order = new PageOrder(header);
    this.#ledger = new FrameLedger(header.pageSize);
    this.#guard(() => this.#put(encodeHeader(header)));
  }

  get pageCount(): number {
    return this.#ledger.count;
  }

  /**
   * Encodes pages: `pages` has one page after the other, `pgnos` their numbers. Pages that lie in the kernel's input area
   * are not copied. Returns the page checksums, borrowed from the kernel until its next use when they are of one batch.
   * A refused call (`ltx/misuse`) writes nothing and leaves the encoder as it was.
   */
  writePages(pgnos: Uint32Array, pages: Uint8Array): BigUint64Array {
    this.#expectPages();
    const { pageSize, batchPages } = this.#kernel;
    if (pages.length !== pgnos.length * pageSize) {
      throw ltxMisuse(ACTION, `${pages.length} bytes for ${pgnos.length} pages of ${pageSize}`);
    }
    this.#acceptOrder(pgnos);
    return this.#guard(() => {
      if (pgnos.length <= batchPages) return this.#encodeBatch(pgnos, pages);
      const checksums = new BigUint64Array(pgnos.length);
      for (let first = 0; first < pgnos.length; first += batchPages) {
        const batch = rows(pgnos, first, Math.min(first + batchPages, pgnos.length));
        const bytes = rows(pages, first * pageSize, (first + batch.length) * pageSize);
        checksums.set(this.#encodeBatch(batch, bytes), first);
      }
      return checksums;
    });
  }

  /**
   * Copies frames that were compressed before, at most a batch. Their page CRCs must be right: a decoder's are. A refused
   * call writes nothing and leaves the encoder as it was.
   */
  writeFrames(batch: FrameBatch): void {
    this.#expectPages();
    const problem = findBatchProblem(batch, this.#kernel);
    if (problem !== undefined) throw ltxMisuse(ACTION, problem);
    this.#acceptOrder(batch.pgnos);
    this.#guard(() => this.#copyFrames(batch));
  }

  /** Copies one frame that was compressed before; `page` is what it decodes to. */
  writeFrame(frame: Uint8Array, page: Uint8Array): void {
    if (page.length !== this.#kernel.pageSize) {
      throw ltxMisuse(ACTION, `page of ${page.length} bytes, wanted ${this.#kernel.pageSize}`);
    }
    const crc: CrcRegister = { low: 0, high: 0 };
    this.#kernel.crc64(crc, page);
    const pageCrc = (BigInt(crc.high >>> 0) << 32n) | BigInt(crc.low >>> 0);
    this.writeFrames({
      pgnos: Uint32Array.of(pgnoOfFrame(frame)),
      frames: frame,
      frameSizes: Uint32Array.of(frame.length),
      pageCrcs: BigUint64Array.of(pageCrc),
    });
  }

  /** Ends the file. A second call returns the same summary. Throws `ltx/misuse` when the file would break the rules. */
  finish(options: LtxFinishOptions = {}): LtxFileSummary {
    if (this.#state.at === "finished") return this.#state.summary;
    this.#expectPages();
    const postApplyChecksum = this.#checkPostApply(options.postApplyChecksum);
    const tag = this.#checkDatabaseChecksum(options.databaseChecksum);
    const missing = this.#order.finish();
    if (missing !== undefined) throw ltxMisuse(ACTION, missing);
    const summary = this.#guard(() => this.#writeEnd(postApplyChecksum, tag));
    this.#state = { at: "finished", summary };
    return summary;
  }

  #encodeBatch(pgnos: Uint32Array, pages: Uint8Array): BigUint64Array {
    const kernel = this.#kernel;
    const count = pgnos.length;
    const offset = this.#stage(pages);
    kernel.pgnos.set(pgnos);
    const size = kernel.encodePages(count, this.#pageFormat, this.#crc, { offset });
    this.#sink.write(rows(kernel.output, 0, size));
    this.#record(pgnos, kernel.frameSizes, size);
    const header = PAGE_HEADER_SIZE + (this.#pageFormat === "block" ? PAYLOAD_SIZE_SIZE : 0);
    this.#hashedBytes += count * (header + kernel.pageSize);
    return rows(kernel.checksums, 0, count);
  }

  /** Brings bytes into the kernel's input area, unless they are there; returns where. */
  #stage(bytes: Uint8Array): number {
    const { input } = this.#kernel;
    const offset = bytes.byteOffset - input.byteOffset;
    const inside =
      bytes.buffer === input.buffer && offset >= 0 && offset + bytes.length <= input.length;
    if (inside) return offset;
    input.set(bytes);
    return 0;
  }

  #copyFrames(batch: FrameBatch): void {
    const kernel = this.#kernel;
    kernel.input.set(batch.frames);
    kernel.frameSizes.set(batch.frameSizes);
    kernel.pageCrcs.set(batch.pageCrcs);
    kernel.hashFrames(batch.pgnos.length, this.#crc);
    const frames = rows(kernel.input, 0, batch.frames.length);
    this.#sink.write(frames);
    this.#record(batch.pgnos, batch.frameSizes, frames.length);
    this.#hashedBytes += hashedBytes(batch, kernel.pageSize);
  }

  #record(pgnos: Uint32Array, sizes: Uint32Array, writtenBytes: number): void {
    for (let i = 0; i < pgnos.length; i++) this.#ledger.add(pgnos[i] ?? 0, sizes[i] ?? 0);
    this.#writtenBytes += writtenBytes;
  }

  #writeEnd(postApplyChecksum: Checksum, tag: Checksum | undefined): LtxFileSummary {
    this.#put(END_MARKER);
    const indexStart = this.#writtenBytes;
    for (const piece of this.#ledger.encodeIndex(INDEX_PIECE_SIZE)) this.#put(piece);
    const indexSize = this.#writtenBytes - indexStart;
    this.#put(new ByteWriter(INDEX_SIZE_SIZE).u64(BigInt(indexSize)).bytes);
    this.#put(new ByteWriter(TRAILER_FIELDS.postApplyChecksum.size).u64(postApplyChecksum).bytes);
    if (tag !== undefined) this.#patchTag(tag);
    const fileChecksum = toChecksum(crcValue(this.#crc) | CHECKSUM_FLAG);
    this.#sink.write(new ByteWriter(TRAILER_FIELDS.fileChecksum.size).u64(fileChecksum).bytes);
    this.#writtenBytes += TRAILER_FIELDS.fileChecksum.size;
    return { sizeBytes: this.#writtenBytes, fileChecksum, pageCount: this.#ledger.count };
  }

  /** Puts the tag over the zeros that were written and hashed in its place. */
  #patchTag(databaseChecksum: Checksum): void {
    const bytes = encodeReservedTag(databaseChecksum);
    const { offset } = RESERVED_FIELDS.tag;
    this.#sink.patch(offset, bytes);
    const change: CrcRegister = { low: 0, high: 0 };
    this.#kernel.crc64(change, bytes);
    this.#kernel.crc64Shift(change, this.#hashedBytes - (offset + bytes.length));
    xorCrc(this.#crc, change);
  }

  /** Writes bytes that the file checksum covers as they are. */
  #put(bytes: Uint8Array): void {
    this.#kernel.crc64(this.#crc, bytes);
    this.#sink.write(bytes);
    this.#hashedBytes += bytes.length;
    this.#writtenBytes += bytes.length;
  }

  /** Accepts all of the page numbers or none. */
  #acceptOrder(pgnos: Uint32Array): void {
    const before = this.#order.last;
    for (const pgno of pgnos) {
      const problem = this.#order.accept(pgno);
      if (problem === undefined) continue;
      this.#order.rewind(before);
      throw ltxMisuse(ACTION, problem);
    }
  }

  #checkPostApply(given: Checksum | undefined): Checksum {
    const checksum = given ?? NO_CHECKSUM;
    const found = `post-apply checksum ${formatChecksum(checksum)}`;
    if (!isTracked(this.#header)) {
      if (checksum !== NO_CHECKSUM)
        throw ltxMisuse(ACTION, `${found}, wanted 0: flag NoChecksum is set`);
      return checksum;
    }
    if ((checksum & CHECKSUM_FLAG) === 0n) throw ltxMisuse(ACTION, `${found}, wanted bit 63 set`);
    if (this.#header.commit === 0 && checksum !== CHECKSUM_FLAG) {
      throw ltxMisuse(ACTION, `${found}, wanted that of an empty database`);
    }
    return checksum;
  }

  /** The checksum to patch in, or `undefined` when the header has what it needs. */
  #checkDatabaseChecksum(given: Checksum | undefined): Checksum | undefined {
    const written = this.#header.databaseChecksum;
    if (given === undefined || given === written) return undefined;
    if (written !== NO_CHECKSUM) {
      const change = `${formatChecksum(written)} to ${formatChecksum(given)}`;
      throw ltxMisuse(ACTION, `database checksum changed from ${change}`);
    }
    if ((given & CHECKSUM_FLAG) === 0n) {
      throw ltxMisuse(ACTION, `database checksum ${formatChecksum(given)}, wanted bit 63 set`);
    }
    return given;
  }

  #expectPages(): void {
    if (this.#state.at === "pages") return;
    if (this.#state.at === "finished") throw ltxMisuse(ACTION, "the file is finished");
    throw ltxMisuse(ACTION, "an earlier call failed", this.#state.cause);
  }

  /** Runs a step that writes; when it throws, nothing more can be written to the file. */
  #guard<T>(step: () => T): T {
    try {
      return step();
    } catch (error) {
      this.#state = { at: "failed", cause: error };
      throw error;
    }
  }
}
