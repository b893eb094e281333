/**
 * A disk that is really full: a file system of one megabyte, mounted by a child process in a mount namespace
 * of its own, so that nothing stays mounted however the test ends.
 */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import fs from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, it } from "node:test";
import { isMillraceError } from "../../../errors.ts";
import { assertBytes, cut, pattern, read, streamOf } from "../../conformance/support.ts";
import { openFileStore } from "./file.ts";

const MOUNT = 'mount -t tmpfs -o size=1m tmpfs "$1"';

/** What the child does, on a file system that holds a megabyte. */
async function fillUp(root: string): Promise<void> {
  await using store = openFileStore({ rootDirectory: root });
  await store.put("a/small", pattern(200_000));
  for (const body of [pattern(3_000_000), streamOf(cut(pattern(3_000_000), 100_000))]) {
    const error = await store.put("a/large", body).catch((thrown: unknown) => thrown);
    assert.ok(isMillraceError(error, "fs/disk-full"), String(error));
    assert.ok(error.message.includes(join(root, "a/large")), error.message);
  }
  assert.deepEqual(fs.readdirSync(join(root, "a")), ["small"]);
  await store.put("a/other", pattern(200_000));
  assertBytes(await read(store, "a/small"), pattern(200_000));
  process.stdout.write("the disk was full\n");
}

/** Runs a shell command in its own namespaces of users and mounts. */
function inNamespace(
  command: string,
  args: readonly string[],
): { status: number | null; output: string } {
  const shell = ["--user", "--map-root-user", "--mount", "sh", "-ec", command, "sh", ...args];
  const { status, stdout, stderr, error } = spawnSync("unshare", shell, { encoding: "utf8" });
  return { status, output: error === undefined ? `${stdout}${stderr}` : error.message };
}

if (process.argv[2] !== undefined) {
  await fillUp(process.argv[2]);
} else {
  describe("a full disk", () => {
    it("put() fails with fs/disk-full and leaves no part of the object", (t) => {
      const root = fs.mkdtempSync(join(tmpdir(), "millrace-full-"));
      try {
        const probe = inNamespace(MOUNT, [root]);
        if (probe.status !== 0) {
          // tidy-allow idle-test: not every system lets a process mount, and the reason is printed
          t.skip(`no small file system can be mounted here: ${probe.output.trim()}`);
          return;
        }
        const run = inNamespace(`${MOUNT}; exec "$2" "$3" "$1"`, [
          root,
          process.execPath,
          import.meta.filename,
        ]);
        assert.match(run.output, /the disk was full/);
        assert.equal(run.status, 0);
      } finally {
        fs.rmSync(root, { recursive: true, force: true });
      }
    });
  });
}
