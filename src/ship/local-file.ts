/**
 * Local LTX files on their way out: proven before they leave, then delivered as bytes.
 *
 * Every file is decoded completely before its first byte is uploaded, so that a file damaged on the
 * local disk never becomes part of a replica. Small files are read once, into one buffer that is both
 * checked and uploaded; large ones are checked in slices that leave the event loop free, then streamed.
 */
import type { LtxFileId } from "../storage/ltx-store.ts";
import type { ByteSource } from "../storage/contract.ts";
import { NO_CHECKSUM } from "../base/ids.ts";
import { isMillraceError, MillraceError } from "../errors.ts";
import { openKernel, type Kernel } from "../kernel/kernel.ts";
import { HEADER_SIZE, TRAILER_SIZE } from "../ltx/constants.ts";
import { RollingChecksum } from "../ltx/rolling-checksum.ts";
import { LtxDecoder, readLtxHeader, type LtxSource } from "../ltx/decoder.ts";
import { lockPgno, type LtxHeader } from "../ltx/header.ts";
import { memorySource } from "../ltx/memory.ts";
import type { Files } from "../platform/files.ts";
import { endsOf, type FileEnds } from "./remote-file.ts";
import type { LocalFile } from "./span.ts";

/** Files up to this size are held in memory while they are uploaded. */
const BUFFER_BYTES = 4 * 1024 * 1024;
const CHUNK_BYTES = 1024 * 1024;
/** Decoded batches between two breaths of the event loop: about 2 MiB of pages. */
const BATCHES_PER_SLICE = 8;
const OP = "read local ltx";

/** A local file that was found whole. */
export interface LocalContent {
  readonly header: LtxHeader;
  /** It holds every page of the database: it stands alone, whatever came before it. */
  readonly holdsEveryPage: boolean;
  readonly ends: FileEnds;
  readonly body: ByteSource;
}

/** Decoders use a kernel during calls only, so one per page size serves all of this thread. */
const kernels = new Map<number, Kernel>();

function kernelFor(pageSize: number): Kernel {
  const kernel = kernels.get(pageSize) ?? openKernel({ pageSize });
  kernels.set(pageSize, kernel);
  return kernel;
}

/** Whether an error says that the file itself is gone or damaged, rather than that it cannot be read now. */
export function isFileLost(error: unknown): boolean {
  return isMillraceError(
    error,
    "fs/not-found",
    "ltx/truncated",
    "ltx/invalid",
    "ltx/checksum-mismatch",
    "ltx/unsupported",
    "ship/local-missing",
  );
}

/** Reads and proves a file. Throws `ltx/*` or `ship/local-missing` for a damaged one, `fs/*` otherwise. */
export async function openLocalFile(
  files: Files,
  path: string,
  options: { readonly file: LocalFile; readonly signal?: AbortSignal | undefined },
): Promise<LocalContent> {
  const { file, signal } = options;
  using source = openSource(files, path);
  checkSize(source, file, path);
  if (source.sizeBytes <= BUFFER_BYTES) {
    const bytes = new Uint8Array(source.sizeBytes);
    if (source.read(0, bytes) !== bytes.length) throw lost(path, "it is shorter than it was");
    const walk = new Walk(memorySource(bytes, path), { file, path });
    while (walk.slice());
    return { ...walk.facts(), ends: endsOf(bytes), body: bytes };
  }
  const walk = new Walk(source, { file, path });
  while (walk.slice()) {
    await new Promise<void>((resolve) => setImmediate(resolve));
    signal?.throwIfAborted();
  }
  const body = { sizeBytes: file.sizeBytes, open: () => readChunks(files, path, file.sizeBytes) };
  return { ...walk.facts(), ends: readEnds(source), body };
}

/** Proves a file in one go. Throws as `openLocalFile` does. */
export function verifyLocalFile(files: Files, path: string, file: LocalFile): void {
  using source = openSource(files, path);
  checkSize(source, file, path);
  const walk = new Walk(source, { file, path });
  while (walk.slice());
}

