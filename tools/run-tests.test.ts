import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { parseArgs, selectTests } from "./run-tests.ts";

const FILES = [
  "src/ltx/header.test.ts",
  "src/ltx/header.ts",
  "test/crash/kill.crash.test.ts",
  "test/integration/vacuum.test.ts",
];

describe("selectTests()", () => {
  const select = (...args: string[]): string[] => selectTests(FILES, parseArgs(args));

  it("takes every test but the crash suite by default", () => {
    assert.deepEqual(select(), [FILES[0], FILES[3]]);
  });

  it("takes tests beside their source with --unit, crash tests with --crash", () => {
    assert.deepEqual(select("--unit"), [FILES[0]]);
    assert.deepEqual(select("--crash"), [FILES[2]]);
  });

  it("narrows by path", () => {
    assert.deepEqual(select("vacuum"), [FILES[3]]);
  });

  it("passes what follows -- on and refuses other flags", () => {
    assert.deepEqual(parseArgs(["ltx", "--", "--test-only"]).flags, ["--test-only"]);
    assert.throws(() => parseArgs(["--fast"]), /unknown flag --fast/);
  });
});
