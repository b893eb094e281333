/** Small LTX files made with the real encoder, and their reading as plain values. */
import { NO_CHECKSUM, toTxid } from "../base/ids.ts";
import type { Pgno } from "../base/ids.ts";
import { openKernel } from "../kernel/kernel.ts";
import type { Kernel, PageFormat } from "../kernel/kernel.ts";
import { FLAG_NO_CHECKSUM } from "../ltx/constants.ts";
import { LtxDecoder, readLtxHeader } from "../ltx/decoder.ts";
import { LtxEncoder } from "../ltx/encoder.ts";
import type { LtxFinishOptions } from "../ltx/encoder.ts";
import type { LtxHeader } from "../ltx/header.ts";
import { MemorySink, memorySource } from "../ltx/memory.ts";

/** A header as Millrace writes it, for a change at TXID 2. */
export function sampleHeader(fields: Partial<LtxHeader> & Pick<LtxHeader, "pageSize">): LtxHeader {
  return {
    flags: FLAG_NO_CHECKSUM,
    commit: 0,
    minTxid: toTxid(2),
    maxTxid: fields.minTxid ?? toTxid(2),
    timestampMs: 1_700_000_000_000,
    preApplyChecksum: NO_CHECKSUM,
    walOffset: 0,
    walSize: 0,
    walSalt1: 0,
    walSalt2: 0,
    nodeId: 0n,
    databaseChecksum: NO_CHECKSUM,
    ...fields,
  };
}

export interface SampleFile {
  readonly header: LtxHeader;
  readonly pages: ReadonlyMap<Pgno, Uint8Array>;
  readonly pageFormat?: PageFormat | undefined;
  readonly finish?: LtxFinishOptions | undefined;
  readonly kernel?: Kernel | undefined;
}

/** Encodes pages in the order of the map. */
export function encodeSample(file: SampleFile): Uint8Array<ArrayBuffer> {
  const { header, pages } = file;
  const kernel = file.kernel ?? openKernel({ pageSize: header.pageSize });
  const sink = new MemorySink();
  const encoder = new LtxEncoder({ kernel, header, sink, pageFormat: file.pageFormat });
  const all = new Uint8Array(pages.size * header.pageSize);
  [...pages.values()].forEach((page, i) => all.set(page, i * header.pageSize));
  encoder.writePages(Uint32Array.from(pages.keys()), all);
  encoder.finish(file.finish);
  return sink.toBytes();
}

export interface DecodedSample {
  readonly header: LtxHeader;
  readonly pages: Map<Pgno, Uint8Array>;
}

/** Decodes and proves a whole file. */
export function decodeSample(
  bytes: Uint8Array,
  options: { readonly kernel?: Kernel | undefined } = {},
): DecodedSample {
  const source = memorySource(bytes);
  const { pageSize } = readLtxHeader(source);
  const kernel = options.kernel ?? openKernel({ pageSize });
  const decoder = new LtxDecoder({ kernel, source });
  const pages = new Map<Pgno, Uint8Array>();
  for (let batch = decoder.next(); batch !== undefined; batch = decoder.next()) {
    for (const [i, pgno] of batch.pgnos.entries()) {
      pages.set(pgno, batch.pages.slice(i * pageSize, (i + 1) * pageSize));
    }
  }
  decoder.finish();
  return { header: decoder.header, pages };
}
