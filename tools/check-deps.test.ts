import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { type DepsTable, checkDeps } from "./check-deps.ts";
import { sampleTree } from "./lib/sample-tree.ts";

const TABLE: DepsTable = {
  everyone: ["base"],
  fencedNode: ["sqlite"],
  rows: {
    base: { imports: [] },
    codec: { imports: [] },
    store: { imports: ["codec/names.ts"], node: ["*"], packages: ["left-pad"] },
  },
};

const GOOD: Readonly<Record<string, string>> = {
  "src/base/assert.ts": "export const a = 1;\n",
  "src/codec/names.ts": 'import { a } from "../base/assert.ts";\nexport const n = a;\n',
  "src/codec/header.ts": 'import { n } from "./names.ts";\nexport const h = n;\n',
  "src/store/store.ts": [
    'import { join } from "node:path";',
    'import pad from "left-pad";',
    'import { n } from "../codec/names.ts";',
    "export const s = pad(join(n));",
    "",
  ].join("\n"),
  "src/store/store.test.ts": 'import { h } from "../codec/header.ts";\nvoid h;\n',
};

/** Problems found when `changes` are laid over the good tree. */
function problemsWith(changes: Readonly<Record<string, string>>): string[] {
  using tree = sampleTree({ ...GOOD, ...changes });
  return checkDeps(tree.root, TABLE);
}

function assertProblem(changes: Readonly<Record<string, string>>, expected: RegExp): void {
  const problems = problemsWith(changes);
  assert.ok(
    problems.some((problem) => expected.test(problem)),
    `expected ${expected} among:\n${problems.join("\n")}`,
  );
}

describe("checkDeps()", () => {
  it("accepts a tree that keeps to its table, and anything from a test", () => {
    assert.deepEqual(problemsWith({}), []);
  });

  it("reports an import the table does not allow, with file and line", () => {
    assertProblem(
      { "src/codec/header.ts": '\nimport { s } from "../store/store.ts";\nexport const h = s;\n' },
      /^src\/codec\/header\.ts:2: codec may not import store/,
    );
  });

  it("lets a row with a star import everything", () => {
    const table = {
      ...TABLE,
      rows: { ...TABLE.rows, lab: { imports: ["*"] } },
    } satisfies DepsTable;
    using tree = sampleTree({
      ...GOOD,
      "src/lab/l.ts": 'import { s } from "../store/store.ts";\nexport const l = s;\n',
    });
    assert.deepEqual(checkDeps(tree.root, table), []);
  });

  it("reports a file outside those the table opens", () => {
    assertProblem(
      { "src/store/more.ts": 'import { h } from "../codec/header.ts";\nexport const m = h;\n' },
      /store may not import codec \(src\/codec\/header\.ts\)/,
    );
  });

  it("reports type-only, re-exporting, multi-line and dynamic imports", () => {
    for (const text of [
      'import type { s } from "../store/store.ts";\n',
      'export { s } from "../store/store.ts";\n',
      'export * from "../store/store.ts";\n',
      'import {\n  s,\n} from "../store/store.ts";\n',
      'export const load = () => import("../store/store.ts");\n',
      'export const worker = new URL("../store/store.ts", import.meta.url);\n',
    ])
      assertProblem({ "src/codec/header.ts": text }, /codec may not import store/);
  });

  it("ignores imports that stand in comments and plain strings", () => {
    const text = '// import { s } from "../store/store.ts"\nexport const t = "from nowhere";\n';
    assert.deepEqual(problemsWith({ "src/codec/header.ts": text }), []);
  });

  it("reports a node module in a pure folder, and a fenced one behind a star", () => {
    assertProblem(
      { "src/codec/header.ts": 'import { join } from "node:path";\nexport const h = join;\n' },
      /codec may not use node:path/,
    );
    assertProblem(
      { "src/codec/header.ts": 'import { join } from "path";\nexport const h = join;\n' },
      /codec may not use node:path/,
    );
    assertProblem(
      {
        "src/store/db.ts":
          'import { DatabaseSync } from "node:sqlite";\nexport { DatabaseSync };\n',
      },
      /store may not use node:sqlite/,
    );
  });

  it("reports a package the row does not name", () => {
    assertProblem(
      { "src/codec/header.ts": 'import { x } from "@scope/thing/deep.js";\nexport const h = x;\n' },
      /codec may not use package @scope\/thing/,
    );
  });

  it("reports a folder that is missing from the table", () => {
    assertProblem(
      { "src/extra/new.ts": "export const e = 1;\n" },
      /src\/extra\/new\.ts: its folder/,
    );
  });

  it("reports an import of a file that does not exist", () => {
    assertProblem(
      { "src/codec/header.ts": 'import { x } from "./gone.ts";\nexport const h = x;\n' },
      /imports \.\/gone\.ts, which does not exist/,
    );
  });

  it("reports shipping code that imports a test", () => {
    assertProblem(
      { "src/store/more.ts": 'import "./store.test.ts";\nexport const m = 1;\n' },
      /imports the test src\/store\/store\.test\.ts/,
    );
  });

  it("reports files that import each other", () => {
    assertProblem(
      { "src/codec/names.ts": 'import type { h } from "./header.ts";\nexport const n = 1 as h;\n' },
      /files import each other: codec\/(names|header)\.ts -> codec\/(names|header)\.ts -> /,
    );
  });

  it("reports folders that import each other through different files", () => {
    const table = {
      ...TABLE,
      rows: { ...TABLE.rows, codec: { imports: ["store"] } },
    } satisfies DepsTable;
    using tree = sampleTree({
      ...GOOD,
      "src/codec/far.ts": 'import { m } from "../store/more.ts";\nexport const f = m;\n',
      "src/store/more.ts": "export const m = 1;\n",
    });
    assert.deepEqual(checkDeps(tree.root, table), [
      "folders import each other: codec -> store -> codec",
    ]);
  });

  it("lets a folder load one inside it lazily, which uses the folder's own files", () => {
    const table = {
      ...TABLE,
      rows: { ...TABLE.rows, app: { imports: ["app/demo"] }, "app/demo": { imports: ["app"] } },
    } satisfies DepsTable;
    const files = {
      ...GOOD,
      "src/app/main.ts": 'export const load = () => import("./demo/demo.ts");\n',
      "src/app/demo/demo.ts": 'import { load } from "../main.ts";\nexport const d = load;\n',
    };
    using tree = sampleTree(files);
    assert.deepEqual(checkDeps(tree.root, table), []);
    using eager = sampleTree({
      ...files,
      "src/app/main.ts": 'export { d } from "./demo/demo.ts";\n',
    });
    assert.match(
      checkDeps(eager.root, table).join(),
      /folders import each other: app(\/demo)? -> app/,
    );
  });

  it("reports an allowance that nobody uses and a row that does not exist", () => {
    const table = {
      ...TABLE,
      rows: { ...TABLE.rows, codec: { imports: ["store"], node: ["fs"] }, gone: { imports: [] } },
    } satisfies DepsTable;
    using tree = sampleTree(GOOD);
    assert.deepEqual(checkDeps(tree.root, table), [
      'tools/deps.json: nobody needs "codec imports store"',
      'tools/deps.json: nobody needs "codec node fs"',
      "tools/deps.json: gone does not exist in src",
    ]);
  });
});
