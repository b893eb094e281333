/**
 * Merges consecutive LTX files into one that has the same effect.
 *
 * Of each page the newest version survives. Compressed frames are copied as they are; they are
 * still decoded, because every input is proven to its last byte before the output gets its trailer,
 * so that a corrupt input leaves no valid output. Memory is bounded by `memoryBytes` however large
 * and many the inputs are.
 *
 * A file that shrinks the database cuts off the pages above its commit for good: versions older
 * than it are dropped even when a later file grows the database over them again. Growth must write
 * every page it adds. The output therefore holds all pages above the smallest commit of the inputs,
 * and a snapshot holds all pages; where one is missing the merge fails (`ltx/missing-page`) instead
 * of letting a stale or invented page through. A snapshot is also compared with the database
 * checksum that its last input declares.
 *
 * Source: superfly/ltx@8cb8f8e `Compactor`, which keeps a stale page in the case above;
 * docs/formats/ltx.md.
 */
import { NO_CHECKSUM, formatChecksum, toTxid } from "../base/ids.ts";
import type { Checksum, Pgno, Txid } from "../base/ids.ts";
import { MillraceError } from "../errors.ts";
import { maxPageFrameSize } from "../kernel/kernel.ts";
import type { Kernel } from "../kernel/kernel.ts";
import { FLAG_NO_CHECKSUM } from "./constants.ts";
import { LtxEncoder } from "./encoder.ts";
import type { LtxFileSummary, LtxSink } from "./encoder.ts";
import { ltxMisuse } from "./errors.ts";
import type { LtxErrorCode, LtxErrorDetails } from "./errors.ts";
import type { FrameBatch } from "./frame-batch.ts";
import { isSnapshot, isTracked, lockPgno, NO_WAL_RANGE } from "./header.ts";
import type { LtxHeader, WalRange } from "./header.ts";
import { MergeInput, MergeQueue } from "./merge-input.ts";
import { isContiguous } from "./names.ts";
import { RollingChecksum } from "./rolling-checksum.ts";
import type { LtxSource } from "./source.ts";

export interface CompactOptions {
  /** Opened for the inputs' page size. */
  readonly kernel: Kernel;
  /**
   * Oldest first, each continuing where the one before it ends. All stay open until the merge is
   * over.
   */
  readonly inputs: readonly LtxSource[];
  readonly sink: LtxSink;
  /**
   * Min TXID of the output. By default that of the first input; 1 declares the output a snapshot
   * although its first input is none, which the merge then proves to be complete. Nothing else is
   * allowed.
   */
  readonly minTxid?: Txid | undefined;
  /** The output's. Default: none, which is right for all levels but 0. */
  readonly walRange?: WalRange | undefined;
  /**
   * Bound for the buffers of all inputs together; each has room for at least one page. 32 MiB by
   * default.
   */
  readonly memoryBytes?: number | undefined;
}

export interface CompactResult extends LtxFileSummary {
  /** The output's header, database checksum included. */
  readonly header: LtxHeader;
}

const DEFAULT_MEMORY_BYTES = 32 * 1024 * 1024;
/** Table bytes that a buffered page costs besides its frame. */
const ROW_BYTES = 16;
const ACTION = "merge LTX files";
const FIRST_TXID = toTxid(1);

/** Merges all inputs at once. See `LtxCompactor` for the errors. */
export function compactLtx(options: CompactOptions): CompactResult {
  const compactor = new LtxCompactor(options);
  while (compactor.step());
  return compactor.finish();
}

/** A merge in steps of one batch, for callers that have other things to do in between. */
export class LtxCompactor {
  readonly #kernel: Kernel;
  readonly #inputs: readonly MergeInput[];
  readonly #queue = new MergeQueue();
  readonly #encoder: LtxEncoder;
  readonly #header: LtxHeader;
  readonly #lock: Pgno;
  readonly #rolling = new RollingChecksum();
  /** Every page from here to the commit must come. */
  readonly #requiredFrom: Pgno;
  #last: Pgno = 0;
  #result: CompactResult | undefined;

