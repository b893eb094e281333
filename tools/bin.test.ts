/** The command's first file: what it says on an old Node.js, and which program it starts where. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { describe, it } from "node:test";
import { type SampleTree, sampleTree } from "./lib/sample-tree.ts";

const ROOT = dirname(import.meta.dirname);

/** A package with the real bin and the given other files. */
function packageTree(files: Readonly<Record<string, string>>): SampleTree {
  return sampleTree({
    "package.json": '{ "type": "module" }\n',
    "bin/package.json": readFileSync(join(ROOT, "bin", "package.json"), "utf8"),
    "bin/millrace.js": readFileSync(join(ROOT, "bin", "millrace.js"), "utf8"),
    ...files,
  });
}

function run(root: string, flags: readonly string[] = []) {
  const args = [...flags, join(root, "bin", "millrace.js"), "version"];
  const { status, stdout, stderr } = spawnSync(process.execPath, args, { encoding: "utf8" });
  return { status, stdout, stderr };
}

describe("bin/millrace.js", () => {
  it("says in one line what it needs on a Node.js that is too old, with status 2", () => {
    for (const version of ["12.22.12", "20.20.2", "23.11.0"]) {
      using tree = packageTree({
        "old.cjs": [
          `const versions = { ...process.versions, node: "${version}" };`,
          'Object.defineProperty(process, "versions", { value: versions });',
          `Object.defineProperty(process, "version", { value: "v${version}" });`,
        ].join("\n"),
      });
      assert.deepEqual(run(tree.root, ["--require", join(tree.root, "old.cjs")]), {
        status: 2,
        stdout: "",
        stderr: `millrace needs Node.js 24 or newer: this is v${version}\n`,
      });
    }
  });

  it("runs the source in a clone, without a warning", () => {
    using tree = packageTree({
      "src/cli/main.ts": [
        'import { DatabaseSync } from "node:sqlite";',
        'using database = new DatabaseSync(":memory:");',
        'console.log("source" satisfies string, database.isOpen, process.argv.length);',
      ].join("\n"),
      "dist/cli/main.js": 'console.log("build");\n',
    });
    assert.deepEqual(run(tree.root), { status: 0, stdout: "source true 3\n", stderr: "" });
  });

  it("runs the build in an installed package", () => {
    using tree = packageTree({ "dist/cli/main.js": 'console.log("build");\n' });
    assert.deepEqual(run(tree.root), { status: 0, stdout: "build\n", stderr: "" });
  });

  it("says what is missing when there is neither, with status 2", () => {
    using tree = packageTree({});
    const { status, stderr } = run(tree.root);
    assert.equal(status, 2);
    assert.match(stderr, /^millrace is not complete: .*dist\/cli\/main\.js is missing[^\n]*\n$/);
  });

  it("shows a failure to start, with status 70", () => {
    using tree = packageTree({ "dist/cli/main.js": 'throw new Error("broken");\n' });
    const { status, stderr } = run(tree.root);
    assert.equal(status, 70);
    assert.match(stderr, /^millrace: cannot start: Error: broken\n/);
  });
});
