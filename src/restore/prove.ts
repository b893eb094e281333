/**
 * Assembling with proof: what comes out is the database that was captured, or an error that names the file
 * to blame. With an output path this is the heart of a restore, without one of a verification.
 */
import { assert } from "../base/assert.ts";
import { formatChecksum, NO_CHECKSUM, parseChecksum, type Checksum } from "../base/ids.ts";
import { isMillraceError, MillraceError } from "../errors.ts";
import { openKernel } from "../kernel/kernel.ts";
import type { LtxFileInfo } from "../storage/ltx-store.ts";
import { assemble, JOB_LIMITS, type Assembled, type AssembleOptions } from "./assemble.ts";
import { BoundedJobs } from "./bounded-jobs.ts";
import { FRAME_USE } from "./decode-frames.ts";
import type { DecodePool } from "./decode-pool.ts";
import { LocalReader } from "./local-reader.ts";
import { openPlanFile } from "./plan-file.ts";
import { RangeReader } from "./range-reader.ts";
import { scanFile } from "./scan-file.ts";

export interface ProveOptions extends AssembleOptions {
  /** With a path: resolves to the checksum of what is read back from it. */
  readonly readBack: ((assembled: Assembled) => Promise<Checksum>) | undefined;
  /** Called when something did not add up and every file is about to be checked. */
  readonly onDiagnose?: (() => void) | undefined;
}

/** An assembled database and its rolling checksum. */
export interface Proven extends Assembled {
  readonly databaseChecksum: Checksum;
}

/** A file of the plan and what is wrong with it. */
export interface DamagedFile {
  readonly info: LtxFileInfo;
  readonly error: MillraceError;
}

const OP = "restore prove";
const NAMED_FILES_MAX = 20;

/**
 * Assembles and proves. Throws `ltx/*` when a file is damaged, naming level, name, offset and reason;
 * `restore/unproven` when every file is sound but together they do not give the recorded checksum, or the
 * output does not keep what was written; and whatever `assemble` and `readBack` throw.
 */
export async function assembleProven(options: ProveOptions): Promise<Proven> {
  try {
    return await prove(options, await assemble(options));
  } catch (error) {
    if (!isDamage(error)) throw error;
    options.onDiagnose?.();
    throw await diagnose(options, error);
  }
}

async function prove(options: ProveOptions, assembled: Assembled): Promise<Proven> {
  const { decodedChecksum } = assembled;
  if (decodedChecksum !== undefined) requireProof(assembled, decodedChecksum);
  const databaseChecksum = (await options.readBack?.(assembled)) ?? decodedChecksum;
  assert(databaseChecksum !== undefined, "an output is read back, or its pages were summed");
  if (decodedChecksum === undefined) requireProof(assembled, databaseChecksum);
  else if (databaseChecksum !== decodedChecksum) throw unkept(databaseChecksum, decodedChecksum);
  return { ...assembled, databaseChecksum };
}

function requireProof(assembled: Assembled, found: Checksum): void {
  const { recordedChecksum, zeroPages, firstZeroPgno } = assembled;
  if (recordedChecksum === found) return;
  if (recordedChecksum === NO_CHECKSUM) {
    if (zeroPages === 0) return;
    // SQLite writes every page by which a database grows; only a checksum can say that these are zeros indeed.
    throw new MillraceError(
      "restore/unproven",
      `prove the database: ${zeroPages} pages from page ${firstZeroPgno} on are in no file`,
      {
        op: OP,
        details: { zeroPages, firstZeroPgno },
        hint: "changes were lost before they reached the replica: restore a TXID before the database grew over these pages",
      },
    );
  }
  const sums = `${formatChecksum(found)}, recorded at capture was ${formatChecksum(recordedChecksum)}`;
  throw new MillraceError("restore/unproven", `prove the database: its checksum is ${sums}`, {
    op: OP,
    details: { computed: formatChecksum(found), recorded: formatChecksum(recordedChecksum) },
    hint: "no file is damaged, so files of different lineages are mixed or changes are missing: restore another TXID",
  });
}

