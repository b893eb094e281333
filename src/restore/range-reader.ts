/**
 * Ranges of LTX files out of the store, tried again when the store fails in passing.
 *
 * A range is the unit of a retry: none is larger than a few megabytes, so that a broken connection costs
 * little.
 */
import type { Clock, Random } from "../base/clock.ts";
import { isMillraceError, MillraceError } from "../errors.ts";
import type { LtxFileInfo, LtxStore } from "../storage/ltx-store.ts";
import type { LocalReader } from "./local-reader.ts";
import { describeFile } from "./plan.ts";
import { retryPassing } from "./retry.ts";

export interface RangeReaderOptions {
  readonly store: LtxStore;
  readonly clock: Clock;
  readonly random: Random;
  readonly signal?: AbortSignal | undefined;
  /** Reads files of this machine without the store. */
  readonly local?: LocalReader | undefined;
  /** Called before a range is asked for again. */
  readonly onRetry?:
    | ((error: MillraceError, file: LtxFileInfo, delayMs: number) => void)
    | undefined;
}

export class RangeReader {
  readonly #options: RangeReaderOptions;

  constructor(options: RangeReaderOptions) {
    this.#options = options;
  }

  /**
   * Exactly `sizeBytes` bytes from `offset`, in a buffer owned by the caller and shared with nothing.
   * Throws what the store throws once it is not worth trying again; `storage/truncated` also when the
   * file is not as long as it was listed.
   */
  async read(
    file: LtxFileInfo,
    offset: number,
    sizeBytes: number,
  ): Promise<Uint8Array<ArrayBuffer>> {
    const local = await this.#readLocal(file, offset, sizeBytes);
    if (local !== undefined) return local;
    const { clock, random, signal, onRetry } = this.#options;
    let attempts = 0;
    const notify = (error: MillraceError, delayMs: number): void => onRetry?.(error, file, delayMs);
    try {
      return await retryPassing({ clock, random, signal, onRetry: notify }, (attempt) => {
        attempts = attempt;
        return this.#readOnce(file, offset, sizeBytes);
      });
    } catch (error) {
      signal?.throwIfAborted();
      throw describe(error, file, attempts);
    }
  }

  /** Where a thread can read the file by itself; `undefined` when only the store can. */
  pathOf(file: LtxFileInfo): string | undefined {
    const { store, local } = this.#options;
    return local === undefined ? undefined : store.localPath(file);
  }

  async #readLocal(
    file: LtxFileInfo,
    offset: number,
    sizeBytes: number,
  ): Promise<Uint8Array<ArrayBuffer> | undefined> {
    const { local, signal } = this.#options;
    const path = this.pathOf(file);
    if (path === undefined) return undefined;
    const bytes = await local?.read({ path, offset, sizeBytes, fileSizeBytes: file.sizeBytes });
    signal?.throwIfAborted();
    return bytes;
  }

  async #readOnce(
    file: LtxFileInfo,
    offset: number,
    sizeBytes: number,
  ): Promise<Uint8Array<ArrayBuffer>> {
    const { store, signal } = this.#options;
    signal?.throwIfAborted();
    const isWhole = offset === 0 && sizeBytes === file.sizeBytes;
    const body = await store.open(file, isWhole ? { signal } : { offset, sizeBytes, signal });
    if (body.info.sizeBytes !== file.sizeBytes) {
      await body[Symbol.asyncDispose]();
      throw new MillraceError(
        "storage/truncated",
        `read ${describeFile(file)}: ${body.info.sizeBytes} bytes, listed were ${file.sizeBytes}`,
        { op: "read file", details: { key: store.keyOf(file) } },
      );
    }
    const bytes = await body.bytes();
    if (bytes.length !== sizeBytes) {
      throw new MillraceError(
        "storage/truncated",
        `read ${describeFile(file)}: ${bytes.length} bytes at offset ${offset}, wanted ${sizeBytes}`,
        { op: "read file", details: { key: store.keyOf(file) } },
      );
    }
    return unshared(bytes);
  }
}

function describe(error: unknown, file: LtxFileInfo, attempts: number): unknown {
  if (!isMillraceError(error)) return error;
  const tries = attempts === 1 ? "" : ` after ${attempts} attempts`;
  return new MillraceError(error.code, `read ${describeFile(file)}${tries}: ${error.message}`, {
    op: "read file",
    details: { ...error.details, file: describeFile(file), level: file.level, attempts },
    hint: error.hint,
    cause: error,
  });
}

/** The same bytes in a buffer that may be transferred to another thread. */
function unshared(bytes: Uint8Array): Uint8Array<ArrayBuffer> {
  const { buffer } = bytes;
  const isAlone =
    buffer instanceof ArrayBuffer && bytes.byteOffset === 0 && bytes.length === buffer.byteLength;
  return isAlone ? new Uint8Array(buffer) : new Uint8Array(bytes);
}
