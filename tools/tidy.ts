/**
 * House style as a test: sizes, banned calls, idle tests, task tags, dead files, large blobs, machine
 * paths. Function lengths above the limit stand in tools/tidy-ratchet.json, which may only shrink.
 *
 * Usage: node tools/tidy.ts [--update] [ROOT]      --update lowers or drops entries of the ratchet
 */
import { existsSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { basename, dirname, join, posix } from "node:path";
import { isTest, listFiles } from "./lib/files.ts";
import { importsOf, scanSource } from "./lib/scan.ts";
import { functionSizes } from "./tidy/functions.ts";
import * as rules from "./tidy/rules.ts";

const FUNCTION_LINES = 70;
const MAX_BLOB_BYTES = 256 * 1024;
const RATCHET = "tools/tidy-ratchet.json";
const CODE = /\.(?:ts|js|mts|cts)$/;
const TEXT = /\.(?:ts|js|mts|cts|json|jsonc|md|sh|yml|yaml|txt)$|(?:^|\/)(?:run|LICENSE|NOTICE)$/;
const GENERATED = ["src/kernel/wasm.ts", "package-lock.json", "LICENSE"];

export interface TidyReport {
  readonly problems: readonly string[];
  readonly advice: readonly string[];
  /** Functions above the limit: `path:name` to lines. */
  readonly longFunctions: ReadonlyMap<string, number>;
}

/** Checks every file below `root`, apart from the ratchet. */
export function tidy(root: string): TidyReport {
  const files = listFiles(root);
  const problems: string[] = [];
  const advice: string[] = [];
  const longFunctions = new Map<string, number>();
  for (const path of files) {
    const sizeBytes = statSync(join(root, path)).size;
    if (sizeBytes > MAX_BLOB_BYTES) problems.push(`${path}: ${sizeBytes} bytes: over 256 KiB`);
    if (!TEXT.test(path) || GENERATED.includes(path)) continue;
    const text = readFileSync(join(root, path), "utf8");
    const findings = CODE.test(path)
      ? codeFindings(path, text, longFunctions)
      : rules.foreignWords(text);
    findings.push(...rules.machinePaths(text), ...rules.absentDocuments(text));
    for (const { line, rule, text: what } of rules.applyAllowances(text, findings))
      problems.push(`${path}:${line}: ${rule}: ${what}`);
    if (!CODE.test(path)) continue;
    for (const { text: what, soft } of rules.fileSize(path, text))
      (soft ? advice : problems).push(`${path}: file-size: ${what}`);
  }
  problems.push(...deadFiles(root, files));
  return { problems, advice, longFunctions };
}

function codeFindings(path: string, text: string, long: Map<string, number>): rules.Finding[] {
  const source = scanSource(text);
  if (!isTest(path) && !path.includes("/conformance/")) {
    for (const { name, countLines } of functionSizes(source.code)) {
      const key = `${path}:${name}`;
      if (countLines > FUNCTION_LINES) long.set(key, Math.max(countLines, long.get(key) ?? 0));
    }
  }
  return [
    ...rules.bannedCalls(path, source),
    ...rules.idleTests(path, source),
    ...rules.taskTags(source),
    ...rules.foreignComments(source),
  ];
}

/** Sources that nothing but their own test refers to. Entry points are named by package.json. */
function deadFiles(root: string, files: readonly string[]): string[] {
  const sources = files.filter((path) => /^(?:src|tools|bench|test)\/.*\.ts$/.test(path));
  const alive = new Set<string>(["src/index.ts", "src/cli/main.ts"]);
  const manifest = existsSync(join(root, "package.json"))
    ? readFileSync(join(root, "package.json"), "utf8")
    : "";
  for (const path of sources) {
    if (manifest.includes(path) || manifest.includes(path.replace(/^src\/(.*)\.ts$/, "dist/$1.js")))
      alive.add(path);
    for (const { specifier } of importsOf(readFileSync(join(root, path), "utf8"))) {
      if (!specifier.startsWith(".")) continue;
      const target = posix.join(posix.dirname(path), specifier).replace(/\.js$/, ".ts");
      if (isOwnTest(path, target)) continue;
      alive.add(target);
    }
  }
  return sources
    .filter((path) => !alive.has(path) && !isEntry(path))
    .map((path) => `${path}: dead-file: nothing refers to it`);
}

function isOwnTest(path: string, target: string): boolean {
  const stem = target.replace(/\.ts$/, "");
  return path.startsWith(`${stem}.`) && path.endsWith(".test.ts");
}

function isEntry(path: string): boolean {
  return (
    path.endsWith(".test.ts") || path.endsWith(".d.ts") || path.startsWith("src/kernel/assembly/")
  );
}

/** Compares long functions with the ratchet: nothing new, nothing longer, nothing listed in vain. */
export function checkRatchet(
  found: ReadonlyMap<string, number>,
  ratchet: Readonly<Record<string, number>>,
): string[] {
  const problems: string[] = [];
  for (const [key, lines] of found) {
    const limit = ratchet[key] ?? FUNCTION_LINES;
    if (lines > limit) problems.push(`${key}: function-size: ${lines} lines: over ${limit}`);
    if (lines < limit)
      problems.push(`${key}: ratchet: now ${lines} lines: lower ${limit} (--update)`);
  }
  for (const key of Object.keys(ratchet))
    if (!found.has(key)) problems.push(`${key}: ratchet: no longer long: drop it (--update)`);
  return problems;
}

function lowered(
  found: ReadonlyMap<string, number>,
  ratchet: Readonly<Record<string, number>>,
): Record<string, number> {
  const entries = Object.entries(ratchet).flatMap(([key, limit]) => {
    const lines = found.get(key);
    return lines === undefined ? [] : [[key, Math.min(limit, lines)] as const];
  });
  return Object.fromEntries(entries);
}

function main(args: readonly string[]): void {
  const root = args.find((arg) => !arg.startsWith("--")) ?? dirname(import.meta.dirname);
  const { problems, advice, longFunctions } = tidy(root);
  const path = join(root, RATCHET);
  const ratchet = JSON.parse(readFileSync(path, "utf8")) as Record<string, number>;
  const update = args.includes("--update");
  const next = update ? lowered(longFunctions, ratchet) : ratchet;
  if (update) writeFileSync(path, JSON.stringify(next, null, 2) + "\n");
  const all = [...problems, ...checkRatchet(longFunctions, next)];
  for (const line of advice) console.log(`advice: ${line}`);
  for (const line of all) console.error(line);
  if (all.length > 0) process.exitCode = 1;
  console.log(`${basename(root)}: tidy: ${all.length} problems, ${advice.length} to think about`);
}

if (import.meta.main) main(process.argv.slice(2));
