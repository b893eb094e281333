/** What the conformance suites of a run reported, as the lines that a run ends with. */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import type { ConformanceReport } from "../../src/conformance/report.ts";

export interface ConformanceTable {
  readonly lines: readonly string[];
  /** One line for each required suite that ran no test. */
  readonly problems: readonly string[];
}

/** All reports below the folder that the test processes were given. */
export function readReports(directory: string): ConformanceReport[] {
  return readdirSync(directory, { recursive: true, encoding: "utf8" })
    .filter((path) => path.endsWith(".json"))
    .map((path) => JSON.parse(readFileSync(join(directory, path), "utf8")) as ConformanceReport);
}

/** Counts by name, what was left out and how to get it, and what was required in vain. */
export function conformanceTable(
  reports: readonly ConformanceReport[],
  required: readonly string[],
): ConformanceTable {
  const counts = new Map<string, number>();
  const reasons = new Map<string, string>();
  for (const { name, countTests, unavailable } of reports) {
    counts.set(name, (counts.get(name) ?? 0) + countTests);
    if (unavailable !== undefined) reasons.set(name, unavailable);
  }
  const ran = [...counts].filter(([, count]) => count > 0).sort(byName);
  const left = [...counts].filter(([, count]) => count === 0).sort(byName);
  const reasonOf = (name: string): string => reasons.get(name) ?? "none of its tests ran";
  const lines = left.map(([name]) => `not run: ${name}, ${reasonOf(name)}`);
  if (ran.length > 0)
    lines.unshift(`conformance: ${ran.map((entry) => entry.join(" ")).join(", ")}`);
  if (left.length > 0)
    lines.push("to run them all: npm run services install && npm run services start");
  const problems = required
    .filter((name) => (counts.get(name) ?? 0) === 0)
    .map((name) => {
      const why = counts.has(name) ? reasonOf(name) : "no suite of this name was run";
      return `required but not run: ${name}, ${why}`;
    });
  return { lines, problems };
}

function byName([a]: readonly [string, number], [b]: readonly [string, number]): number {
  return a < b ? -1 : 1;
}
