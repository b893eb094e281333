/**
 * Listing a directory tree in byte order of keys, with memory bounded per directory.
 *
 * A directory is compared as if its name ended in `/`, so that a depth-first walk yields keys in order
 * (`a-b`, then `a/…`, then `a0`). A directory with more entries than the window is scanned again for each
 * window; the smallest names after the last one yielded are kept.
 *
 * Objects are regular files. Symbolic links to files are skipped; links to directories are followed, unless
 * they lead back to a directory above them.
 */
import type { Dirent } from "node:fs";
import type { ObjectInfo } from "../../contract.ts";
import { compareKeys, isKeySegment, TEMPORARY_SUFFIX } from "../../keys.ts";
import { isAbsent } from "./file-errors.ts";
import { toMs } from "./mtime.ts";
import type { FileOperations } from "./operations.ts";

/** Names of one directory held in memory at once: about 12 MB. */
export const LIST_WINDOW = 131_072;

/** Entries fetched from the system per call. */
const READ_ENTRIES = 1_024;

/** File facts are fetched for this many objects at a time. */
const STAT_BATCH = 64;

export interface ListTreeOptions {
  readonly operations: FileOperations;
  readonly rootDirectory: string;
  readonly startAfter: string;
  readonly signal: AbortSignal;
  readonly window?: number | undefined;
  /** Told about every temporary file that the walk passes. */
  readonly temporaries?: { visit(path: string): Promise<void> } | undefined;
}

interface Entry {
  readonly name: string;
  /** The name, with `/` when it is a directory. */
  readonly sortName: string;
}

export async function* listTree(
  prefix: string,
  options: ListTreeOptions,
): AsyncGenerator<ObjectInfo, void, void> {
  const slash = prefix.lastIndexOf("/") + 1;
  yield* listDirectory(prefix.slice(0, slash), prefix.slice(slash), options);
}

/** `base` is the directory's key: empty, or ending in `/`. */
async function* listDirectory(
  base: string,
  namePrefix: string,
  options: ListTreeOptions,
): AsyncGenerator<ObjectInfo, void, void> {
  const { signal } = options;
  let after = "";
  for (;;) {
    const { entries, more } = await scan(base, namePrefix, after, options);
    let files: string[] = [];
    for (const { name, sortName } of entries) {
      const isDirectory = sortName !== name;
      if (!isDirectory) files.push(base + name);
      if (files.length >= STAT_BATCH || (isDirectory && files.length > 0)) {
        yield* statObjects(files, options);
        files = [];
      }
      if (isDirectory) yield* listDirectory(base + sortName, "", options);
      signal.throwIfAborted();
    }
    yield* statObjects(files, options);
    const last = entries.at(-1);
    if (!more || last === undefined) return;
    after = last.sortName;
  }
}

/** One pass over a directory: the first names, in order, that come after `after` and may hold wanted keys. */
async function scan(
  base: string,
  namePrefix: string,
  after: string,
  options: ListTreeOptions,
): Promise<{ entries: Entry[]; more: boolean }> {
  const { operations, rootDirectory, startAfter, signal, window = LIST_WINDOW } = options;
  const path = `${rootDirectory}/${base}`;
  let entries: Entry[] = [];
  let limit: string | undefined;
  let more = false;
  const trim = (): void => {
    entries.sort((a, b) => compareKeys(a.sortName, b.sortName));
    if (entries.length <= window) return;
    entries = entries.slice(0, window);
    limit = entries.at(-1)?.sortName;
    more = true;
  };
  try {
    for await (const dirent of await operations.opendir(path, { bufferSize: READ_ENTRIES })) {
      const entry = await classify(base, dirent, namePrefix, options);
      if (entry === undefined || compareKeys(entry.sortName, after) <= 0) continue;
      const isDirectory = entry.sortName !== entry.name;
      const key = base + entry.sortName;
      const passed = compareKeys(key, startAfter) <= 0;
      if (passed && !(isDirectory && startAfter.startsWith(key))) continue;
      if (limit !== undefined && compareKeys(entry.sortName, limit) > 0) continue;
      entries.push(entry);
      if (entries.length >= 2 * window) trim();
      signal.throwIfAborted();
    }
  } catch (error) {
    if (!isAbsent(error)) throw error;
  }
  trim();
  return { entries, more };
}

/** What a directory entry is to a listing; `undefined` when it is nothing. */
async function classify(
  base: string,
  dirent: Dirent,
  namePrefix: string,
  options: ListTreeOptions,
): Promise<Entry | undefined> {
  const { name } = dirent;
  if (!name.startsWith(namePrefix) || !isKeySegment(name)) return undefined;
  if (dirent.isFile()) {
    if (!name.endsWith(TEMPORARY_SUFFIX)) return { name, sortName: name };
    await options.temporaries?.visit(`${options.rootDirectory}/${base}${name}`);
    return undefined;
  }
  if (dirent.isDirectory() || (dirent.isSymbolicLink() && (await leadsDown(base, name, options)))) {
    return { name, sortName: `${name}/` };
  }
  return undefined;
}

/** Whether a symbolic link is a directory that does not contain the link itself. */
async function leadsDown(base: string, name: string, options: ListTreeOptions): Promise<boolean> {
  const { operations, rootDirectory } = options;
  try {
    const target = await operations.realpath(`${rootDirectory}/${base}${name}`);
    if (!(await operations.stat(target)).isDirectory()) return false;
    const here = await operations.realpath(`${rootDirectory}/${base}`);
    return !`${here}/`.startsWith(target === "/" ? "/" : `${target}/`);
  } catch (error) {
    if (isAbsent(error)) return false;
    throw error;
  }
}

async function* statObjects(
  keys: readonly string[],
  options: ListTreeOptions,
): AsyncGenerator<ObjectInfo, void, void> {
  const found = await Promise.all(keys.map((key) => statObject(key, options)));
  for (const info of found) if (info !== undefined) yield info;
}

/** `undefined` when the object was deleted since its directory was read. */
async function statObject(key: string, options: ListTreeOptions): Promise<ObjectInfo | undefined> {
  try {
    const stat = await options.operations.lstat(`${options.rootDirectory}/${key}`);
    return stat.isFile()
      ? { key, sizeBytes: stat.size, createdAtMs: toMs(stat.mtimeMs) }
      : undefined;
  } catch (error) {
    if (isAbsent(error)) return undefined;
    throw error;
  }
}
