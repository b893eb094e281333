/** Listing a directory tree against the plain model: all keys, filtered, in byte order. */
import assert from "node:assert/strict";
import fs from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { describe, it } from "node:test";
import * as fc from "fast-check";
import { inByteOrder } from "../../conformance/support.ts";
import { listTree } from "./listing.ts";
import { nodeOperations } from "./operations.ts";

const segment = fc.constantFrom("a", "b", "a-", "a.", "a0", "ab", "-", "z", "é", "\u{ffee}", "😀");
const key = fc.array(segment, { minLength: 1, maxLength: 4 }).map((segments) => segments.join("/"));

/** Drops keys whose path another key needs as a directory. */
function asFiles(keys: readonly string[]): string[] {
  const unique = [...new Set(keys)];
  return unique.filter((key) => !unique.some((other) => other.startsWith(`${key}/`)));
}

describe("listTree()", () => {
  it("yields what a plain filter and sort would, with any window", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(key, { maxLength: 25 }),
        fc.array(fc.tuple(key, key, fc.boolean()), { minLength: 1, maxLength: 6 }),
        fc.integer({ min: 1, max: 5 }),
        async (keys, queries, window) => {
          const root = fs.mkdtempSync(join(tmpdir(), "millrace-list-"));
          try {
            const files = asFiles(keys);
            for (const file of files) {
              fs.mkdirSync(dirname(join(root, file)), { recursive: true });
              fs.writeFileSync(join(root, file), "");
            }
            for (const [prefix, startAfter, isWhole] of queries) {
              const asked = isWhole ? "" : prefix;
              const found = await list(root, asked, startAfter, window);
              const after = Buffer.from(startAfter);
              const expected = inByteOrder(files).filter(
                (file) => file.startsWith(asked) && Buffer.compare(Buffer.from(file), after) > 0,
              );
              assert.deepEqual(found, expected, `"${asked}" after "${startAfter}"`);
            }
          } finally {
            fs.rmSync(root, { recursive: true });
          }
        },
      ),
      { numRuns: 150 },
    );
  });
});

async function list(
  root: string,
  prefix: string,
  startAfter: string,
  window: number,
): Promise<string[]> {
  const { signal } = new AbortController();
  const options = { operations: nodeOperations, rootDirectory: root, startAfter, signal, window };
  const keys: string[] = [];
  for await (const info of listTree(prefix, options)) keys.push(info.key);
  return keys;
}
