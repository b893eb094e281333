import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { isMillraceError, type MillraceError } from "../errors.ts";
import { parseFlags, type Arguments } from "./flags.ts";

const COMMAND = {
  name: "restore",
  flags: {
    o: { kind: "text", value: "PATH", help: "" },
    config: { kind: "text", help: "" },
    force: { kind: "boolean", help: "" },
    "no-expand-env": { kind: "boolean", help: "" },
  },
  later: ["follow"],
} as const;

function parse(...args: string[]): Arguments {
  return parseFlags(COMMAND, args);
}

function refusal(...args: string[]): MillraceError {
  try {
    parse(...args);
  } catch (error) {
    if (isMillraceError(error, "usage/invalid")) return error;
    throw error;
  }
  return assert.fail(`accepted: ${args.join(" ")}`);
}

describe("parseFlags()", () => {
  for (const args of [
    ["-o", "x", "-force", "db"],
    ["--o", "x", "--force", "db"],
    ["-o=x", "-force=true", "db"],
    ["--o=x", "--force=1", "db"],
    ["db", "-force", "-o", "x"],
    ["-o", "y", "-o", "x", "-force=false", "-force=T", "db"],
  ]) {
    it(`reads ${args.join(" ")}`, () => {
      const parsed = parse(...args);
      assert.deepEqual(
        [parsed.text("o"), parsed.flag("force"), parsed.positionals],
        ["x", true, ["db"]],
      );
    });
  }

  it("reads a flag that begins with no- as itself", () => {
    assert.equal(parse("-no-expand-env").flag("no-expand-env"), true);
    assert.equal(parse("-no-expand-env=false").flag("no-expand-env"), false);
    assert.equal(parse().flag("no-expand-env"), false);
  });

  it("takes the next word as a value, whatever it looks like", () => {
    assert.equal(parse("-o", "-force").text("o"), "-force");
    assert.equal(parse("-o", "").text("o"), "");
    assert.equal(parse("-o=").text("o"), "");
    assert.equal(parse("-o", "a=b").text("o"), "a=b");
  });

  it("ends the flags at --, and takes - as an argument", () => {
    assert.deepEqual(parse("-force", "--", "-o", "x").positionals, ["-o", "x"]);
    assert.deepEqual(parse("-", "a").positionals, ["-", "a"]);
  });

  it("names the nearest flag for an unknown one", () => {
    const error = refusal("-forse");
    assert.equal(error.message, 'restore: unknown flag "-forse"');
    assert.equal(error.hint, 'did you mean "-force"?');
    assert.equal(error.exitCode, 2);
    assert.equal(refusal("--whatever").hint, 'see "millrace restore -help"');
    assert.equal(refusal("-constructor").message, 'restore: unknown flag "-constructor"');
  });

  it("says which flags another version has", () => {
    assert.match(refusal("-follow").message, /flag "-follow" is not in this version/);
  });

  it("refuses a missing value and a boolean that is neither on nor off", () => {
    assert.match(refusal("-o").message, /flag -o needs a value/);
    assert.equal(refusal("-o").hint, "write -o PATH");
    assert.match(refusal("-force=maybe").message, /flag -force is on or off: got "maybe"/);
  });
});
