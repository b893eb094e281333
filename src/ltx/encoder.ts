/**
 * Writes one LTX file, strictly forward except for one patch of the header at the end.
 *
 * The encoder enforces the format's rules, so a file that it finished is valid: page order, no lock
 * page, completeness of snapshots, checksums present, absent and right as the header demands. It
 * holds a few bytes a page (the index) and no pages.
 *
 * Source: superfly/ltx@8cb8f8e `Encoder`; docs/formats/ltx.md.
 */
import { ByteWriter, rows } from "../base/bytes.ts";
import type { Checksum } from "../base/ids.ts";
import type { Kernel, PageFormat } from "../kernel/kernel.ts";
import {
  INDEX_SIZE_SIZE,
  PAGE_HEADER_SIZE,
  PAYLOAD_SIZE_SIZE,
  RESERVED_FIELDS,
  TRAILER_FIELDS,
} from "./constants.ts";
import { ltxMisuse } from "./errors.ts";
import { finalChecksums } from "./final-checksums.ts";
import type { FinalChecksums, LtxFinishOptions } from "./final-checksums.ts";
import { findBatchProblem, hashedBytes, pgnoOfFrame } from "./frame-batch.ts";
import type { FrameBatch } from "./frame-batch.ts";
import { FrameLedger } from "./frame-ledger.ts";
import { HashedOutput } from "./hashed-output.ts";
import type { LtxSink } from "./hashed-output.ts";
import { encodeHeader, encodeReservedTag } from "./header.ts";
import type { LtxHeader } from "./header.ts";
import { PageOrder } from "./page-order.ts";
import { RollingChecksum } from "./rolling-checksum.ts";

export type { LtxFinishOptions } from "./final-checksums.ts";
export type { FrameBatch } from "./frame-batch.ts";
export type { LtxSink } from "./hashed-output.ts";

export interface LtxEncoderOptions {
  /** Opened for the header's page size. Its areas are used during calls only. */
  readonly kernel: Kernel;
  readonly header: LtxHeader;
  readonly sink: LtxSink;
  /** `block` by default, which Litestream reads from 0.5.16 on; `frame` is what every 0.5 reads. */
  readonly pageFormat?: PageFormat | undefined;
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
  readonly #output: HashedOutput;
  readonly #pageFormat: PageFormat;
  readonly #order: PageOrder;
  readonly #ledger: FrameLedger;
  readonly #rolling = new RollingChecksum();
  #state: State = { at: "pages" };

  /** Writes the header. Throws `ltx/misuse` for a header that breaks the format's rules. */
  constructor(options: LtxEncoderOptions) {
    const { kernel, header } = options;
    if (kernel.pageSize !== header.pageSize) {
      const problem = `kernel for pages of ${kernel.pageSize}, header says ${header.pageSize}`;
      throw ltxMisuse(ACTION, problem);
    }
    this.#kernel = kernel;
    this.#header = header;
    this.#output = new HashedOutput(kernel, options.sink);
    this.#pageFormat = options.pageFormat ?? "block";
    this.#order = new PageOrder(header);
    this.#ledger = new FrameLedger(header.pageSize);
    this.#output.put(encodeHeader(header));
  }

  get pageCount(): number {
    return this.#ledger.count;
  }

