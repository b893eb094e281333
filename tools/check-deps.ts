/**
 * Checks who imports whom against tools/deps.json: the layers of the project are data, not custom.
 *
 * Fails on an edge the table does not allow, a `node:` module or package a folder may not use, a folder
 * the table does not know, a cycle between folders or between files, shipping code that imports tests,
 * and an allowance nobody uses. Type-only imports count. Tests may import anything that ships.
 *
 * Usage: node tools/check-deps.ts [ROOT]
 */
import { existsSync, readFileSync } from "node:fs";
import { builtinModules } from "node:module";
import { dirname, join, posix } from "node:path";
import { isTest, listFiles } from "./lib/files.ts";
import { importsOf } from "./lib/scan.ts";

export interface DepsRow {
  /** Rows or single files this one may import; `*` is everything. Every row may import itself. */
  readonly imports: readonly string[];
  /** `node:` modules this one may use, without the prefix; `*` stands for all but the fenced ones. */
  readonly node?: readonly string[];
  /** npm packages this one may import. */
  readonly packages?: readonly string[];
}

export interface DepsTable {
  /** Rows that every row may import. */
  readonly everyone: readonly string[];
  /** `node:` modules that `*` does not cover: a row must name them. */
  readonly fencedNode: readonly string[];
  /** Folder (or file) below src, without the prefix, to what it may import. The longest match counts. */
  readonly rows: Readonly<Record<string, DepsRow>>;
}

interface Edge {
  readonly from: string;
  readonly to: string;
  /** Loaded when needed: no cycle between files, nor when a folder so loads one inside it. */
  readonly lazy: boolean;
}

/** Returns one line for each violation; none means the tree keeps to its table. */
export function checkDeps(root: string, table: DepsTable): string[] {
  const files = listFiles(join(root, "src")).filter(isSource);
  const problems: string[] = [];
  const used = new Set<string>();
  const edges: Edge[] = [];
  for (const file of files) {
    const row = rowOf(file, table);
    if (row === undefined) problems.push(`src/${file}: its folder is missing from tools/deps.json`);
    if (isTest(file)) continue;
    for (const { specifier, line, kind } of importsOf(
      readFileSync(join(root, "src", file), "utf8"),
    )) {
      const at = `src/${file}:${line}`;
      if (!specifier.startsWith(".")) {
        if (row !== undefined && kind !== "url")
          problems.push(...checkForeign(at, specifier, row, table, used));
        continue;
      }
      const to = resolveImport(file, specifier, files);
      if (to === undefined && kind === "url") continue;
      if (to === undefined)
        problems.push(`${at}: imports ${specifier}, which does not exist in src`);
      else if (isTest(to)) problems.push(`${at}: imports the test src/${to}`);
      else if (row !== undefined) {
        if (kind !== "url") edges.push({ from: file, to, lazy: kind === "lazy" });
        problems.push(...checkEdge(at, row, to, table, used));
      }
    }
  }
  return [...problems, ...cycles(edges, table), ...unused(table, used, files)];
}

function isSource(path: string): boolean {
  return path.endsWith(".ts") && !path.endsWith(".d.ts") && !path.startsWith("kernel/assembly/");
}

/** The longest row that is the file itself or a folder above it. */
function rowOf(file: string, table: DepsTable): string | undefined {
  return Object.keys(table.rows)
    .filter((row) => file === row || file.startsWith(`${row}/`))
    .sort((a, b) => b.length - a.length)[0];
}

function resolveImport(
  file: string,
  specifier: string,
  files: readonly string[],
): string | undefined {
  const path = posix.join(posix.dirname(file), specifier).replace(/\.js$/, ".ts");
  return files.includes(path) ? path : undefined;
}

