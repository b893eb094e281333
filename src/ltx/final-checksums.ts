/**
 * Which checksums a file ends with: what its header demands, what the caller gives, and what its
 * pages add up to.
 */
import { NO_CHECKSUM, formatChecksum } from "../base/ids.ts";
import type { Checksum } from "../base/ids.ts";
import { MillraceError } from "../errors.ts";
import { CHECKSUM_FLAG } from "./constants.ts";
import { ltxMisuse } from "./errors.ts";
import { isSnapshot, isTracked } from "./header.ts";
import type { LtxHeader } from "./header.ts";

export interface LtxFinishOptions {
  /**
   * Rolling checksum of the database after applying the file, unless the header given at
   * construction has it.
   */
  readonly databaseChecksum?: Checksum | undefined;
  /**
   * The same, for the trailer of a file whose header lacks FLAG_NO_CHECKSUM; required there,
   * refused elsewhere.
   */
  readonly postApplyChecksum?: Checksum | undefined;
}

export interface FinalChecksums {
  /** For the trailer. */
  readonly postApply: Checksum;
  /** To be filled into the header; `undefined` when it says already what it should. */
  readonly tag: Checksum | undefined;
}

const ACTION = "encode LTX file";

/**
 * Throws `ltx/misuse` for checksums that the format forbids here, and `ltx/checksum-mismatch` when
 * a snapshot's do not equal `rolling`, the checksum of its pages.
 */
export function finalChecksums(
  header: LtxHeader,
  given: LtxFinishOptions,
  rolling: Checksum,
): FinalChecksums {
  const postApply = given.postApplyChecksum ?? NO_CHECKSUM;
  const problem = findPostApplyProblem(header, postApply);
  if (problem !== undefined) {
    throw ltxMisuse(ACTION, `post-apply checksum ${formatChecksum(postApply)}, wanted ${problem}`);
  }
  const tag = tagToFillIn(header, given.databaseChecksum);
  if (isSnapshot(header)) {
    expectRolling("post-apply checksum", postApply, rolling);
    expectRolling("database checksum", tag ?? header.databaseChecksum, rolling);
  }
  return { postApply, tag };
}

/** What was wanted instead, if anything. */
function findPostApplyProblem(header: LtxHeader, checksum: Checksum): string | undefined {
  if (!isTracked(header)) return checksum === NO_CHECKSUM ? undefined : "0: flag NoChecksum is set";
  if ((checksum & CHECKSUM_FLAG) === 0n) return "bit 63 set";
  const empty = header.commit === 0;
  return empty && checksum !== CHECKSUM_FLAG ? "that of an empty database" : undefined;
}

function tagToFillIn(header: LtxHeader, given: Checksum | undefined): Checksum | undefined {
  const written = header.databaseChecksum;
  if (given === undefined || given === written) return undefined;
  const found = `database checksum ${formatChecksum(given)}`;
  if (written !== NO_CHECKSUM) {
    throw ltxMisuse(ACTION, `${found}, the header has ${formatChecksum(written)}`);
  }
  if ((given & CHECKSUM_FLAG) === 0n) throw ltxMisuse(ACTION, `${found}, wanted bit 63 set`);
  return given;
}

function expectRolling(what: string, checksum: Checksum, rolling: Checksum): void {
  if (checksum === NO_CHECKSUM || checksum === rolling) return;
  const found = `${what} ${formatChecksum(checksum)}`;
  throw new MillraceError(
    "ltx/checksum-mismatch",
    `${ACTION}: ${found}, its pages have ${formatChecksum(rolling)}`,
    { op: ACTION, details: { checksum, rolling } },
  );
}