/** The output does not hold what was written to it. */
export function unkept(found: Checksum, wanted: Checksum): MillraceError {
  const sums = `${formatChecksum(found)}, wanted ${formatChecksum(wanted)}`;
  return new MillraceError("restore/unproven", `read the output back: its checksum is ${sums}`, {
    op: "restore read back",
    details: { written: formatChecksum(found), wanted: formatChecksum(wanted) },
    hint: "the output was left as it was; the disk or file system does not keep what is written to it",
  });
}

/** The best report of what `error` was the first sign of. */
async function diagnose(options: ProveOptions, error: MillraceError): Promise<MillraceError> {
  try {
    const damaged = await findDamage(options);
    const [first] = damaged;
    if (first !== undefined) return blame(first, damaged, error);
    if (options.readBack === undefined || error.code !== "restore/unproven") return error;
    return await blameOutput(options, error);
  } catch (other) {
    options.signal?.throwIfAborted();
    // The files cannot be read again: what was seen first is the better report.
    if (isMillraceError(other)) return error;
    throw other;
  }
}

/** When the same files without an output give the recorded checksum, the output is to blame. */
async function blameOutput(options: ProveOptions, error: MillraceError): Promise<MillraceError> {
  const { decodedChecksum, recordedChecksum } = await assemble({ ...options, output: undefined });
  const { computed } = error.details;
  if (decodedChecksum !== recordedChecksum || typeof computed !== "string") return error;
  return unkept(parseChecksum(computed) ?? NO_CHECKSUM, recordedChecksum);
}

/** Errors that a damaged file can cause. */
function isDamage(error: unknown): error is MillraceError {
  if (!isMillraceError(error)) return false;
  return (
    error.code.startsWith("ltx/") ||
    error.code === "restore/unproven" ||
    error.code === "restore/gap"
  );
}

function blame(
  first: DamagedFile,
  damaged: readonly DamagedFile[],
  error: MillraceError,
): MillraceError {
  const more = damaged.length === 1 ? "" : `; ${damaged.length - 1} more files are damaged`;
  return new MillraceError(first.error.code, `${first.error.message}${more}`, {
    op: OP,
    details: {
      ...first.error.details,
      level: first.info.level,
      damaged: damaged.slice(0, NAMED_FILES_MAX).map((file) => file.error.message),
      foundBy: error.message,
    },
    hint: "the replica's copy is damaged: restore a TXID before it, or fetch that file from another copy of the replica",
    cause: error,
  });
}

/** Checks every file of a plan whole, newest first; returns those that are damaged. Throws when they cannot be read. */
export async function findDamage(
  options: Pick<AssembleOptions, "store" | "files" | "pool" | "clock" | "random" | "signal">,
): Promise<DamagedFile[]> {
  const { store, clock, random, signal, pool } = options;
  const local = new LocalReader(pool);
  const reader = new RangeReader({ store, clock, random, signal, local });
  const damaged: DamagedFile[] = [];
  for (const info of options.files.toReversed()) {
    signal?.throwIfAborted();
    try {
      await checkFile(reader, pool, info);
    } catch (error) {
      if (!isMillraceError(error) || !error.code.startsWith("ltx/")) throw error;
      damaged.push({ info, error });
    }
  }
  return damaged;
}

/** Decodes one file whole, without an output. */
async function checkFile(reader: RangeReader, pool: DecodePool, info: LtxFileInfo): Promise<void> {
  const file = await openPlanFile(reader, info);
  const { pageSize } = file.header;
  await pool.open({ pageSize, path: undefined, scratch: undefined, hashed: true });
  const jobs = new BoundedJobs(JOB_LIMITS, () => {});
  const proofKernel = openKernel({ pageSize, batchPages: 1 });
  try {
    await scanFile({ reader, pool, proofKernel }, file, {
      use: () => FRAME_USE.check,
      onWork: (work) => jobs.start(work.piece.sizeBytes, async () => void (await work.run())),
    });
  } finally {
    await jobs.finish();
  }
}
