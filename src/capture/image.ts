/**
 * The database as one read transaction sees it, page by page: the file, with the pages that the WAL holds laid
 * over it.
 *
 * Safe against everything that may happen meanwhile. Our reader's mark keeps frames up to the mark from being
 * overwritten, unless all of them had already been copied into the file: then a writer may restart the WAL,
 * but nothing may be copied into the file while we read, so the file alone is the image. Which of the two it is
 * shows in the WAL header, which is rewritten before any frame: the header is looked at after each batch, and
 * when the generation has changed the batch is read again from the file.
 */
import type { Pgno } from "../base/ids.ts";
import type { Kernel } from "../kernel/kernel.ts";
import { lockPgno } from "../ltx/header.ts";
import type { Files } from "../platform/files.ts";
import { FRAME_HEADER_SIZE } from "../wal/constants.ts";

export interface WalOverlay {
  /** Byte offset in the WAL of the newest frame of a page. */
  readonly frames: ReadonlyMap<Pgno, number>;
  readonly walFd: number;
  /** The WAL still belongs to the generation that `frames` points into. */
  readonly holds: () => boolean;
}

export class DatabaseImage {
  readonly #files: Files;
  readonly #fd: number;
  readonly #kernel: Kernel;
  #overlay: WalOverlay | undefined;

  /** `fd` is the database file's one descriptor, borrowed. */
  constructor(options: {
    readonly files: Files;
    readonly fd: number;
    readonly kernel: Kernel;
    readonly overlay?: WalOverlay | undefined;
  }) {
    this.#files = options.files;
    this.#fd = options.fd;
    this.#kernel = options.kernel;
    this.#overlay = options.overlay;
  }

  /** Puts pages `first … first + count - 1` into the kernel's input; pages past the end of the file are zeros. */
  read(first: Pgno, count: number): void {
    this.#readFile(first, count);
    const overlay = this.#overlay;
    if (overlay === undefined || !this.#lay(overlay, first, count)) return;
    if (overlay.holds()) return;
    this.#overlay = undefined;
    this.#readFile(first, count);
  }

  #readFile(first: Pgno, count: number): void {
    const { input, pageSize } = this.#kernel;
    const target = input.subarray(0, count * pageSize);
    const got = this.#files.read("read database pages", this.#fd, target, (first - 1) * pageSize);
    target.fill(0, got);
  }

  /** Replaces the pages that the WAL holds; true when there were any. */
  #lay(overlay: WalOverlay, first: Pgno, count: number): boolean {
    const { input, pageSize } = this.#kernel;
    let laid = false;
    for (let index = 0; index < count; index++) {
      const offset = overlay.frames.get(first + index);
      if (offset === undefined) continue;
      const target = input.subarray(index * pageSize, (index + 1) * pageSize);
      const got = this.#files.read(
        "read wal pages",
        overlay.walFd,
        target,
        offset + FRAME_HEADER_SIZE,
      );
      laid = true;
      // A short read can only mean that the WAL was truncated after a restart: `holds` tells.
      target.fill(0, got);
    }
    return laid;
  }

  /** Calls `visit` for batches of pages 1 to `commit`, in order, lock page included. */
  scan(commit: number, visit: (first: Pgno, count: number) => void): void {
    const { batchPages } = this.#kernel;
    for (let first = 1; first <= commit; first += batchPages) {
      const count = Math.min(batchPages, commit - first + 1);
      this.read(first, count);
      visit(first, count);
    }
  }
}

/**
 * Moves those pages of a batch in the kernel's input that `wanted` picks to its front and returns their numbers;
 * the lock page, which never holds data, is never among them.
 */
export function selectPages(
  kernel: Kernel,
  first: Pgno,
  count: number,
  wanted: (index: number) => boolean,
): { readonly pgnos: Uint32Array; readonly pages: Uint8Array } {
  const { input, pageSize } = kernel;
  const lock = lockPgno(pageSize);
  const pgnos = new Uint32Array(count);
  let kept = 0;
  for (let index = 0; index < count; index++) {
    const pgno = first + index;
    if (pgno === lock || !wanted(index)) continue;
    if (kept !== index) input.copyWithin(kept * pageSize, index * pageSize, (index + 1) * pageSize);
    pgnos[kept] = pgno;
    kept += 1;
  }
  return { pgnos: pgnos.subarray(0, kept), pages: input.subarray(0, kept * pageSize) };
}
