/**
 * Counts the tests of a conformance suite and reports the count, for every kind of suite: stores and leases.
 *
 * A suite that quietly leaves itself out must not pass for a green one. Each says how many of its tests ran, or why
 * none did; the test runner starts a process for each file, so reports are files in the folder that
 * MILLRACE_CONFORMANCE_DIR names, and lines of output where nobody collects them. A suite whose name stands in
 * REQUIRE_BACKENDS (separated by commas) fails when it runs no test. Names without any suite are the collector's to
 * find: `tools/run-tests.ts` prints the table and fails for them.
 */
import assert from "node:assert/strict";
import { mkdtempSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, describe, it } from "node:test";

/** What one suite did in one process; the content of a report file, as JSON. */
export interface ConformanceReport {
  /** The backend, or `lease/` and the provider. */
  readonly name: string;
  /** Tests that ran to their end; neither skipped nor failed ones. */
  readonly countTests: number;
  /** Why the suite could not run here, and what would help. */
  readonly unavailable?: string | undefined;
}

/**
 * Registers the suite `name` with `node:test`. `register` adds its tests and calls `ran` at the end of each; it is not
 * called when `unavailable` says why the suite cannot run here.
 */
export function describeConformance(
  name: string,
  unavailable: string | undefined,
  register: (ran: () => void) => void,
): void {
  const isRequired = namesIn(process.env["REQUIRE_BACKENDS"]).includes(name);
  if (unavailable !== undefined) {
    report({ name, countTests: 0, unavailable });
    if (isRequired)
      it(`conformance ${name} runs, as REQUIRE_BACKENDS wants`, () => assert.fail(unavailable));
    return;
  }
  let countTests = 0;
  describe(`conformance ${name}`, () => {
    register(() => {
      countTests += 1;
    });
    after(() => {
      report({ name, countTests });
      if (isRequired) assert.notEqual(countTests, 0, `conformance ${name}: no test ran`);
    });
  });
}

/** The names of a list separated by commas. */
export function namesIn(list: string | undefined): string[] {
  return (list ?? "")
    .split(",")
    .map((name) => name.trim())
    .filter((name) => name !== "");
}

function report(what: ConformanceReport): void {
  const directory = process.env["MILLRACE_CONFORMANCE_DIR"] ?? "";
  if (directory !== "") {
    // A folder of its own for each report: nothing else about a suite is sure to be unique.
    const path = join(mkdtempSync(join(directory, "report-")), "report.json");
    writeFileSync(path, JSON.stringify(what));
    return;
  }
  const outcome =
    what.unavailable === undefined ? `${what.countTests} tests` : `not run, ${what.unavailable}`;
  process.stdout.write(`conformance ${what.name}: ${outcome}\n`);
}
