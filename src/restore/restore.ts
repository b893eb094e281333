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
import { DecodePool, DEFAULT_PARALLELISM, MAX_PARALLELISM } from "./decode-pool.ts";
import { requireIntegrity, type IntegrityCheck } from "./integrity.ts";
import { planRestore } from "./listing.ts";
import { Output } from "./output.ts";
import type { RestorePlan, RestoreTarget } from "./plan.ts";
import { ProgressMeter, type RestoreProgress } from "./progress.ts";
import { assembleProven, type Proven } from "./prove.ts";
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
  /** SQLite's own check, before the new file gets its name. Default `none`. */
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

export interface RestoreResult {
  /** The TXID whose state was restored. */
  readonly txid: Txid;
  readonly pages: number;
  readonly pageSize: number;
  readonly sizeBytes: number;
  /** Files of the plan that were used. */
  readonly files: number;
  readonly proof: RestoreProof;
  /** Rolling checksum of the restored database. */
  readonly databaseChecksum: Checksum;
  readonly durationMs: number;
  readonly plan: RestorePlan;
}

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
    const { plan, assembled } = await fill(options, {
      output,
      files,
      meter,
      clock,
      random,
      parallelism,
    });
    output.publish();
    meter.enter("done");
    const { pageSize, pages, proof, databaseChecksum, filesUsed } = assembled;
    return {
      txid: plan.txid,
      pages,
      pageSize,
      sizeBytes: pages * pageSize,
      files: filesUsed,
      proof,
      databaseChecksum,
      durationMs: Math.round(clock.monotonic() - startedAt),
      plan,
    };
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

/** Makes the temporary file complete, proven and durable. When it settles no thread is left. */
async function fill(
  options: RestoreOptions,
  context: FillContext,
): Promise<{ plan: RestorePlan; assembled: Proven }> {
  const { output, files, meter, clock, random, parallelism } = context;
  const { store, target, signal, integrityCheck = "none", logger = SILENT } = options;
  await using pool = new DecodePool(parallelism);
  for (let attempt = 1; ; attempt += 1) {
    meter.enter("plan");
    const plan = await planRestore(store, target, { signal, clock, random });
    output.discard();
    const path = output.createTemporary();
    try {
      await using flush = new BackgroundFlush("restore output flush", path, FLUSH_BYTES);
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
        onRetry: (error, file, delayMs) =>
          logger.log("warn", "reading the replica failed, trying again", {
            error: error.message,
            level: file.level,
            delayMs: Math.round(delayMs),
          }),
      });
      await extendOutput(assembled, { pool, files, path });
      signal?.throwIfAborted();
      if (integrityCheck !== "none") {
        meter.enter("check");
        await requireIntegrity(path, { mode: integrityCheck, output: output.path, signal });
      }
      return { plan, assembled };
    } catch (error) {
      // Retention may remove what a plan needs while newer files cover it: plan again on what is there now.
      if (!isMillraceError(error, "storage/not-found") || attempt === PLAN_ATTEMPTS) throw error;
      logger.log("warn", "a file of the plan was deleted, planning again", {
        error: error.message,
      });
    }
  }
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