function checkEdge(
  at: string,
  row: string,
  to: string,
  table: DepsTable,
  used: Set<string>,
): string[] {
  const target = rowOf(to, table);
  if (target === undefined || target === row || table.everyone.includes(target)) return [];
  const allowed = table.rows[row]?.imports ?? [];
  const by = [to, target, "*"].find((name) => allowed.includes(name));
  if (by === undefined) return [`${at}: ${row} may not import ${target} (src/${to})`];
  used.add(`${row} imports ${by}`);
  return [];
}

function checkForeign(
  at: string,
  specifier: string,
  row: string,
  table: DepsTable,
  used: Set<string>,
): string[] {
  const allowed = table.rows[row];
  if (specifier.startsWith("node:") || builtinModules.includes(specifier)) {
    const name = specifier.replace(/^node:/, "");
    const names = allowed?.node ?? [];
    const by = names.includes(name) || table.fencedNode.includes(name) ? name : "*";
    if (!names.includes(by)) return [`${at}: ${row} may not use node:${name}`];
    used.add(`${row} node ${by}`);
    return [];
  }
  const name = specifier
    .split("/")
    .slice(0, specifier.startsWith("@") ? 2 : 1)
    .join("/");
  if (!(allowed?.packages ?? []).includes(name))
    return [`${at}: ${row} may not use package ${name}`];
  used.add(`${row} packages ${name}`);
  return [];
}

function unused(table: DepsTable, used: ReadonlySet<string>, files: readonly string[]): string[] {
  return Object.entries(table.rows).flatMap(([row, { imports, node = [], packages = [] }]) => {
    if (!files.some((file) => rowOf(file, table) === row))
      return [`tools/deps.json: ${row} does not exist in src`];
    const allowances = [
      ...imports.map((name) => `${row} imports ${name}`),
      ...node.map((name) => `${row} node ${name}`),
      ...packages.map((name) => `${row} packages ${name}`),
    ];
    return allowances
      .filter((allowance) => !used.has(allowance))
      .map((allowance) => `tools/deps.json: nobody needs "${allowance}"`);
  });
}

/** Cycles between files, then between rows, each as `a -> b -> a`. */
function cycles(edges: readonly Edge[], table: DepsTable): string[] {
  const byRow = edges.map(({ from, to, lazy }) => ({
    from: rowOf(from, table) ?? from,
    to: rowOf(to, table) ?? to,
    lazy,
  }));
  return [
    ...findCycles(edges.filter(({ lazy }) => !lazy)).map(
      (path) => `files import each other: ${path.join(" -> ")}`,
    ),
    ...findCycles(byRow.filter(({ from, to, lazy }) => !(lazy && to.startsWith(`${from}/`)))).map(
      (path) => `folders import each other: ${path.join(" -> ")}`,
    ),
  ];
}

function findCycles(edges: readonly Edge[]): string[][] {
  const next = new Map<string, Set<string>>();
  for (const { from, to } of edges) {
    if (from === to) continue;
    const targets = next.get(from) ?? new Set();
    next.set(from, targets.add(to));
  }
  const found: string[][] = [];
  const done = new Set<string>();
  const path: string[] = [];
  const visit = (node: string): void => {
    const start = path.indexOf(node);
    if (start !== -1) {
      found.push([...path.slice(start), node]);
      return;
    }
    if (done.has(node)) return;
    path.push(node);
    for (const target of next.get(node) ?? []) visit(target);
    path.pop();
    done.add(node);
  };
  for (const node of next.keys()) visit(node);
  return found;
}

/** Reads the table of the project below `root`. */
export function readDepsTable(root: string): DepsTable {
  return JSON.parse(readFileSync(join(root, "tools", "deps.json"), "utf8")) as DepsTable;
}

function main(): void {
  const root = process.argv[2] ?? dirname(import.meta.dirname);
  if (!existsSync(join(root, "src"))) throw new Error(`${root} has no src folder`);
  const problems = checkDeps(root, readDepsTable(root));
  for (const problem of problems) console.error(problem);
  if (problems.length > 0) process.exitCode = 1;
  console.log(`check-deps: ${problems.length} problems`);
}

if (import.meta.main) main();
