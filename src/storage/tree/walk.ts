/**
 * Listing a tree of directories in byte order of keys, with memory bounded per directory.
 *
 * A directory is compared as if its name ended in `/`, so that a depth-first walk yields keys in order
 * (`a-b`, then `a/…`, then `a0`). A directory with more entries than the window is scanned again for each
 * window; the smallest names after the last one yielded are kept.
 */
import type { ObjectInfo } from "../contract.ts";
import { compareKeys, isKeySegment, TEMPORARY_SUFFIX } from "../keys.ts";

/** Names of one directory held in memory at once: about 12 MB. */
export const LIST_WINDOW = 131_072;

/** Facts of entries that came without are fetched for this many objects at a time. */
const STAT_BATCH = 64;

/** What a directory holds. Anything but objects and directories is left out. */
export interface TreeEntry {
  readonly name: string;
  readonly isDirectory: boolean;
  /** Facts about an object, where they came with its name. */
  readonly info?: ObjectInfo | undefined;
}

/** Directories by key: empty for the root, otherwise ending in `/`. */
export interface Tree {
  /** The entries of a directory in any order, at least those that `isWanted`; none when it is missing. */
  entries(base: string, isWanted: (name: string) => boolean): AsyncIterable<TreeEntry>;
  /** Facts about an object whose entry had none; `undefined` when it is gone. */
  stat?(key: string): Promise<ObjectInfo | undefined>;
  /** Told about every file of an unfinished put that the walk passes. */
  visitTemporary?(key: string, entry: TreeEntry): Promise<void>;
}

export interface WalkOptions {
  readonly startAfter: string;
  readonly signal: AbortSignal;
  /** Default `LIST_WINDOW`. */
  readonly window?: number | undefined;
}

interface Found extends TreeEntry {
  /** The name, with `/` when it is a directory. */
  readonly sortName: string;
}

/** Every object whose key starts with `prefix`. */
export async function* walkTree(
  tree: Tree,
  prefix: string,
  options: WalkOptions,
): AsyncGenerator<ObjectInfo, void, void> {
  const slash = prefix.lastIndexOf("/") + 1;
  yield* walkDirectory(tree, prefix.slice(0, slash), prefix.slice(slash), options);
}

async function* walkDirectory(
  tree: Tree,
  base: string,
  namePrefix: string,
  options: WalkOptions,
): AsyncGenerator<ObjectInfo, void, void> {
  const { signal } = options;
  let after = "";
  for (;;) {
    const { entries, more } = await scan(tree, { base, namePrefix, after }, options);
    let files: Found[] = [];
    for (const entry of entries) {
      const { isDirectory, sortName } = entry;
      if (!isDirectory) files.push(entry);
      if (files.length >= STAT_BATCH || (isDirectory && files.length > 0)) {
        yield* objectsOf(tree, base, files);
        files = [];
      }
      if (isDirectory) yield* walkDirectory(tree, base + sortName, "", options);
      signal.throwIfAborted();
    }
    yield* objectsOf(tree, base, files);
    const last = entries.at(-1);
    if (!more || last === undefined) return;
    after = last.sortName;
  }
}

/** One pass over a directory: the first names, in order, that come after `after` and may hold wanted keys. */
async function scan(
  tree: Tree,
  { base, namePrefix, after }: { base: string; namePrefix: string; after: string },
  { startAfter, signal, window = LIST_WINDOW }: WalkOptions,
): Promise<{ entries: Found[]; more: boolean }> {
  let entries: Found[] = [];
  let limit: string | undefined;
  let more = false;
  const trim = (): void => {
    entries.sort((a, b) => compareKeys(a.sortName, b.sortName));
    if (entries.length <= window) return;
    entries = entries.slice(0, window);
    limit = entries.at(-1)?.sortName;
    more = true;
  };
  const isWanted = (name: string): boolean => name.startsWith(namePrefix) && isKeySegment(name);
  for await (const entry of tree.entries(base, isWanted)) {
    signal.throwIfAborted();
    const { name, isDirectory } = entry;
    if (!isWanted(name)) continue;
    if (!isDirectory && name.endsWith(TEMPORARY_SUFFIX)) {
      await tree.visitTemporary?.(base + name, entry);
      continue;
    }
    const sortName = isDirectory ? `${name}/` : name;
    if (compareKeys(sortName, after) <= 0) continue;
    const key = base + sortName;
    const isPassed = compareKeys(key, startAfter) <= 0;
    if (isPassed && !(isDirectory && startAfter.startsWith(key))) continue;
    if (limit !== undefined && compareKeys(sortName, limit) > 0) continue;
    entries.push({ ...entry, sortName });
    if (entries.length >= 2 * window) trim();
  }
  trim();
  return { entries, more };
}

async function* objectsOf(
  tree: Tree,
  base: string,
  files: readonly Found[],
): AsyncGenerator<ObjectInfo, void, void> {
  const infos = files.map(async ({ name, info }) => info ?? tree.stat?.(base + name));
  for (const info of await Promise.all(infos)) if (info !== undefined) yield info;
}
