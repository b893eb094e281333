/** The one translation of Node's file errors into Millrace's codes. */
import { foreignCode, MillraceError, type ErrorCode } from "../errors.ts";

const CODES: Readonly<Record<string, { code: ErrorCode; hint: string }>> = {
  ENOENT: { code: "fs/not-found", hint: "check the path" },
  ENOTDIR: { code: "fs/not-found", hint: "a part of the path is a file, not a directory" },
  EACCES: { code: "fs/permission", hint: "run Millrace as a user who may access this path" },
  EPERM: { code: "fs/permission", hint: "run Millrace as a user who may access this path" },
  EROFS: { code: "fs/permission", hint: "the file system is mounted read-only" },
  ENOSPC: {
    code: "fs/disk-full",
    hint: "free disk space; nothing was lost, the operation is tried again",
  },
  EDQUOT: {
    code: "fs/disk-full",
    hint: "raise the disk quota; nothing was lost, the operation is tried again",
  },
};

/** Wraps a thrown file error: what was attempted (`op`), on what (`path`), what the system said. */
export function translateFsError(error: unknown, op: string, path: string): MillraceError {
  if (error instanceof MillraceError) return error;
  const errno = foreignCode(error);
  const known = errno === undefined ? undefined : CODES[errno];
  const found = error instanceof Error ? error.message : String(error);
  return new MillraceError(known?.code ?? "fs/failed", `${op} "${path}": ${found}`, {
    op,
    details: { path, errno },
    hint: known?.hint,
    cause: error,
  });
}
