import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { it } from "node:test";
import { sampleTree } from "./lib/sample-tree.ts";

const ROOT = dirname(import.meta.dirname);
const OXLINT = join(ROOT, "node_modules", "oxlint", "bin", "oxlint");

/** What the linter must refuse, each with the rule that does it. */
const BAD: Readonly<Record<string, string>> = {
  "no-floating-promises": "async function f() {}\nf();\n",
  "no-misused-promises": "[1].map((x) => x).forEach(async () => {});\n",
  "no-explicit-any": "export const a: any = 1;\n",
  "no-non-null-assertion": "export const f = (a: string | undefined) => a!.length;\n",
  "no-default-export": "export default 1;\n",
  "switch-exhaustiveness-check":
    'export function f(k: "a" | "b") {\n  switch (k) {\n    case "a":\n      return 1;\n  }\n  return 2;\n}\n',
  "only-throw-error": 'export function f() {\n  throw "text";\n}\n',
};

it("the linter refuses what the house forbids", () => {
  const files = Object.entries(BAD).map(([rule, text]) => [`src/${rule}.ts`, text] as const);
  using tree = sampleTree({
    ".oxlintrc.json": readFileSync(join(ROOT, ".oxlintrc.json"), "utf8"),
    "tsconfig.json":
      '{ "compilerOptions": { "strict": true, "noEmit": true }, "include": ["src"] }\n',
    ...Object.fromEntries(files),
  });
  const result = spawnSync(process.execPath, [OXLINT, "--type-aware", "-f", "unix"], {
    cwd: tree.root,
    encoding: "utf8",
  });
  for (const rule of Object.keys(BAD))
    assert.match(result.stdout, new RegExp(`src/${rule}\\.ts:.*\\(${rule}\\)`), result.stderr);
});