  /**
   * Opens all inputs and writes the header. Throws `ltx/misuse` for inputs that do not belong
   * together, and what `LtxDecoder` throws.
   */
  constructor(options: CompactOptions) {
    this.#kernel = options.kernel;
    this.#inputs = openInputs(options);
    checkSequence(this.#inputs);
    this.#header = outputHeader(this.#inputs, options);
    this.#lock = lockPgno(this.#header.pageSize);
    const lowestCommit = limitInputs(this.#inputs);
    this.#requiredFrom = isSnapshot(this.#header) ? 1 : lowestCommit + 1;
    this.#encoder = new LtxEncoder({
      kernel: options.kernel,
      header: this.#header,
      sink: options.sink,
    });
    for (const input of this.#inputs) this.#enqueue(input);
  }

  /** Writes the next run of pages; false when there are none left. */
  step(): boolean {
    const input = this.#queue.pop();
    if (input === undefined) return false;
    const { pgno } = input;
    while (this.#queue.first?.pgno === pgno) this.#dropOlder();
    const end = this.#queue.first?.pgno ?? Number.POSITIVE_INFINITY;
    const { batchPages, input: area } = this.#kernel;
    this.#write(input.take(end, batchPages, area.length));
    this.#enqueue(input);
    return true;
  }

  /**
   * Ends the output. A second call returns the same. Throws `ltx/missing-page` or
   * `ltx/checksum-mismatch`.
   */
  finish(): CompactResult {
    if (this.#result !== undefined) return this.#result;
    if (this.#queue.first !== undefined) throw ltxMisuse(ACTION, "finished before the last step");
    this.#requireUpTo(this.#header.commit);
    const databaseChecksum = this.#declaredChecksum();
    if (isSnapshot(this.#header)) this.#prove(databaseChecksum);
    const summary = this.#encoder.finish(
      databaseChecksum === NO_CHECKSUM ? {} : { databaseChecksum },
    );
    this.#result = { ...summary, header: { ...this.#header, databaseChecksum } };
    return this.#result;
  }

  #enqueue(input: MergeInput): void {
    if (input.refill()) this.#queue.push(input);
  }

  /** Drops an older version of the page that is being written. */
  #dropOlder(): void {
    const older = this.#queue.pop();
    if (older === undefined) return;
    older.skip();
    this.#enqueue(older);
  }

  #write(batch: FrameBatch): void {
    for (const pgno of batch.pgnos) {
      this.#requireUpTo(pgno - 1);
      this.#last = pgno;
    }
    this.#rolling.fold(this.#encoder.writeFrames(batch));
  }

  /** Fails when a page that must come lies between the last one and `pgno`. */
  #requireUpTo(pgno: Pgno): void {
    let missing = Math.max(this.#last + 1, this.#requiredFrom);
    if (missing === this.#lock) missing += 1;
    if (missing > pgno) return;
    const { commit, minTxid, maxTxid } = this.#header;
    const why = isSnapshot(this.#header)
      ? "a snapshot has all pages"
      : "the database shrank below it and grew again without writing it";
    const what = `page ${missing} of ${commit} is in no input that counts: ${why}`;
    throw mergeError("ltx/missing-page", `TXID ${minTxid} to ${maxTxid}: ${what}`, {
      pgno: missing,
      commit,
    });
  }

  /** What the last input says about the database after it. */
  #declaredChecksum(): Checksum {
    const last = this.#inputs.at(-1);
    if (last?.proof === undefined) throw ltxMisuse(ACTION, "an input was not read to its end");
    const { header, proof } = last;
    return isTracked(header) ? proof.postApplyChecksum : header.databaseChecksum;
  }

  #prove(declared: Checksum): void {
    const computed = this.#rolling.value;
    if (declared === NO_CHECKSUM || declared === computed) return;
    const found = `database checksum ${formatChecksum(declared)}`;
    const wanted = `merged pages have ${formatChecksum(computed)}`;
    throw mergeError(
      "ltx/checksum-mismatch",
      `up to TXID ${this.#header.maxTxid}: ${found}, ${wanted}`,
    );
  }
}

function mergeError(
  code: LtxErrorCode,
  problem: string,
  details: LtxErrorDetails = {},
): MillraceError {
  return new MillraceError(code, `${ACTION} ${problem}`, { op: ACTION, details });
}

function openInputs(options: CompactOptions): MergeInput[] {
  const { kernel, inputs, memoryBytes = DEFAULT_MEMORY_BYTES } = options;
  if (inputs.length === 0) throw ltxMisuse(ACTION, "no inputs");
  const pageBytes = maxPageFrameSize(kernel.pageSize) + ROW_BYTES;
  const fitting = Math.floor(memoryBytes / inputs.length / pageBytes);
  const batchPages = Math.min(kernel.batchPages, Math.max(1, fitting));
  return inputs.map((source, age) => new MergeInput({ kernel, source, age, batchPages }));
}

function checkSequence(inputs: readonly MergeInput[]): void {
  let previous: LtxHeader | undefined;
  for (const { header } of inputs) {
    if (previous !== undefined && !isContiguous(previous.maxTxid, header)) {
      const range = `${header.minTxid} to ${header.maxTxid}`;
      throw ltxMisuse(ACTION, `TXID ${range} after ${previous.maxTxid}, wanted the next`);
    }
    previous = header;
  }
}

function outputHeader(
  inputs: readonly MergeInput[],
  { minTxid, walRange = NO_WAL_RANGE }: CompactOptions,
): LtxHeader {
  const first = inputs[0]?.header;
  const last = inputs.at(-1)?.header;
  if (first === undefined || last === undefined) throw ltxMisuse(ACTION, "no inputs");
  if (minTxid !== undefined && minTxid !== FIRST_TXID && minTxid !== first.minTxid) {
    throw ltxMisuse(ACTION, `min TXID ${minTxid}, wanted 1 or that of the first input`);
  }
  return {
    flags: FLAG_NO_CHECKSUM,
    pageSize: first.pageSize,
    commit: last.commit,
    minTxid: minTxid ?? first.minTxid,
    maxTxid: last.maxTxid,
    timestampMs: last.timestampMs,
    preApplyChecksum: NO_CHECKSUM,
    ...walRange,
    nodeId: 0n,
    databaseChecksum: last.databaseChecksum,
  };
}

/** Cuts each input off at the smallest commit from it on; returns the smallest of all. */
function limitInputs(inputs: readonly MergeInput[]): number {
  let limit = Number.POSITIVE_INFINITY;
  for (const input of inputs.toReversed()) {
    limit = Math.min(limit, input.header.commit);
    input.limitTo(limit);
  }
  return limit;
}
