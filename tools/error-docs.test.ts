import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { it } from "node:test";
import { ERROR_KINDS } from "../src/errors.ts";
import { renderErrorDocs } from "./error-docs.ts";

it("renderErrorDocs() has one row for each code", () => {
  const codes = [...renderErrorDocs().matchAll(/^\| `([^`]+)` \| \d+ \|/gm)].map(
    (row) => row[1] ?? "",
  );
  assert.deepEqual(codes.toSorted(), Object.keys(ERROR_KINDS).toSorted());
});

it("docs/errors.md is what renderErrorDocs() gives", () => {
  const path = join(dirname(import.meta.dirname), "docs", "errors.md");
  assert.equal(readFileSync(path, "utf8"), renderErrorDocs(), 'run "npm run error-docs"');
});
