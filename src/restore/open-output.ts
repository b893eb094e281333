/** Opens a restore's output in the decoding threads, with a scratch file beside it where that is of use. */
import type { LtxHeader } from "../ltx/header.ts";
import type { Files } from "../platform/files.ts";
import type { DecodePool } from "./decode-pool.ts";
import { NO_PATCHES, PATCH_LIMITS, type PatchLimits } from "./patches.ts";

/**
 * What the result rests on: the checksum recorded at capture; the checksum of each LTX file that was used; or, of a
 * Litestream 0.3 backup, the checksum of each object and of every frame of its logs.
 */
export type RestoreProof = "database-checksum" | "file-checksums" | "legacy-checksums";

export interface OpenOutputOptions {
  readonly pool: DecodePool;
  /**
   * The file to write, which exists and is empty. Its pages are summed only where there is no other proof than that they
   * are read back as they were decoded. Absent: pages are decoded and summed.
   */
  readonly output: { readonly path: string; readonly files: Files } | undefined;
  /** For tests: what may be kept aside. */
  readonly patchLimits?: PatchLimits | undefined;
}

export interface OpenedOutput {
  /** Whether pages are summed as they are decoded. */
  readonly hashed: boolean;
  /** What may be kept in the scratch file. */
  readonly patchLimits: PatchLimits;
}

/** `newest` is the header of the newest file. */
export async function openOutput(
  { pool, output, patchLimits = PATCH_LIMITS }: OpenOutputOptions,
  newest: LtxHeader,
  proof: RestoreProof,
): Promise<OpenedOutput> {
  const { pageSize, commit } = newest;
  const path = output?.path;
  // With a recorded checksum the file itself, read back, is what has to match it.
  const hashed = output === undefined || proof === "file-checksums";
  if (hashed || !hasRoom(output, commit * pageSize + 2 * patchLimits.scratchBytes)) {
    await pool.open({ pageSize, path, scratch: undefined, hashed });
    return { hashed, patchLimits: NO_PATCHES };
  }
  const { files } = output;
  const op = "restore scratch create";
  const scratch = `${output.path}.scratch`;
  files.close(op, files.open(op, scratch, "wx", 0o600));
  try {
    await pool.open({ pageSize, path, scratch, hashed });
  } finally {
    // The threads have it open; so it is gone with them, however they end.
    files.unlink(op, scratch);
  }
  return { hashed, patchLimits };
}

function hasRoom({ path, files }: { path: string; files: Files }, wanted: number): boolean {
  return files.freeBytes("restore scratch room", path) >= wanted;
}
