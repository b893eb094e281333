/**
 * Runs the project's tests with Node's own runner: picks the files, sets the limits, says what it runs.
 *
 * Usage: node tools/run-tests.ts [--unit | --crash] [PATH...] [-- NODE_TEST_FLAG...]
 *   (nothing)  everything but the crash suite        --unit   only tests beside their source
 *   --crash    only the crash suite                  PATH     only files whose path contains one of these
 * Ends with what the conformance suites counted and left out; fails when one of REQUIRE_BACKENDS ran no test.
 */
import { spawn } from "node:child_process";
import { existsSync, mkdtempSync, rmSync, statfsSync } from "node:fs";
import { availableParallelism, tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { namesIn } from "../src/conformance/report.ts";
import { conformanceTable, readReports } from "./lib/conformance-table.ts";
import { listFiles } from "./lib/files.ts";

const TEST_TIMEOUT_MS = 240_000;
const CRASH_TIMEOUT_MS = 3_600_000;

export interface Selection {
  readonly suite: "all" | "unit" | "crash";
  readonly paths: readonly string[];
  readonly flags: readonly string[];
}

/** Understands the command line. */
export function parseArgs(args: readonly string[]): Selection {
  const end = args.indexOf("--");
  const own = end === -1 ? args : args.slice(0, end);
  const unknown = own.find((arg) => arg.startsWith("-") && arg !== "--unit" && arg !== "--crash");
  if (unknown !== undefined) throw new Error(`unknown flag ${unknown}: --unit, --crash or nothing`);
  const suite = own.includes("--crash") ? "crash" : own.includes("--unit") ? "unit" : "all";
  const flags = end === -1 ? [] : args.slice(end + 1);
  return { suite, paths: own.filter((arg) => !arg.startsWith("-")), flags };
}

/** The test files of `files` that belong to the selection. */
export function selectTests(files: readonly string[], selection: Selection): string[] {
  return files.filter((file) => {
    if (!file.endsWith(".test.ts")) return false;
    const isCrash = file.endsWith(".crash.test.ts");
    if (isCrash !== (selection.suite === "crash")) return false;
    if (selection.suite === "unit" && file.startsWith("test/")) return false;
    return selection.paths.length === 0 || selection.paths.some((path) => file.includes(path));
  });
}

/** Bytes that the suite needs at its peak, with room. */
const MEMORY_DISK_BYTES = 4 * 2 ** 30;

/**
 * Where tests put their files: a disk in memory where there is a large enough one, because thousands of databases are
 * flushed thousands of times; TMPDIR decides when it is set.
 */
function temporaryDirectory(): string {
  const chosen = process.env["TMPDIR"];
  if (chosen !== undefined) return chosen;
  const memory = "/dev/shm";
  if (!existsSync(memory)) return tmpdir();
  const { bavail, bsize } = statfsSync(memory);
  return bavail * bsize >= MEMORY_DISK_BYTES ? memory : tmpdir();
}

/** Prints what the suites reported and removes the reports; false when a required one ran no test. */
function concludeConformance(directory: string): boolean {
  const required = namesIn(process.env["REQUIRE_BACKENDS"]);
  const { lines, problems } = conformanceTable(readReports(directory), required);
  rmSync(directory, { recursive: true, force: true });
  for (const line of lines) console.log(line);
  for (const problem of problems) console.error(`run-tests: ${problem}`);
  return problems.length === 0;
}

function main(): void {
  const root = dirname(import.meta.dirname);
  const selection = parseArgs(process.argv.slice(2));
  const files = selectTests(listFiles(root), selection);
  if (files.length === 0) {
    console.error(
      `run-tests: no ${selection.suite} test matches ${selection.paths.join(" ") || "*"}`,
    );
    process.exitCode = 1;
    return;
  }
  console.log(
    `run-tests: ${files.length} files, suite ${selection.suite}, Node ${process.version}`,
  );
  const timeoutMs = selection.suite === "crash" ? CRASH_TIMEOUT_MS : TEST_TIMEOUT_MS;
  const flags = [
    "--test",
    `--test-timeout=${timeoutMs}`,
    `--test-concurrency=${Math.max(1, Math.min(4, availableParallelism()))}`,
    ...selection.flags,
  ];
  const reports = mkdtempSync(join(tmpdir(), "millrace-conformance-reports-"));
  const env = {
    ...process.env,
    TMPDIR: temporaryDirectory(),
    MILLRACE_CONFORMANCE_DIR: reports,
  };
  const child = spawn(process.execPath, [...flags, ...files], { cwd: root, env, stdio: "inherit" });
  child.on("error", (error) => {
    throw error;
  });
  child.on("exit", (code, signal) => {
    process.exitCode = code ?? 1;
    if (signal !== null) console.error(`run-tests: ended by ${signal}`);
    if (!concludeConformance(reports)) process.exitCode = 1;
  });
}

if (import.meta.main) main();
