/**
 * One installation and one start at a time, however many clones share the folder: a lock that the kernel gives back
 * when its holder dies, because it is SQLite's.
 */
import { mkdirSync } from "node:fs";
import { dirname } from "node:path";
import { DatabaseSync } from "node:sqlite";

const WAIT_MS = 25 * 60_000;

/** Runs `action` while holding the lock file `path`; waits for another holder, and says so. */
export async function locked<T>(path: string, action: () => Promise<T>): Promise<T> {
  mkdirSync(dirname(path), { recursive: true });
  using database = new DatabaseSync(path);
  if (!take(database)) {
    console.log(`services: waiting for another process that holds ${path}`);
    database.exec(`PRAGMA busy_timeout = ${WAIT_MS}`);
    if (!take(database)) throw new Error(`lock "${path}": still held after ${WAIT_MS / 1_000} s`);
  }
  return await action();
}

function take(database: DatabaseSync): boolean {
  try {
    database.exec("BEGIN EXCLUSIVE");
    return true;
  } catch (error) {
    if ((error as { errcode?: number }).errcode === 5) return false;
    throw error;
  }
}
