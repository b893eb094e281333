/** What the file system's errors mean for objects: one place for the file backend. */
import { foreignCode, MillraceError, type ErrorCode } from "../../../errors.ts";
import { translateFsError } from "../../../platform/fs-error.ts";
import { invalidKey } from "../../keys.ts";

/** Whether a file error means that there is nothing at the path, as far as objects go. */
export function isAbsent(error: unknown): boolean {
  const code = foreignCode(error);
  return code === "ENOENT" || code === "ENOTDIR" || code === "ELOOP";
}

/** Errors of reading: what the file system has no file for is a missing object. */
export function readError(error: unknown, op: string, key: string, path: string): unknown {
  if (isAbsent(error))
    return storageError("storage/not-found", op, key, path, "no such object", error);
  return isSystemError(error) ? translateFsError(error, op, path) : error;
}

/** Errors of writing, where a directory in an object's place, or the reverse, makes the key unusable. */
export function putError(error: unknown, op: string, key: string, path: string): unknown {
  const code = foreignCode(error);
  if (!isSystemError(error)) return error;
  if (code === "ENOTDIR" || code === "EISDIR" || code === "ENOTEMPTY") {
    return invalidKey(op, key, `a part of "${path}" is a file, or the whole is a directory`);
  }
  if (code === "ENAMETOOLONG")
    return invalidKey(op, key, "the path is longer than the system allows");
  return translateFsError(error, op, path);
}

/** Whether an error came from the operating system; aborts and errors of upload sources pass unchanged. */
export function isSystemError(error: unknown): boolean {
  return error instanceof Error && "errno" in error && "syscall" in error;
}

export function storageError(
  code: ErrorCode,
  op: string,
  key: string,
  path: string,
  found: string,
  cause?: unknown,
): MillraceError {
  return new MillraceError(code, `${op} "${key}": ${found}`, { op, details: { key, path }, cause });
}