/** Throws `ltx/*` when there is no header, `fs/*` when the file cannot be read. */
export function readLocalHeader(files: Files, path: string): LtxHeader {
  using source = openSource(files, path);
  return readLtxHeader(source);
}

/** A decoding of a whole file, a slice at a time. */
class Walk {
  readonly #decoder: LtxDecoder;
  readonly #path: string;
  readonly #sum = new RollingChecksum();

  constructor(source: LtxSource, options: { readonly file: LtxFileId; readonly path: string }) {
    const { file, path } = options;
    const { pageSize, minTxid, maxTxid } = readLtxHeader(source);
    if (minTxid !== file.minTxid || maxTxid !== file.maxTxid) {
      throw lost(path, `its header says TXIDs ${minTxid} to ${maxTxid}`);
    }
    this.#path = path;
    this.#decoder = new LtxDecoder({ kernel: kernelFor(pageSize), source });
  }

  /** Decodes on; false when the file is at its end and proven. */
  slice(): boolean {
    for (let count = 0; count < BATCHES_PER_SLICE; count += 1) {
      const batch = this.#decoder.next();
      if (batch === undefined) {
        this.#decoder.finish();
        return false;
      }
      this.#sum.fold(batch.checksums);
    }
    return true;
  }

  facts(): { readonly header: LtxHeader; readonly holdsEveryPage: boolean } {
    const { header } = this.#decoder;
    const { commit, pageSize } = header;
    const countWanted = commit >= lockPgno(pageSize) ? commit - 1 : commit;
    const { pageCount } = this.#decoder.finish();
    const holdsEveryPage = commit > 0 && pageCount === countWanted;
    const declared = header.databaseChecksum;
    if (holdsEveryPage && declared !== NO_CHECKSUM && declared !== this.#sum.value) {
      throw lost(this.#path, "its pages do not add up to the database checksum it declares");
    }
    return { header, holdsEveryPage };
  }
}

function openSource(files: Files, path: string): LtxSource & Disposable {
  const fd = files.open(OP, path, "r");
  return {
    name: path,
    sizeBytes: files.fstat(OP, fd).sizeBytes,
    read: (offset, target) => files.read(OP, fd, target, offset),
    [Symbol.dispose]: () => files.close(OP, fd),
  };
}

function checkSize(source: LtxSource, file: LocalFile, path: string): void {
  if (source.sizeBytes === file.sizeBytes) return;
  throw lost(path, `it has ${source.sizeBytes} bytes, ${file.sizeBytes} were written`);
}

function readEnds(source: LtxSource): FileEnds {
  const header = new Uint8Array(HEADER_SIZE);
  const trailer = new Uint8Array(TRAILER_SIZE);
  source.read(0, header);
  source.read(source.sizeBytes - TRAILER_SIZE, trailer);
  return { sizeBytes: source.sizeBytes, header, trailer, whole: undefined };
}

/** Yields the file's bytes from a descriptor of its own, closed however the reading ends. */
async function* readChunks(
  files: Files,
  path: string,
  sizeBytes: number,
): AsyncGenerator<Uint8Array, void, void> {
  const fd = files.open(OP, path, "r");
  try {
    for (let offset = 0; offset < sizeBytes; offset += CHUNK_BYTES) {
      const chunk = new Uint8Array(Math.min(CHUNK_BYTES, sizeBytes - offset));
      const count = files.read(OP, fd, chunk, offset);
      yield count === chunk.length ? chunk : chunk.subarray(0, count);
      if (count < chunk.length) return;
    }
  } finally {
    files.close(OP, fd);
  }
}

function lost(path: string, found: string): MillraceError {
  return new MillraceError("ship/local-missing", `read local LTX file "${path}": ${found}`, {
    op: OP,
    details: { path },
  });
}
