import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { isMillraceError } from "../errors.ts";
import { splitWords } from "./shell-words.ts";

describe("splitWords()", () => {
  for (const [command, words] of [
    ["node app.js", ["node", "app.js"]],
    ["  a   b\tc\n", ["a", "b", "c"]],
    [`sh -c 'exit 3; "x"'`, ["sh", "-c", 'exit 3; "x"']],
    [`say "two words" and\\ more`, ["say", "two words", "and more"]],
    [`a "say \\"hi\\" \\n"`, ["a", 'say "hi" \\n']],
    [`a'b'"c"d`, ["abcd"]],
    [`a '' ""`, ["a", "", ""]],
    ["echo $HOME *", ["echo", "$HOME", "*"]],
    ["a\\;b", ["a;b"]],
  ] as const) {
    it(`splits ${JSON.stringify(command)}`, () => {
      assert.deepEqual(splitWords(command), words);
    });
  }

  for (const command of ["", "  ", "a | b", "a; b", "a > b", "a & ", "a 'b", 'a "b\\"']) {
    it(`refuses ${JSON.stringify(command)}`, () => {
      assert.throws(
        () => splitWords(command),
        (error) => isMillraceError(error, "usage/invalid"),
      );
    });
  }
});
