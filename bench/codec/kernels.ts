/** The kernel's operations over a whole database or log in memory, as the product calls them: a batch at a time. */
import { openKernel, type Kernel } from "../../src/kernel/kernel.ts";
import { WAL_HEADER_SIZE, frameSize } from "../../src/wal/constants.ts";
import type { WalHeader } from "../../src/wal/header.ts";

/** Encoded frames, one piece a batch. */
export interface EncodedBatch {
  readonly count: number;
  readonly frames: Uint8Array;
}

export class KernelLoops {
  readonly kernel: Kernel;

  constructor(pageSize: number, engine: Kernel["engine"]) {
    this.kernel = openKernel({ pageSize, twin: engine === "twin" });
  }

  /** Compresses and hashes every page; `keep` gets a copy of each batch. Returns the encoded size. */
  encode(pages: Uint8Array, keep?: EncodedBatch[]): number {
    const { kernel } = this;
    const crc = { low: 0, high: 0 };
    let total = 0;
    this.#batches(pages, (count) => {
      const size = kernel.encodePages(count, "block", crc);
      total += size;
      keep?.push({ count, frames: kernel.output.slice(0, size) });
    });
    return total;
  }

  decode(batches: readonly EncodedBatch[]): void {
    const { kernel } = this;
    const crc = { low: 0, high: 0 };
    for (const { count, frames } of batches) {
      kernel.input.set(frames);
      const run = kernel.decodePages(crc, { offset: 0, size: frames.length, maxCount: count });
      if (run.count !== count) throw new Error(`decoded ${run.count} frames of ${count}`);
    }
  }

  checksums(pages: Uint8Array): void {
    this.#batches(pages, (count) => this.kernel.pageChecksums(this.kernel.pgnos.slice(0, count)));
  }

  /** Checks every frame of a log. */
  verifyWal(wal: Uint8Array, header: WalHeader): void {
    const { kernel } = this;
    const size = frameSize(kernel.pageSize);
    const sum = { ...header.sum };
    for (let offset = WAL_HEADER_SIZE; offset < wal.length;) {
      const count = Math.min(kernel.batchPages, Math.floor((wal.length - offset) / size));
      kernel.input.set(wal.subarray(offset, offset + count * size));
      const valid = kernel.walFrames(count, header, sum);
      if (valid !== count) throw new Error(`WAL frame at ${offset + valid * size} does not hold`);
      offset += count * size;
    }
  }

  #batches(pages: Uint8Array, run: (count: number) => void): void {
    const { kernel } = this;
    const { pageSize, batchPages } = kernel;
    for (let start = 0, pgno = 1; start < pages.length; start += batchPages * pageSize) {
      const batch = pages.subarray(start, start + batchPages * pageSize);
      const count = batch.length / pageSize;
      kernel.input.set(batch);
      for (let index = 0; index < count; index += 1) kernel.pgnos[index] = pgno++;
      run(count);
    }
  }
}
