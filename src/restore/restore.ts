/**
 * Restoring a database from its replica: plan, assemble, prove, check, flush, and only then give the new
 * file its name. Until then nothing but a temporary file beside the output changes, and on any failure that
 * is removed.
 */
import type { Clock, Random } from "../base/clock.ts";
import { SILENT, type Logger } from "../base/logger.ts";
import type { Checksum, Txid } from "../base/ids.ts";
import { isMillraceError, MillraceError } from "../errors.ts";
import { systemClock, systemRandom } from "../platform/clock.ts";
import { BackgroundFlush } from "../platform/background-flush.ts";
import { nodeFiles, type Files } from "../platform/files.ts";
import type { LtxStore } from "../storage/ltx-store.ts";
import type { RestoreProof } from "./open-output.ts";
import { planBackup, type LegacyBackup } from "./backup.ts";
import { DecodePool, DEFAULT_PARALLELISM, MAX_PARALLELISM } from "./decode-pool.ts";
import { requireIntegrity, type IntegrityCheck } from "./integrity.ts";
import type { LEGACY_FORMAT } from "./legacy/names.ts";
import type { LegacyPlan } from "./legacy/plan.ts";
import { Output } from "./output.ts";
import type { RestorePlan, RestoreTarget } from "./plan.ts";
import { ProgressMeter, type RestoreProgress } from "./progress.ts";
import { assembleProven } from "./prove.ts";
import { extendOutput, readBack } from "./read-back.ts";

export interface RestoreOptions {
  /** The replica; stays open. */
  readonly store: LtxStore;
  /** Path of the database file to be. Missing parent directories are created. */
  readonly output: string;
  /** Default `latest`. */
  readonly target?: RestoreTarget | undefined;
  /** Replace an existing database and its sidecars, once the new one is proven. */
  readonly force?: boolean | undefined;
  /**
   * SQLite's own check, before the new file gets its name. Default `none`; for a backup of Litestream 0.3, which
   * records nothing to compare the database with, `quick`.
   */
  readonly integrityCheck?: IntegrityCheck | undefined;
  /** Decoding threads, 1 to 64; default 2. */
  readonly parallelism?: number | undefined;
  readonly signal?: AbortSignal | undefined;
  readonly onProgress?: ((progress: RestoreProgress) => void) | undefined;
  readonly logger?: Logger | undefined;
  readonly clock?: Clock | undefined;
  readonly random?: Random | undefined;
  /** The main thread's file operations: checks, creation, renames. */
  readonly files?: Files | undefined;
}

interface RestoreFacts {
  readonly pages: number;
  readonly pageSize: number;
  readonly sizeBytes: number;
  /** Files of the plan that were used. */
  readonly files: number;
  readonly proof: RestoreProof;
  /** Rolling checksum of the restored database. */
  readonly databaseChecksum: Checksum;
  /** SQLite's check that the result has passed. */
  readonly integrityCheck: IntegrityCheck;
  readonly durationMs: number;
}

/** A database restored from LTX files. */
export interface LtxRestoreResult extends RestoreFacts {
  readonly format: "ltx";
  /** The TXID whose state was restored. */
  readonly txid: Txid;
  readonly plan: RestorePlan;
}

/** A database restored from a backup of Litestream 0.3, which has no TXIDs. */
export interface LegacyRestoreResult extends RestoreFacts {
  readonly format: typeof LEGACY_FORMAT;
  readonly txid: undefined;
  readonly plan: LegacyPlan;
  /** Transactions of the write-ahead logs that were applied. */
  readonly transactions: number;
  /** Bytes of log behind the last commit, which were left out. */
  readonly unfinishedBytes: number;
}

export type RestoreResult = LtxRestoreResult | LegacyRestoreResult;

/** Bytes written that are worth a flush while others are being written. */
const FLUSH_BYTES = 256 * 1024 * 1024;
/** How often a plan is made anew because its files were deleted while it was carried out. */
const PLAN_ATTEMPTS = 3;

/**
 * Restores a database. Resolves once it is durable at `output`. Rejects with `restore/*`, `ltx/*`, `storage/*`, `fs/*`
 * or the signal's reason; then the output and its sidecars are as they were.
 */
export async function restoreDatabase(options: RestoreOptions): Promise<RestoreResult> {
  const { clock = systemClock, random = systemRandom, files = nodeFiles } = options;
  const { parallelism = DEFAULT_PARALLELISM, force = false, signal } = options;
  const startedAt = clock.monotonic();
  if (!Number.isInteger(parallelism) || parallelism < 1 || parallelism > MAX_PARALLELISM) {
    throw new MillraceError(
      "usage/invalid",
      `restore with parallelism ${parallelism}: wanted 1 to ${MAX_PARALLELISM}`,
    );
  }
  signal?.throwIfAborted();
  const output = new Output({ files, output: options.output, force, random });
  const meter = new ProgressMeter(clock, options.onProgress);
  try {
    const filled = await fill(options, { output, files, meter, clock, random, parallelism });
    output.publish();
    meter.enter("done");
    return { ...filled, durationMs: Math.round(clock.monotonic() - startedAt) };
  } catch (error) {
    discardQuietly(output, options.logger ?? SILENT);
    throw explain(error, output);
  }
}

interface FillContext {
  readonly output: Output;
  readonly files: Files;
  readonly meter: ProgressMeter;
  readonly clock: Clock;
  readonly random: Random;
  readonly parallelism: number;
}

