/** The project's files as the house checks see them: everything but what is installed, built or git's. */
import { readdirSync } from "node:fs";
import { join, relative, sep } from "node:path";

const SKIPPED = new Set(["node_modules", "dist", "coverage", ".git", ".tmp"]);

/** Paths of all files below `root`, relative to it, with `/` between parts, sorted. */
export function listFiles(root: string): string[] {
  return readdirSync(root, { recursive: false, withFileTypes: true })
    .flatMap((entry) => {
      if (SKIPPED.has(entry.name)) return [];
      const path = join(root, entry.name);
      if (entry.isDirectory()) return listFiles(path).map((child) => `${entry.name}/${child}`);
      return entry.isFile() ? [relative(root, path).split(sep).join("/")] : [];
    })
    .sort();
}

/** Whether a path is that of a test. */
export function isTest(path: string): boolean {
  return path.endsWith(".test.ts") || path.startsWith("test/");
}
