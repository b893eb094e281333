/** The pages for people against the tree: tables, links, paths and commands they mention must exist. */
import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { describe, it } from "node:test";
import { readDepsTable } from "./check-deps.ts";
import { tableUnder } from "./lib/doc-tables.ts";
import { listFiles } from "./lib/files.ts";

const ROOT = dirname(import.meta.dirname);
const PAGES = listFiles(ROOT).filter((path) => path.endsWith(".md") && !path.startsWith("test/"));

function read(path: string): string {
  return readFileSync(join(ROOT, path), "utf8");
}

/** The names in backquotes of a table cell, sorted. */
function namesIn(cell: string | undefined): string[] {
  const bare = /^[\w./*-]+$/.exec(cell ?? "");
  if (bare !== null) return [bare[0]];
  return [...(cell ?? "").matchAll(/`([^`]+)`/g)].map((match) => match[1] ?? "").sort();
}

describe("ARCHITECTURE.md", () => {
  const page = join(ROOT, "ARCHITECTURE.md");
  const table = readDepsTable(ROOT);

  it("shows the import table as tools/deps.json has it", () => {
    const shown = tableUnder(page, "Folders").map(
      (row) => [row["Folder"], namesIn(row["May import"])] as const,
    );
    const wanted = Object.entries(table.rows).map(
      ([row, { imports }]) => [row, imports.toSorted()] as const,
    );
    assert.deepEqual(Object.fromEntries(shown), Object.fromEntries(wanted));
  });

  it("has a test that quotes each invariant it lists", () => {
    const tests = listFiles(ROOT).filter((path) => path.endsWith(".test.ts"));
    const quoted = new Set(
      tests.flatMap((path) =>
        [...read(path).matchAll(/\[(C\d+(?:, C\d+)*)\]/g)].flatMap(([, names = ""]) =>
          names.split(", "),
        ),
      ),
    );
    const listed = tableUnder(page, "Invariants of capture").map((row) => row[""] ?? "");
    assert.equal(listed.length, 12);
    assert.deepEqual(
      listed.filter((name) => !quoted.has(name)),
      [],
    );
  });

  it("shows who may use the fenced modules and packages", () => {
    const shown = tableUnder(page, "Fenced modules").map(
      (row) => [row["Module"], namesIn(row["Used by"])] as const,
    );
    const usersOf = (module: string): string[] =>
      Object.entries(table.rows)
        .filter(([, { node = [], packages = [] }]) =>
          module.startsWith("node:")
            ? node.includes(module.replace("node:", ""))
            : packages.includes(module),
        )
        .map(([row]) => row)
        .sort();
    const packages = Object.values(table.rows).flatMap((row) => row.packages ?? []);
    const modules = [...table.fencedNode.map((name) => `node:${name}`), ...new Set(packages)];
    const wanted = modules.map((module) => [module, usersOf(module)] as const);
    assert.deepEqual(Object.fromEntries(shown), Object.fromEntries(wanted));
  });
});

describe("every page", () => {
  it("links only to files that exist", () => {
    for (const path of PAGES) {
      for (const [, target = ""] of read(path).matchAll(/\]\(([^)#]+)(?:#[^)]*)?\)/g)) {
        if (/^\w+:/.test(target)) continue;
        assert.ok(existsSync(join(ROOT, dirname(path), target)), `${path} links to ${target}`);
      }
    }
  });

  it("names only paths that exist", () => {
    for (const path of PAGES) {
      for (const [, target = ""] of read(path).matchAll(
        /`((?:src|tools|docs|test|bench)\/[\w./-]+)`/g,
      ))
        assert.ok(existsSync(join(ROOT, target)), `${path} names ${target}`);
    }
  });

  it("is named by comments only where it exists", () => {
    for (const path of listFiles(join(ROOT, "src"))) {
      for (const [target] of read(`src/${path}`).matchAll(/\bdocs\/[\w./-]+\.md\b/g))
        assert.ok(existsSync(join(ROOT, target)), `src/${path} names ${target}`);
    }
  });

  it("names only environment variables that something reads", () => {
    const folders = ["src", "test", "bench", "tools"];
    const code = folders
      .flatMap((folder) => listFiles(join(ROOT, folder)).map((path) => `${folder}/${path}`))
      .filter((path) => path.endsWith(".ts") && path !== "tools/docs.test.ts")
      .map(read)
      .join("\n");
    for (const path of PAGES) {
      for (const [name] of read(path).matchAll(/\bMILLRACE_[A-Z_]+\b/g))
        assert.ok(code.includes(name), `${path} names ${name}`);
    }
  });

  it("names only npm scripts that exist", () => {
    const { scripts } = JSON.parse(read("package.json")) as { scripts: Record<string, string> };
    for (const path of PAGES) {
      for (const [, script = ""] of read(path).matchAll(/\bnpm run ([\w:-]+)/g))
        assert.ok(script in scripts, `${path} names npm run ${script}`);
    }
  });
});

describe("README.md", () => {
  it("begins with exactly the two commands that set up", () => {
    const commands = [...read("README.md").matchAll(/^npm ci.*$/gm)].map((match) => match[0]);
    assert.deepEqual(commands, ["npm ci && npx millrace demo", "npm ci && npm test"]);
  });
});

describe("package.json", () => {
  const manifest = JSON.parse(read("package.json")) as {
    scripts: Record<string, string>;
    dependencies: Record<string, string>;
  };

  it("depends on exactly the packages that the import table names", () => {
    const named = Object.values(readDepsTable(ROOT).rows).flatMap((row) => row.packages ?? []);
    assert.deepEqual(Object.keys(manifest.dependencies).sort(), [...new Set(named)].sort());
  });

  it("runs only scripts that exist", () => {
    for (const [name, command] of Object.entries(manifest.scripts)) {
      for (const [, path = ""] of command.matchAll(/\bnode ([\w./-]+\.ts)/g))
        assert.ok(existsSync(join(ROOT, path)), `npm run ${name} runs ${path}`);
    }
  });
});
