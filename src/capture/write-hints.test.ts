/** Hints from the file system: for the right database, only while somebody listens. */
import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test from "node:test";
import { WriteHints } from "./write-hints.ts";

interface Bench extends Disposable {
  readonly directory: string;
  readonly hints: WriteHints;
  /** Resolves with the names in the order in which their databases were first hinted at, once `name` is. */
  heard(name: string): Promise<readonly string[]>;
  listen(name: string): Disposable;
}

function bench(): Bench {
  const directory = mkdtempSync(join(tmpdir(), "millrace-hints-"));
  const hints = new WriteHints();
  const seen = new Set<string>();
  const waiting = new Map<string, () => void>();
  return {
    directory,
    hints,
    heard: async (name) => {
      if (!seen.has(name)) await new Promise<void>((resolve) => waiting.set(name, resolve));
      return [...seen];
    },
    listen: (name) =>
      hints.listen(join(directory, name), () => {
        seen.add(name);
        waiting.get(name)?.();
      }),
    [Symbol.dispose]: () => {
      hints[Symbol.dispose]();
      rmSync(directory, { recursive: true });
    },
  };
}

test("a write to a database, its WAL or its journal is a hint for that database alone", async () => {
  for (const suffix of ["", "-wal", "-journal"]) {
    using b = bench();
    b.listen("other.db");
    b.listen("app.db");
    writeFileSync(join(b.directory, "app.db-shm"), "x");
    writeFileSync(join(b.directory, `app.db${suffix}`), "x");
    assert.deepEqual(await b.heard("app.db"), ["app.db"], suffix);
  }
});

test("who stops listening hears no more, and others in the directory do", async () => {
  using b = bench();
  const first = b.listen("a.db");
  b.listen("b.db");
  first[Symbol.dispose]();
  writeFileSync(join(b.directory, "a.db"), "x");
  writeFileSync(join(b.directory, "b.db"), "x");
  assert.deepEqual(await b.heard("b.db"), ["b.db"]);
});

test("listening again after nobody did hears what is written then", async () => {
  using b = bench();
  b.listen("a.db")[Symbol.dispose]();
  b.listen("a.db");
  writeFileSync(join(b.directory, "a.db-wal"), "x");
  assert.deepEqual(await b.heard("a.db"), ["a.db"]);
});

test("a directory that appears later is watched from the next retry on", async () => {
  using b = bench();
  b.listen("later/a.db");
  mkdirSync(join(b.directory, "later"));
  b.hints.retry();
  writeFileSync(join(b.directory, "later", "a.db"), "x");
  assert.deepEqual(await b.heard("later/a.db"), ["later/a.db"]);
});
