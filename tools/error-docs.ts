/**
 * Renders the code table of src/error-kinds.ts to docs/errors.md, so that the table is the documentation.
 *
 * Usage: node tools/error-docs.ts [--check]
 */
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { ERROR_KINDS, type Retry } from "../src/errors.ts";

const RETRY_WORDS: Readonly<Record<Retry, string>> = {
  never: "no",
  backoff: "yes, later",
  "after-reset": "after the local state was reset",
};

/** The page, as Markdown: one table for each area, in the order of the code table. */
export function renderErrorDocs(): string {
  const kinds = Object.entries(ERROR_KINDS);
  const areas = [...new Set(kinds.map(([code]) => code.split("/")[0] ?? ""))];
  const sections = areas.map((area) => {
    const rows = kinds
      .filter(([code]) => code.startsWith(`${area}/`))
      .map(([code, { exit, retry, meaning }]) => {
        const cells = [`\`${code}\``, String(exit), RETRY_WORDS[retry], meaning];
        return `| ${cells.map((cell) => cell.replaceAll("|", "\\|")).join(" | ")} |`;
      });
    return [
      `## ${area}`,
      "",
      "| Code | Exit status | Worth retrying | Meaning |",
      "|---|---|---|---|",
      ...rows,
    ].join("\n");
  });
  return `${[INTRODUCTION, ...sections].join("\n\n")}\n`;
}

const INTRODUCTION = `# Error codes

Every error that Millrace raises on purpose is a \`MillraceError\` with one of these codes. A code never
changes its meaning: branch on \`error.code\` or \`error.retry\`, never on the message or the class. A command
that fails ends with the exit status of its error, and \`--json\` prints the code.

This page is rendered from \`src/error-kinds.ts\` by \`npm run error-docs\`.`;

function main(): void {
  const path = join(dirname(import.meta.dirname), "docs", "errors.md");
  const wanted = renderErrorDocs();
  if (!process.argv.includes("--check")) {
    writeFileSync(path, wanted);
    return;
  }
  if (existsSync(path) && readFileSync(path, "utf8") === wanted) return;
  console.error('docs/errors.md differs from src/error-kinds.ts: run "npm run error-docs"');
  process.exitCode = 1;
}

if (import.meta.main) main();
