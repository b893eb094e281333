/**
 * Fixing an image of a WAL-mode database to read at leisure: under the write lock it is found out which frames
 * it consists of and where it ends; the read transaction that begins before the lock is released keeps it readable,
 * see `image.ts`. A long WAL is scanned before the lock is taken, so that only its tail is scanned under it.
 */
import { UNKNOWN_WAL_RANGE } from "../ltx/header.ts";
import type { Clock } from "../base/clock.ts";
import type { Pgno } from "../base/ids.ts";
import { MillraceError } from "../errors.ts";
import type { Kernel } from "../kernel/kernel.ts";
import type { Files } from "../platform/files.ts";
import type { WalSession } from "../sqlite/wal-session.ts";
import { WAL_HEADER_SIZE, walSize } from "../wal/constants.ts";
import { sameGeneration, type WalHeader } from "../wal/header.ts";
import { scanWal, startOfGeneration } from "../wal/scan.ts";
import { DatabaseImage } from "./image.ts";
import type { Line } from "./line.ts";
import type { ResyncInput } from "./resync.ts";
import type { DatabaseFile } from "./source.ts";
import type { WalFile } from "./wal-file.ts";
import type { Mark } from "./wal-mark.ts";

export interface FreezeInput {
  readonly files: Files;
  readonly clock: Clock;
  readonly line: Line;
  readonly kernel: Kernel;
  readonly session: WalSession;
  readonly wal: WalFile;
  readonly file: DatabaseFile;
  /** Called under the lock, before the image is fixed; false gives up. */
  readonly beforeFreeze: () => boolean;
}

export interface FrozenWal extends Omit<ResyncInput, "complete"> {
  /** Where capture goes on after the image; `undefined` when the WAL holds nothing. */
  readonly mark: Mark | undefined;
  /** Everything was copied into the file: the reader sits on no frame. */
  readonly restartable: boolean;
}

/** Throws `sqlite/busy`, `capture/state-invalid` when `beforeFreeze` gives up, `wal/invalid` for an unreadable WAL. */
export function freezeWal(input: FreezeInput): FrozenWal {
  const ahead = scanCommitted(input, undefined);
  return input.session.withWriteLock(() => {
    if (!input.beforeFreeze()) throw outOfStep(input);
    const scanned = scanCommitted(input, ahead);
    if (scanned === "unreadable") throw unreadable(input);
    input.session.advanceRead();
    const { frames, copied } = input.session.committed();
    return { ...describe(input, scanned), restartable: frames === copied };
  });
}

function describe(
  input: FreezeInput,
  scanned: ScannedWal | undefined,
): Omit<FrozenWal, "restartable"> {
  const { files, clock, line, kernel, wal, file } = input;
  const timestampMs = clock.now();
  if (scanned === undefined) {
    return {
      line,
      kernel,
      commit: file.pageCount(kernel.pageSize),
      image: new DatabaseImage({ files, fd: file.fd, kernel }),
      mark: undefined,
      header: { timestampMs, ...UNKNOWN_WAL_RANGE },
    };
  }
  const { frames, commit, mark } = scanned;
  const { header, position } = mark;
  const overlay = { frames, walFd: wal.fd, holds: () => wal.holds(header) };
  return {
    line,
    kernel,
    commit,
    image: new DatabaseImage({ files, fd: file.fd, kernel, overlay }),
    mark,
    header: {
      timestampMs,
      walOffset: WAL_HEADER_SIZE,
      walSize: position.offset - WAL_HEADER_SIZE,
      walSalt1: header.salt1,
      walSalt2: header.salt2,
    },
  };
}

interface ScannedWal {
  /** Newest frame of each page, also of pages that a later shrink cut off. */
  readonly frames: ReadonlyMap<Pgno, number>;
  readonly commit: number;
  readonly mark: Mark;
}

/**
 * Scans the committed frames from the beginning of the WAL, or on from an earlier scan of the same generation.
 * `undefined` when there are none; `unreadable` also when the WAL was restarted meanwhile.
 */
function scanCommitted(
  { kernel, session, wal }: FreezeInput,
  ahead: ScannedWal | "unreadable" | undefined,
): ScannedWal | "unreadable" | undefined {
  const header = wal.header();
  const { frames } = session.committed();
  if (header === undefined || frames === 0) return undefined;
  const known = continued(ahead, header);
  const endOffset = walSize(frames, header.pageSize);
  const from = known?.mark.position ?? startOfGeneration(header);
  const chunk = scanWal({ kernel, read: wal.read, header, from, endOffset, keepCutOff: true });
  if (chunk.end.offset !== endOffset) return "unreadable";
  const commit = chunk.transactions === 0 ? known?.commit : chunk.commit;
  if (commit === undefined) return undefined;
  return {
    frames: merge(known?.frames, chunk.frames),
    commit,
    mark: { header, position: chunk.end },
  };
}

function merge(
  older: ReadonlyMap<Pgno, number> | undefined,
  newer: ReadonlyMap<Pgno, number>,
): ReadonlyMap<Pgno, number> {
  if (older === undefined) return newer;
  const merged = new Map(older);
  for (const [pgno, offset] of newer) merged.set(pgno, offset);
  return merged;
}

function continued(
  ahead: ScannedWal | "unreadable" | undefined,
  header: WalHeader,
): ScannedWal | undefined {
  if (ahead === undefined || ahead === "unreadable") return undefined;
  return sameGeneration(ahead.mark.header, header) ? ahead : undefined;
}

function unreadable({ wal, session }: FreezeInput): MillraceError {
  const { frames } = session.committed();
  return new MillraceError(
    "wal/invalid",
    `read WAL "${wal.path}": the checksums end before the ${frames} frames that SQLite holds for committed`,
    { hint: "the WAL was changed by something other than SQLite, or the disk lost part of it" },
  );
}

function outOfStep({ file }: FreezeInput): MillraceError {
  return new MillraceError(
    "capture/state-invalid",
    `snapshot "${file.path}": its WAL was restarted`,
    {
      hint: "the database is compared page by page next, then the snapshot is tried again",
    },
  );
}
