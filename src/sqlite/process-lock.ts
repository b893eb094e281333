/**
 * A lock that one process holds and that ends with it, however it ends. Node has no `flock`; an exclusive transaction
 * on an empty SQLite database is the same thing, on every platform.
 */
import { DatabaseSync } from "node:sqlite";
import { isBusy, translateSqliteError } from "./database.ts";

/** Takes the lock at `path` (a file of its own, created when missing); `undefined` when another holds it. */
export function takeProcessLock(path: string): Disposable | undefined {
  const connection = openLockFile(path);
  try {
    connection.exec("PRAGMA journal_mode = MEMORY; BEGIN EXCLUSIVE");
  } catch (error) {
    connection.close();
    if (isBusy(error)) return undefined;
    throw translateSqliteError(error, "take process lock", path);
  }
  return { [Symbol.dispose]: () => connection.close() };
}

function openLockFile(path: string): DatabaseSync {
  try {
    return new DatabaseSync(path, { timeout: 0 });
  } catch (error) {
    throw translateSqliteError(error, "open process lock", path);
  }
}
