/** Writes a small project into a fresh temporary folder, for tests of the house checks. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";

export interface SampleTree extends Disposable {
  readonly root: string;
}

/** Creates the files, given as path and content; disposing removes the folder. */
export function sampleTree(files: Readonly<Record<string, string>>): SampleTree {
  const root = mkdtempSync(join(tmpdir(), "millrace-sample-"));
  for (const [path, content] of Object.entries(files)) {
    const target = join(root, path);
    mkdirSync(dirname(target), { recursive: true });
    writeFileSync(target, content);
  }
  return { root, [Symbol.dispose]: () => rmSync(root, { recursive: true, force: true }) };
}
