/**
 * Merging local files into one, on disk and durable, in slices that leave the event loop free.
 *
 * The result is written under the name given, which is not its final one: publishing it is up to the caller.
 */
import type { Clock } from "../base/clock.ts";
import { openKernel } from "../kernel/kernel.ts";
import { LtxCompactor } from "../ltx/compactor.ts";
import { UNKNOWN_WAL_RANGE } from "../ltx/header.ts";
import type { LtxSource } from "../ltx/decoder.ts";
import type { LtxSink } from "../ltx/encoder.ts";
import type { Files } from "../platform/files.ts";

/** Follows the final name of a file while it is being merged. */
export const MERGE_SUFFIX = ".merge";

const WRITE_BYTES = 1024 * 1024;
/** Work between two breaths of the event loop. */
const SLICE_MS = 4;
const OP = "merge local ltx";

export interface MergeJob {
  /** Paths, oldest first, of one page size. */
  readonly inputs: readonly string[];
  readonly output: string;
  readonly pageSize: number;
}

/**
 * Merges, fsyncs, and resolves to the output's size in bytes. Every input is proven on the way. Throws
 * `ltx/*` for a damaged input and `fs/*`; then the output is worthless.
 */
export async function mergeFiles(
  job: MergeJob,
  options: { readonly files: Files; readonly clock: Clock },
): Promise<number> {
  const { files, clock } = options;
  using opened = new DisposableStack();
  const inputs = job.inputs.map((path): LtxSource => {
    const fd = files.open(OP, path, "r");
    opened.defer(() => files.close(OP, fd));
    const { sizeBytes } = files.fstat(OP, fd);
    return { name: path, sizeBytes, read: (offset, target) => files.read(OP, fd, target, offset) };
  });
  const fd = files.open(OP, job.output, "w", 0o600);
  opened.defer(() => files.close(OP, fd));
  const sink = new MergeSink(files, fd);
  const compactor = new LtxCompactor({
    kernel: openKernel(job),
    inputs,
    sink,
    walRange: UNKNOWN_WAL_RANGE,
  });
  let sliceMs = clock.monotonic();
  while (compactor.step()) {
    if (clock.monotonic() - sliceMs < SLICE_MS) continue;
    await new Promise<void>((resolve) => setImmediate(resolve));
    sliceMs = clock.monotonic();
  }
  const { sizeBytes } = compactor.finish();
  sink.flush();
  files.fsync(OP, fd);
  return sizeBytes;
}

/** Gathers small writes. */
class MergeSink implements LtxSink {
  readonly #files: Files;
  readonly #fd: number;
  readonly #buffer = new Uint8Array(WRITE_BYTES);
  #bufferedBytes = 0;
  #flushedBytes = 0;

  constructor(files: Files, fd: number) {
    this.#files = files;
    this.#fd = fd;
  }

  write(bytes: Uint8Array): void {
    if (this.#bufferedBytes + bytes.length > this.#buffer.length) this.flush();
    if (bytes.length > this.#buffer.length) {
      this.#files.write(OP, this.#fd, bytes, this.#flushedBytes);
      this.#flushedBytes += bytes.length;
      return;
    }
    this.#buffer.set(bytes, this.#bufferedBytes);
    this.#bufferedBytes += bytes.length;
  }

  patch(offset: number, bytes: Uint8Array): void {
    this.flush();
    this.#files.write(OP, this.#fd, bytes, offset);
  }

  flush(): void {
    if (this.#bufferedBytes === 0) return;
    const bytes = this.#buffer.subarray(0, this.#bufferedBytes);
    this.#files.write(OP, this.#fd, bytes, this.#flushedBytes);
    this.#flushedBytes += this.#bufferedBytes;
    this.#bufferedBytes = 0;
  }
}
