/**
 * Synchronous file operations behind one interface.
 *
 * Every method's first argument names the operation, so that a fault-injecting implementation can fail
 * one exact call and every error says what was attempted. Descriptors are plain numbers; SQLite's
 * POSIX locks belong to the process, so no method here opens a path behind the caller's back except
 * those that say so.
 */
import fs from "node:fs";
import { MillraceError } from "../errors.ts";
import { translateFsError } from "./fs-error.ts";

export interface FileStat {
  readonly dev: bigint;
  readonly ino: bigint;
  readonly sizeBytes: number;
  readonly mtimeMs: number;
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  readonly isFile: boolean;
  readonly isDirectory: boolean;
}

export type OpenFlags = "r" | "r+" | "w" | "wx" | "wx+" | "a";

export interface Files {
  open(op: string, path: string, flags: OpenFlags, mode?: number): number;
  close(op: string, fd: number): void;
  /** Reads up to `target.length` bytes at `offset`; returns the count, short only at the end of the file. */
  read(op: string, fd: number, target: Uint8Array, offset: number): number;
  /** Writes all of `bytes` at `offset`. */
  write(op: string, fd: number, bytes: Uint8Array, offset: number): void;
  fsync(op: string, fd: number): void;
  /** The same without times and other attributes: cheaper for a file that keeps its size. */
  fdatasync(op: string, fd: number): void;
  truncate(op: string, fd: number, sizeBytes: number): void;
  fstat(op: string, fd: number): FileStat;
  /** `undefined` when nothing is at `path`. */
  stat(op: string, path: string): FileStat | undefined;
  chmod(op: string, path: string, mode: number): void;
  chown(op: string, path: string, owner: { readonly uid: number; readonly gid: number }): void;
  /** The path without symbolic links; `undefined` when nothing is there. */
  realpath(op: string, path: string): string | undefined;
  rename(op: string, from: string, to: string): void;
  /** An absent file is fine. */
  unlink(op: string, path: string): void;
  /** Creates missing parents; an existing directory is fine. */
  mkdir(op: string, path: string, mode?: number): void;
  /** Entry names in byte order; an absent directory is empty. */
  list(op: string, path: string): string[];
  fsyncDirectory(op: string, path: string): void;
  readFile(op: string, path: string): Uint8Array | undefined;
  /** Bytes that may still be written to the file system of `path`. */
  freeBytes(op: string, path: string): number;
}

function attempt<T>(op: string, path: string, run: () => T): T {
  try {
    return run();
  } catch (error) {
    throw translateFsError(error, op, path);
  }
}

function absent(error: unknown): boolean {
  return error instanceof MillraceError && error.code === "fs/not-found";
}

function toStat(stat: fs.BigIntStats): FileStat {
  return {
    dev: stat.dev,
    ino: stat.ino,
    sizeBytes: Number(stat.size),
    mtimeMs: Number(stat.mtimeMs),
    mode: Number(stat.mode) & 0o7777,
    uid: Number(stat.uid),
    gid: Number(stat.gid),
    isFile: stat.isFile(),
    isDirectory: stat.isDirectory(),
  };
}

export const nodeFiles: Files = {
  open: (op, path, flags, mode) => attempt(op, path, () => fs.openSync(path, flags, mode)),
  close: (op, fd) => attempt(op, `fd ${fd}`, () => fs.closeSync(fd)),
  read: (op, fd, target, offset) =>
    attempt(op, `fd ${fd}`, () => {
      let count = 0;
      while (count < target.length) {
        const got = fs.readSync(fd, target, count, target.length - count, offset + count);
        if (got === 0) break;
        count += got;
      }
      return count;
    }),
  write: (op, fd, bytes, offset) =>
    attempt(op, `fd ${fd}`, () => {
      let count = 0;
      while (count < bytes.length) {
        count += fs.writeSync(fd, bytes, count, bytes.length - count, offset + count);
      }
    }),
  fsync: (op, fd) => attempt(op, `fd ${fd}`, () => fs.fsyncSync(fd)),
  fdatasync: (op, fd) => attempt(op, `fd ${fd}`, () => fs.fdatasyncSync(fd)),
  truncate: (op, fd, sizeBytes) => attempt(op, `fd ${fd}`, () => fs.ftruncateSync(fd, sizeBytes)),
  fstat: (op, fd) => attempt(op, `fd ${fd}`, () => toStat(fs.fstatSync(fd, { bigint: true }))),
  stat(op, path) {
    try {
      return attempt(op, path, () => toStat(fs.statSync(path, { bigint: true })));
    } catch (error) {
      if (absent(error)) return undefined;
      throw error;
    }
  },
  chmod: (op, path, mode) => attempt(op, path, () => fs.chmodSync(path, mode)),
  chown: (op, path, { uid, gid }) => attempt(op, path, () => fs.chownSync(path, uid, gid)),
  realpath(op, path) {
    try {
      return attempt(op, path, () => fs.realpathSync(path));
    } catch (error) {
      if (absent(error)) return undefined;
      throw error;
    }
  },
  rename: (op, from, to) => attempt(op, `${from} -> ${to}`, () => fs.renameSync(from, to)),
  unlink(op, path) {
    try {
      attempt(op, path, () => fs.unlinkSync(path));
    } catch (error) {
      if (!absent(error)) throw error;
    }
  },
  mkdir: (op, path, mode) =>
    attempt(op, path, () => {
      fs.mkdirSync(path, { recursive: true, mode });
    }),
  list(op, path) {
    try {
      return attempt(op, path, () => fs.readdirSync(path).sort());
    } catch (error) {
      if (absent(error)) return [];
      throw error;
    }
  },
  fsyncDirectory(op, path) {
    attempt(op, path, () => {
      const fd = fs.openSync(path, "r");
      try {
        fs.fsyncSync(fd);
      } finally {
        fs.closeSync(fd);
      }
    });
  },
  freeBytes: (op, path) =>
    attempt(op, path, () => {
      const { bavail, bsize } = fs.statfsSync(path);
      return bavail * bsize;
    }),
  readFile(op, path) {
    try {
      return attempt(op, path, () => fs.readFileSync(path));
    } catch (error) {
      if (absent(error)) return undefined;
      throw error;
    }
  },
};

/**
 * Replaces the content of `path` in one step, by temporary name and rename: readers see either the old bytes or
 * the new ones. Not flushed, so after a power failure it may be the old ones again.
 */
export function replaceFile(files: Files, op: string, path: string, bytes: Uint8Array): void {
  const temporary = `${path}.tmp`;
  const fd = files.open(op, temporary, "w", 0o600);
  try {
    files.write(op, fd, bytes, 0);
  } finally {
    files.close(op, fd);
  }
  files.rename(op, temporary, path);
}
