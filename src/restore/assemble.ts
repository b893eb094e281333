/**
 * The files of a plan to one database: every page from the newest file that holds it, many at once.
 *
 * Files are looked at from the newest to the oldest. The first file that holds a page has its newest version,
 * so one bit a page is all that has to be remembered; frames are decoded by the threads in any order, each to its own
 * place. What is wanted of the files newer than the snapshot is kept aside, to be written along with the snapshot's
 * pages. When nothing is missing any more, older files are not opened. That also ends at a change of the page size: its
 * first file holds every page.
 *
 * Memory: the page set (32 MB for 2^28 pages; larger databases are done in spans), the files opened ahead, what is
 * remembered of kept pages, and the pieces in flight. None grows with the database.
 */
import { handledElsewhere } from "../base/async.ts";
import { defined } from "../base/assert.ts";
import type { Clock, Random } from "../base/clock.ts";
import { NO_CHECKSUM, toChecksum, type Checksum, type Pgno } from "../base/ids.ts";
import { MillraceError } from "../errors.ts";
import { openKernel, xorCrc, type CrcRegister, type Kernel } from "../kernel/kernel.ts";
import { CHECKSUM_FLAG } from "../ltx/constants.ts";
import { isSnapshot, lockPgno } from "../ltx/header.ts";
import type { LtxFileInfo, LtxStore } from "../storage/ltx-store.ts";
import { BoundedJobs, type JobLimits } from "./bounded-jobs.ts";
import { FRAME_USE, type FrameSums } from "./decode-frames.ts";
import { LocalReader } from "./local-reader.ts";
import { openOutput, type OpenOutputOptions, type RestoreProof } from "./open-output.ts";
import { PageSet } from "./page-set.ts";
import { NO_PATCHES, Patches } from "./patches.ts";
import { piecesOf } from "./pieces.ts";
import { openPlanFile, WHOLE_FILE_BYTES, type PlanFile } from "./plan-file.ts";
import { RangeReader, type RangeReaderOptions } from "./range-reader.ts";
import { scanFile, type PieceWork, type ScanContext } from "./scan-file.ts";
import { sumZeroPages } from "./zero-pages.ts";

/** Pages whose state is kept at once. */
export const SPAN_PAGES: number = 2 ** 28;
/** Pieces being read or decoded. */
export const JOB_LIMITS: JobLimits = { maxBytes: 16 * 1024 * 1024, maxJobs: 64 };
/** Files opened ahead of the one that is looked at. */
const AHEAD_BYTES = 12 * 1024 * 1024;
const AHEAD_FILES = 64;
/** What an open file costs beside the bytes read. */
const OPEN_FILE_BYTES = 128 * 1024;

export interface AssembleOptions extends OpenOutputOptions {
  readonly store: LtxStore;
  /** The plan, oldest first, at least one. */
  readonly files: readonly LtxFileInfo[];
  readonly clock: Clock;
  readonly random: Random;
  readonly signal?: AbortSignal | undefined;
  /** For tests: pages done at once. */
  readonly spanPages?: number | undefined;
  readonly onBegin?: ((pagesTotal: number, pageSize: number) => void) | undefined;
  /** Hears of pages that were decoded and written, and their bytes. */
  readonly onPages?: ((pages: number, bytes: number) => void) | undefined;
  readonly onRetry?: RangeReaderOptions["onRetry"];
}

export interface Assembled {
  readonly pageSize: number;
  /** Pages of the database, the lock page included. */
  readonly pages: number;
  /** Rolling checksum of what was decoded; `undefined` when it was not summed. */
  readonly decodedChecksum: Checksum | undefined;
  /** The same as recorded in the newest file; NO_CHECKSUM when it has none. Comparing is the caller's business. */
  readonly recordedChecksum: Checksum;
  /** `file-checksums`: every file that was used has been checked whole. */
  readonly proof: RestoreProof;
  /** Pages that no file holds any more or ever held: zeros. */
  readonly zeroPages: number;
  /** The first of these. */
  readonly firstZeroPgno: Pgno | undefined;
  /** Files that were used; older ones of the plan held nothing that newer ones do not. */
  readonly filesUsed: number;
}