  /**
   * Encodes pages: `pages` has one page after the other, `pgnos` their numbers. Pages that lie in
   * the kernel's input area are not copied. Returns the page checksums, borrowed from the kernel
   * until its next use when they are of one batch. A refused call (`ltx/misuse`) writes nothing and
   * leaves the encoder as it was.
   */
  writePages(pgnos: Uint32Array, pages: Uint8Array): BigUint64Array {
    this.#expectPages();
    const { pageSize, batchPages } = this.#kernel;
    const count = pgnos.length;
    if (pages.length !== count * pageSize) {
      throw ltxMisuse(ACTION, `${pages.length} bytes for ${count} pages of ${pageSize}`);
    }
    this.#acceptOrder(pgnos);
    if (count <= batchPages) return this.#guard(() => this.#encodeBatch(pgnos, pages));
    return this.#guard(() => {
      const source = this.#isOutput(pages) ? pages.slice() : pages;
      const checksums = new BigUint64Array(count);
      for (let first = 0; first < count; first += batchPages) {
        const end = Math.min(first + batchPages, count);
        const bytes = rows(source, first * pageSize, end * pageSize);
        checksums.set(this.#encodeBatch(rows(pgnos, first, end), bytes), first);
      }
      return checksums;
    });
  }

  /**
   * Copies frames that were compressed before, at most a batch. Their page CRCs must be right: a
   * decoder's are. Returns the page checksums, borrowed from the kernel until its next use. A
   * refused call writes nothing and leaves the encoder as it was.
   */
  writeFrames(batch: FrameBatch): BigUint64Array {
    this.#expectPages();
    const problem = findBatchProblem(batch, this.#kernel);
    if (problem !== undefined) throw ltxMisuse(ACTION, problem);
    this.#acceptOrder(batch.pgnos);
    return this.#guard(() => this.#copyFrames(batch));
  }

  /** Copies one frame that was compressed before; `page` is what it decodes to. */
  writeFrame(frame: Uint8Array, page: Uint8Array): void {
    if (page.length !== this.#kernel.pageSize) {
      throw ltxMisuse(ACTION, `page of ${page.length} bytes, wanted ${this.#kernel.pageSize}`);
    }
    const crc = { low: 0, high: 0 };
    this.#kernel.crc64(crc, page);
    this.writeFrames({
      pgnos: Uint32Array.of(pgnoOfFrame(frame)),
      frames: frame,
      frameSizes: Uint32Array.of(frame.length),
      pageCrcs: new BigUint64Array(Int32Array.of(crc.low, crc.high).buffer),
    });
  }

  /**
   * Ends the file. A second call returns the same summary. Throws `ltx/misuse` when the file would
   * break the rules, and `ltx/checksum-mismatch` when a snapshot's pages do not add up to the
   * checksum given; either leaves the file unfinished.
   */
  finish(options: LtxFinishOptions = {}): LtxFileSummary {
    if (this.#state.at === "finished") return this.#state.summary;
    this.#expectPages();
    const missing = this.#order.finish();
    if (missing !== undefined) throw ltxMisuse(ACTION, missing);
    const checksums = finalChecksums(this.#header, options, this.#rolling.value);
    const summary = this.#guard(() => this.#writeEnd(checksums));
    this.#state = { at: "finished", summary };
    return summary;
  }

  #encodeBatch(pgnos: Uint32Array, pages: Uint8Array): BigUint64Array {
    const kernel = this.#kernel;
    const count = pgnos.length;
    const offset = this.#stage(pages);
    kernel.pgnos.set(pgnos);
    const size = kernel.encodePages(count, this.#pageFormat, this.#output.crc, { offset });
    const headerSize = PAGE_HEADER_SIZE + (this.#pageFormat === "block" ? PAYLOAD_SIZE_SIZE : 0);
    const hashed = count * (headerSize + kernel.pageSize);
    this.#output.putFrames(rows(kernel.output, 0, size), hashed);
    return this.#record(pgnos);
  }

  #copyFrames(batch: FrameBatch): BigUint64Array {
    const kernel = this.#kernel;
    const hashed = hashedBytes(batch, kernel.pageSize);
    kernel.input.set(batch.frames);
    kernel.frameSizes.set(batch.frameSizes);
    kernel.pageCrcs.set(batch.pageCrcs);
    kernel.hashFrames(batch.pgnos.length, this.#output.crc);
    this.#output.putFrames(rows(kernel.input, 0, batch.frames.length), hashed);
    return this.#record(batch.pgnos);
  }

  /** Takes note of the batch whose sizes and checksums are in the kernel's tables. */
  #record(pgnos: Uint32Array): BigUint64Array {
    const { frameSizes } = this.#kernel;
    for (let i = 0; i < pgnos.length; i++) this.#ledger.add(pgnos[i] ?? 0, frameSizes[i] ?? 0);
    const checksums = rows(this.#kernel.checksums, 0, pgnos.length);
    this.#rolling.fold(checksums);
    return checksums;
  }

  #writeEnd({ postApply, tag }: FinalChecksums): LtxFileSummary {
    const output = this.#output;
    output.put(END_MARKER);
    const indexStart = output.writtenBytes;
    for (const piece of this.#ledger.encodeIndex(INDEX_PIECE_SIZE)) output.put(piece);
    const indexSize = output.writtenBytes - indexStart;
    output.put(new ByteWriter(INDEX_SIZE_SIZE).u64(BigInt(indexSize)).bytes);
    output.put(new ByteWriter(TRAILER_FIELDS.postApplyChecksum.size).u64(postApply).bytes);
    if (tag !== undefined) output.fillIn(RESERVED_FIELDS.tag.offset, encodeReservedTag(tag));
    const fileChecksum = output.end();
    return { sizeBytes: output.writtenBytes, fileChecksum, pageCount: this.#ledger.count };
  }

  /** Brings pages into the kernel's input area, unless they are there; returns where. */
  #stage(pages: Uint8Array): number {
    const { input } = this.#kernel;
    const offset = pages.byteOffset - input.byteOffset;
    const fits = offset >= 0 && offset + pages.length <= input.length;
    if (pages.buffer === input.buffer && fits) return offset;
    input.set(pages);
    return 0;
  }

  /** Whether encoding one batch may overwrite pages of the next. */
  #isOutput(pages: Uint8Array): boolean {
    const { output } = this.#kernel;
    return pages.buffer === output.buffer && pages.byteOffset >= output.byteOffset;
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