type Filled = Omit<LtxRestoreResult, "durationMs"> | Omit<LegacyRestoreResult, "durationMs">;

/** Makes the temporary file complete, proven and durable. When it settles no thread is left. */
async function fill(options: RestoreOptions, context: FillContext): Promise<Filled> {
  const { output, meter, clock, random, parallelism } = context;
  const { store, target, signal, logger = SILENT } = options;
  await using pool = new DecodePool(parallelism);
  for (let attempt = 1; ; attempt += 1) {
    meter.enter("plan");
    const backup = await planBackup(store, target, { signal, clock, random });
    output.discard();
    const path = output.createTemporary();
    try {
      await using flush = new BackgroundFlush("restore output flush", path, FLUSH_BYTES);
      const place = { ...context, pool, path, flush };
      const filled =
        backup.format === "ltx"
          ? await fillFromFiles(options, place, backup.plan)
          : await fillFromBackup(options, place, backup);
      signal?.throwIfAborted();
      if (filled.integrityCheck !== "none") {
        meter.enter("check");
        const mode = filled.integrityCheck;
        await requireIntegrity(path, { mode, output: output.path, signal });
      }
      return filled;
    } catch (error) {
      // Retention may remove what a plan needs while newer files cover it: plan again on what is there now.
      if (!isMillraceError(error, "storage/not-found") || attempt === PLAN_ATTEMPTS) throw error;
      logger.log("warn", "a file of the plan was deleted, planning again", {
        error: error.message,
      });
    }
  }
}

interface FillPlace extends FillContext {
  readonly pool: DecodePool;
  /** The temporary file, which exists and is empty. */
  readonly path: string;
  readonly flush: BackgroundFlush;
}

async function fillFromFiles(
  options: RestoreOptions,
  { pool, path, flush, files, meter, clock, random }: FillPlace,
  plan: RestorePlan,
): Promise<Filled> {
  const { store, signal, integrityCheck = "none", logger = SILENT } = options;
  const assembled = await assembleProven({
    store,
    files: plan.files,
    pool,
    output: { path, files },
    readBack: (whole) => {
      meter.enter("sync");
      return readBack(whole, { pool, files, path, flush, signal });
    },
    clock,
    random,
    signal,
    onBegin: (pagesTotal, pageSize) => meter.begin(pagesTotal, pageSize),
    onPages: (pages, bytes) => {
      flush.wrote(bytes);
      meter.add(pages);
    },
    onDiagnose: () => meter.enter("diagnose"),
    onRetry: (error, file, delayMs) => warnOfRetry(logger, error, { level: file.level, delayMs }),
  });
  await extendOutput(assembled, { pool, files, path });
  const { pageSize, pages, proof, databaseChecksum, filesUsed } = assembled;
  return {
    format: "ltx",
    txid: plan.txid,
    pages,
    pageSize,
    sizeBytes: pages * pageSize,
    files: filesUsed,
    proof,
    databaseChecksum,
    integrityCheck,
    plan,
  };
}

async function fillFromBackup(
  options: RestoreOptions,
  place: FillPlace,
  { format, plan, target }: LegacyBackup,
): Promise<Filled> {
  const { store, signal, integrityCheck = "quick", logger = SILENT } = options;
  const { meter } = place;
  for (const { generation, newestMs } of plan.passedOver) {
    logger.log(
      "warn",
      "another generation has newer changes than the one with the newest snapshot",
      {
        generation,
        newest: new Date(newestMs).toISOString(),
        restored: plan.generation,
      },
    );
  }
  // Nobody else loads what few need.
  const { fillFromLegacy } = await import("./legacy/fill.ts");
  const filled = await fillFromLegacy({
    ...place,
    plan,
    target,
    signal,
    store: store.store,
    onBegin: (pagesTotal, pageSize) => meter.begin(pagesTotal, pageSize),
    onPages: (pages) => meter.add(pages),
    onReplay: () => meter.enter("log"),
    onReadBack: () => meter.enter("sync"),
    onRetry: (error, delayMs) => warnOfRetry(logger, error, { delayMs }),
  });
  return {
    ...filled,
    format,
    txid: undefined,
    proof: "legacy-checksums",
    integrityCheck,
    plan,
    sizeBytes: filled.pages * filled.pageSize,
    files: 1 + plan.segments.length,
  };
}

function warnOfRetry(
  logger: Logger,
  error: MillraceError,
  { level, delayMs }: { readonly level?: number | undefined; readonly delayMs: number },
): void {
  logger.log("warn", "reading the replica failed, trying again", {
    error: error.message,
    ...(level === undefined ? {} : { level }),
    delayMs: Math.round(delayMs),
  });
}

/** The failure that led here is the one to report. */
function discardQuietly(output: Output, logger: Logger): void {
  try {
    output.discard();
  } catch (error) {
    logger.log("warn", "the temporary file of a failed restore could not be removed", {
      path: output.temporaryPath,
      error: String(error),
    });
  }
}

/** Says which restore it was, where the error cannot know. */
function explain(error: unknown, output: Output): unknown {
  if (!isMillraceError(error, "fs/disk-full", "restore/unproven")) return error;
  const { code, op, details, message } = error;
  const isFull = code === "fs/disk-full";
  return new MillraceError(code, `restore to "${output.path}": ${message}`, {
    op: isFull ? "restore" : op,
    details: { ...details, output: output.path },
    hint: isFull
      ? "the output was left as it was; free disk space, or choose an output on another file system"
      : error.hint,
    cause: error,
  });
}
