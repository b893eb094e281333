/** Opens the hot loops: WebAssembly where it exists, else their twin in TypeScript. */
import { assert } from "../base/assert.ts";
import { isPageSize } from "./abi.ts";
import { BoundKernel } from "./bound-kernel.ts";
import type { Kernel } from "./contract.ts";
import { hasWasm, openTwin, openWasm } from "./engine.ts";

export { DECODE_STOP, isPageSize, lz4BlockBound, maxPageFrameSize } from "./abi.ts";
export type { DecodeStop } from "./abi.ts";
export type {
  BatchPlace,
  DecodedRun,
  Kernel,
  PageFormat,
  WalGeneration,
  WalSum,
} from "./contract.ts";
export { crcValue, newCrc, xorCrc } from "./crc.ts";
export type { CrcRegister } from "./crc.ts";

export interface KernelOptions {
  /** A power of two from 512 to 65,536. */
  readonly pageSize: number;
  readonly batchPages?: number | undefined;
  /** Use the plain TypeScript twin although WebAssembly is there. */
  readonly twin?: boolean | undefined;
}

/**
 * Bytes of pages that a default batch holds: large enough to hide call costs, small enough for the
 * second-level cache.
 */
const DEFAULT_BATCH_BYTES = 256 * 1024;
const MIN_DEFAULT_BATCH_PAGES = 16;
const MAX_DEFAULT_BATCH_PAGES = 256;
const MAX_BATCH_PAGES = 4096;

/** 64 pages of 4096 bytes; never fewer than 16 pages. */
export function defaultBatchPages(pageSize: number): number {
  const fitting = Math.floor(DEFAULT_BATCH_BYTES / pageSize);
  return Math.min(MAX_DEFAULT_BATCH_PAGES, Math.max(MIN_DEFAULT_BATCH_PAGES, fitting));
}

/**
 * Opens a kernel for one page size. Takes about half a millisecond the first time and a memory of
 * two to three batches.
 */
export function openKernel(options: KernelOptions): Kernel {
  const { pageSize } = options;
  const batchPages = options.batchPages ?? defaultBatchPages(pageSize);
  assert(isPageSize(pageSize), `page size ${pageSize} is a power of two from 512 to 65536`);
  assert(
    Number.isInteger(batchPages) && batchPages >= 1 && batchPages <= MAX_BATCH_PAGES,
    `batch of ${batchPages} pages is between 1 and ${MAX_BATCH_PAGES}`,
  );
  const useTwin = options.twin === true || !hasWasm();
  return new BoundKernel(useTwin ? openTwin(pageSize, batchPages) : openWasm(pageSize, batchPages));
}