/**
 * Assembles the plan's database. When it returns or throws, no thread works on it any more. Throws `ltx/*` naming the
 * file, `restore/gap` when page sizes differ, what store and file system throw, and the signal's reason.
 */
export async function assemble(options: AssembleOptions): Promise<Assembled> {
  const stop = new AbortController();
  const outer = options.signal;
  const signal = outer === undefined ? stop.signal : AbortSignal.any([outer, stop.signal]);
  const jobs = new BoundedJobs(JOB_LIMITS, (error) => stop.abort(error));
  const { store, clock, random, onRetry } = options;
  const local = new LocalReader(options.pool);
  const reader = new RangeReader({ store, clock, random, signal, onRetry, local });
  try {
    outer?.throwIfAborted();
    return await new Assembly(options, reader, jobs).run();
  } catch (error) {
    stop.abort(error);
    await jobs.settle();
    outer?.throwIfAborted();
    jobs.throwIfFailed();
    throw error;
  } finally {
    // Ends what is still being opened ahead.
    stop.abort(new MillraceError("storage/closed", "the restore has ended"));
  }
}

class Assembly {
  readonly #options: AssembleOptions;
  readonly #reader: RangeReader;
  readonly #jobs: BoundedJobs;
  readonly #sum: CrcRegister = { low: 0, high: 0 };
  readonly #used = new Set<LtxFileInfo>();
  #patchLimits = NO_PATCHES;
  #pageSize = 0;
  #zeroPages = 0;
  #firstZeroPgno: Pgno | undefined;

  constructor(options: AssembleOptions, reader: RangeReader, jobs: BoundedJobs) {
    this.#options = options;
    this.#reader = reader;
    this.#jobs = jobs;
  }

