/** Counts of conformance suites across processes: reported by real test processes, collected, required. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { describe, it } from "node:test";
import { conformanceTable, readReports } from "./conformance-table.ts";
import { sampleTree } from "./sample-tree.ts";

const REPORT = new URL("../../src/conformance/report.ts", import.meta.url).href;

function suite(name: string, unavailable: string | undefined, countTests: number): string {
  return `
    import { it } from "node:test";
    import { describeConformance } from ${JSON.stringify(REPORT)};
    describeConformance(${JSON.stringify(name)}, ${JSON.stringify(unavailable)}, (ran) => {
      for (let index = 0; index < ${countTests}; index += 1) it("test " + index, () => ran());
    });
  `;
}

/** Runs test files as the runner does: one process each. */
function run(files: Readonly<Record<string, string>>, env: Readonly<Record<string, string>> = {}) {
  using tree = sampleTree(files);
  const directory = join(tree.root, "reports");
  mkdirSync(directory);
  const { NODE_TEST_CONTEXT: _, REQUIRE_BACKENDS: __, ...outer } = process.env;
  const paths = Object.keys(files).map((name) => join(tree.root, name));
  const { status, stdout } = spawnSync(process.execPath, ["--test", ...paths], {
    env: { ...outer, MILLRACE_CONFORMANCE_DIR: directory, ...env },
    encoding: "utf8",
  });
  return { status, stdout, reports: readReports(directory) };
}

const FILES = {
  "memory.test.mjs": suite("memory", undefined, 3),
  "s3.test.mjs": suite("s3", "not started: start it", 3),
  "lease.test.mjs": suite("lease/etcd", undefined, 2),
};

describe("describeConformance()", () => {
  it("reports from each file's process, and fails none that is not required", () => {
    const { status, reports } = run(FILES);
    assert.equal(status, 0);
    assert.deepEqual(conformanceTable(reports, []), {
      lines: [
        "conformance: lease/etcd 2, memory 3",
        "not run: s3, not started: start it",
        "to run them all: npm run services install && npm run services start",
      ],
      problems: [],
    });
  });

  it("leaves alone the suites of other files when they are required", () => {
    const { status } = run(FILES, { REQUIRE_BACKENDS: "memory, lease/etcd,nats" });
    assert.equal(status, 0);
  });

  it("fails the suite that is required and cannot run, with the reason", () => {
    const { status, stdout } = run(FILES, { REQUIRE_BACKENDS: "s3" });
    assert.equal(status, 1);
    assert.match(stdout, /conformance s3 runs, as REQUIRE_BACKENDS wants[^]*not started: start it/);
  });

  it("fails the suite that is required and runs no test", () => {
    const files = { "empty.test.mjs": suite("empty", undefined, 0) };
    assert.equal(run(files).status, 0);
    const { status, stdout } = run(files, { REQUIRE_BACKENDS: "empty" });
    assert.equal(status, 1);
    assert.match(stdout, /conformance empty: no test ran/);
  });

  it("prints the count where nobody collects it", () => {
    const { stdout } = run(
      { "memory.test.mjs": suite("memory", undefined, 3) },
      { MILLRACE_CONFORMANCE_DIR: "" },
    );
    assert.match(stdout, /conformance memory: 3 tests/);
  });
});

describe("conformanceTable()", () => {
  const reports = [
    { name: "file", countTests: 4 },
    { name: "file", countTests: 2 },
    { name: "gcs", countTests: 0, unavailable: "not started" },
    { name: "nats", countTests: 0 },
  ];

  it("adds up what several files ran of one suite", () => {
    assert.deepEqual(conformanceTable(reports, []).lines.slice(0, 3), [
      "conformance: file 6",
      "not run: gcs, not started",
      "not run: nats, none of its tests ran",
    ]);
  });

  it("names what is required and ran none, and what does not exist", () => {
    assert.deepEqual(conformanceTable(reports, ["file", "gcs", "nats", "tape"]).problems, [
      "required but not run: gcs, not started",
      "required but not run: nats, none of its tests ran",
      "required but not run: tape, no suite of this name was run",
    ]);
  });

  it("says nothing when no suite ran", () => {
    assert.deepEqual(conformanceTable([], []), { lines: [], problems: [] });
  });
});