  async run(): Promise<Assembled> {
    const { spanPages = SPAN_PAGES, onBegin } = this.#options;
    let opened = this.#openNewestFirst();
    const newest = defined((await opened.next()).value ?? undefined, "the newest file of a plan");
    const { pageSize, commit } = newest.header;
    this.#pageSize = pageSize;
    const proof = newest.recordedChecksum === NO_CHECKSUM ? "file-checksums" : "database-checksum";
    const kernel = openKernel({ pageSize, batchPages: 1 });
    const proofKernel = proof === "file-checksums" ? kernel : undefined;
    const context = { reader: this.#reader, pool: this.#options.pool, proofKernel };
    const { hashed, patchLimits } = await openOutput(this.#options, newest.header, proof);
    this.#patchLimits = patchLimits;
    onBegin?.(commit, pageSize);
    let first = 1;
    do {
      const set = new PageSet(first, Math.min(commit, first + spanPages - 1), lockPgno(pageSize));
      if (first > 1) opened = this.#openNewestFirst();
      await this.#takeSpan(context, set, first === 1 ? newest : undefined, opened);
      this.#countZeros(set, kernel);
      first += spanPages;
    } while (first <= commit);
    return {
      pageSize,
      pages: commit,
      decodedChecksum: hashed ? toDatabaseChecksum(this.#sum) : undefined,
      recordedChecksum: newest.recordedChecksum,
      proof,
      zeroPages: this.#zeroPages,
      firstZeroPgno: this.#firstZeroPgno,
      filesUsed: this.#used.size,
    };
  }

  /** Finds and decodes every page of the span that any file holds. */
  async #takeSpan(
    context: ScanContext,
    set: PageSet,
    first: PlanFile | undefined,
    others: AsyncIterable<PlanFile>,
  ): Promise<void> {
    const patches = new Patches(this.#patchLimits);
    const start = (work: PieceWork): Promise<void> =>
      this.#start(work.piece.sizeBytes, () => work.run());
    const keep = (work: PieceWork): Promise<void> => {
      const at = patches.keep(work.piece);
      if (at === undefined) return start(work);
      return this.#start(work.piece.sizeBytes, () => work.keep(at));
    };
    let newer: PlanFile | undefined;
    const take = async (file: PlanFile): Promise<boolean> => {
      if (newer !== undefined && file.header.pageSize !== newer.header.pageSize)
        throw mixedSizes(file, newer);
      newer = file;
      this.#used.add(file.info);
      set.lowerTo(file.header.commit);
      const isBase = isSnapshot(file.header);
      // Its pieces read what was kept.
      if (isBase) await this.#jobs.finish();
      await scanFile(context, file, {
        use: (pgno) =>
          set.claim(pgno) ? FRAME_USE.take : (isBase && patches.take(pgno)) || FRAME_USE.check,
        onWork: isBase ? start : keep,
      });
      return set.missingCount === 0;
    };
    let isComplete = first !== undefined && (await take(first));
    if (!isComplete) {
      for await (const file of others) {
        isComplete = await take(file);
        if (isComplete) break;
      }
    }
    await this.#jobs.finish();
    if (!isComplete) throw missingPages(set.missingCount);
    for (const piece of piecesOf(patches.takeRest())) {
      const task = { ...piece, source: new Uint8Array(), fileOffset: 0, keepAt: undefined };
      await this.#start(0, () => context.pool.decode(task));
    }
    await this.#jobs.finish();
  }

  async #start(sizeBytes: number, run: () => Promise<FrameSums>): Promise<void> {
    await this.#jobs.start(sizeBytes, async () => {
      const { sum, pages } = await run();
      xorCrc(this.#sum, sum);
      this.#options.onPages?.(pages, pages * this.#pageSize);
    });
  }

  /** Pages that no file holds are zeros: nothing is written, but their checksums count. */
  #countZeros(set: PageSet, kernel: Kernel): void {
    for (const run of set.unclaimedRuns()) {
      xorCrc(this.#sum, sumZeroPages(kernel, run));
      this.#zeroPages += run.last - run.first + 1;
      this.#firstZeroPgno ??= run.first;
    }
  }

  /** Opens files ahead of their use, within a budget. */
  async *#openNewestFirst(): AsyncGenerator<PlanFile, undefined, void> {
    const files = this.#options.files.toReversed();
    const opening: { readonly file: Promise<PlanFile>; readonly costBytes: number }[] = [];
    let aheadBytes = 0;
    let next = 0;
    for (;;) {
      // Many at a time, which costs less than one by one.
      const room = opening.length <= AHEAD_FILES / 2 ? AHEAD_FILES - opening.length : 0;
      for (const end = next + room; next < end; next += 1) {
        const info = files[next];
        if (info === undefined) break;
        const costBytes = Math.min(info.sizeBytes, WHOLE_FILE_BYTES) + OPEN_FILE_BYTES;
        if (opening.length > 0 && aheadBytes + costBytes > AHEAD_BYTES) break;
        const file = openPlanFile(this.#reader, info);
        // A failure is thrown where the file's turn comes, below; a file whose turn never comes is not needed.
        handledElsewhere(file);
        opening.push({ file, costBytes });
        aheadBytes += costBytes;
      }
      const head = opening.shift();
      if (head === undefined) return undefined;
      aheadBytes -= head.costBytes;
      yield await head.file;
    }
  }
}

/** The rolling database checksum that the XOR of page checksums stands for. */
export function toDatabaseChecksum({ low, high }: CrcRegister): Checksum {
  return toChecksum((BigInt(high >>> 0) << 32n) | BigInt(low >>> 0) | CHECKSUM_FLAG);
}

function missingPages(missing: number): MillraceError {
  const message = `assemble the database: ${missing} pages are in no file of the plan`;
  return new MillraceError("restore/gap", message, {
    op: "restore assemble",
    details: { missing },
    hint: "a file that held them is gone from the replica: restore a TXID before it (millrace ltx -level all lists them), or from another copy of the replica",
  });
}

function mixedSizes(file: PlanFile, newer: PlanFile): MillraceError {
  const sizes = `${file.name} has pages of ${file.header.pageSize} bytes, ${newer.name} of ${newer.header.pageSize}`;
  return new MillraceError(
    "restore/gap",
    `assemble the database: ${sizes}, and the newer file lacks pages`,
    {
      op: "restore assemble",
      details: { older: file.name, newer: newer.name },
      hint: "the page size changed without a complete copy of the database: restore a TXID before, or make a new snapshot",
    },
  );
}
