import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { sampleTree } from "./lib/sample-tree.ts";
import { checkRatchet, tidy } from "./tidy.ts";

const ENTRY = { "src/index.ts": 'export { a } from "./codec/a.ts";\n' };

/** Problems of a tree in which `src/ltx/a.ts`, a referenced source file, holds `text`. */
function problemsOf(text: string, path = "src/ltx/a.ts"): readonly string[] {
  using tree = sampleTree({
    "src/index.ts": `export { a } from "./${path.replace("src/", "")}";\n`,
    [path]: text,
  });
  return tidy(tree.root).problems;
}

function lines(count: number, line: string): string {
  return `${line}\n`.repeat(count);
}

describe("tidy()", () => {
  it("accepts a tidy file, and banned words in strings and comments", () => {
    const text =
      '// Date.now is banned\nexport const a = "console.log";\nexport const r = /\\.subarray\\(/;\n';
    assert.deepEqual(problemsOf(text), []);
  });

  it("bans clocks, timers, randomness, exits and the console outside the edge", () => {
    const calls = {
      clock: ["Date.now()", "new Date()", "performance.now()"],
      timer: ["setTimeout(run, 5)", "setInterval(run, 5)"],
      random: ["Math.random()", "randomUUID()"],
      exit: ["process.exit(1)"],
      console: ['console.error("x")'],
    };
    for (const [rule, samples] of Object.entries(calls)) {
      for (const sample of samples) {
        const text = `export const a = () =>\n  ${sample};\n`;
        assert.match(problemsOf(text)[0] ?? "", new RegExp(`^src/ltx/a\\.ts:2: ${rule}: `));
        assert.deepEqual(problemsOf(text, "src/platform/a.ts"), []);
        assert.deepEqual(problemsOf(text, "src/cli/a.ts"), []);
      }
    }
  });

  it("allows a date made of a given time", () => {
    assert.deepEqual(problemsOf("export const a = new Date(5);\n"), []);
  });

  it("bans subarray in the codecs unless the line says why", () => {
    const call = "export const a = bytes.subarray(0, 4);\n";
    assert.match(problemsOf(call)[0] ?? "", /:1: subarray: /);
    assert.deepEqual(problemsOf(`// tidy-allow subarray: bounds checked above\n${call}`), []);
    assert.match(problemsOf(`// tidy-allow subarray: \n${call}`)[0] ?? "", /subarray/);
    assert.match(problemsOf(`// tidy-allow clock: another rule\n${call}`)[0] ?? "", /subarray/);
    assert.deepEqual(problemsOf(call, "src/capture/a.ts"), []);
  });

  it("reports tests that are left out", () => {
    for (const call of ["it.only", "test.skip", "describe.todo", "t.skip"])
      assert.match(
        problemsOf(`${call}("x", () => {});\n`, "src/ltx/a.test.ts")[0] ?? "",
        /idle-test/,
      );
    assert.match(
      problemsOf('it("x", { only: true }, run);\n', "src/ltx/a.test.ts")[0] ?? "",
      /idle/,
    );
  });

  it("reports task tags without an issue", () => {
    assert.match(problemsOf("// TODO later\nexport const a = 1;\n")[0] ?? "", /task-tag/); // tidy-allow task-tag: a sample
    assert.match(problemsOf("/* FIXME(#1): x */\nexport const a = 1;\n")[0] ?? "", /task-tag/);
    assert.deepEqual(problemsOf("// TODO(#12): read both\nexport const a = 1;\n"), []);
  });

  it("limits the length of files, more generously for tests", () => {
    const long = lines(401, "export const a = 1;");
    assert.match(problemsOf(long)[0] ?? "", /file-size: 401 lines: over 400/);
    assert.deepEqual(problemsOf(`/* tidy-allow file-size: one table */\n${long}`), []);
    assert.deepEqual(problemsOf(long, "src/ltx/a.test.ts"), []);
    const longTest = lines(601, "export const a = 1;");
    assert.match(problemsOf(longTest, "src/ltx/a.test.ts")[0] ?? "", /over 600/);
    using tree = sampleTree({ ...ENTRY, "src/codec/a.ts": lines(301, "export const a = 1;") });
    const report = tidy(tree.root);
    assert.deepEqual(report.problems, []);
    assert.deepEqual(report.advice, ["src/codec/a.ts: file-size: 301 lines: over 300"]);
  });

  it("finds functions above 70 lines, of every shape", () => {
    const body = lines(70, "  work();");
    const shapes = {
      plain: `export function plain(x: number): { a: number } {\n${body}}\n`,
      arrow: `export const arrow = async (x: number): Promise<void> => {\n${body}};\n`,
      method: `class C {\n  async method<T>(x: T): Promise<T> {\n${body}  }\n}\n`,
      wrapped: `export function wrapped(\n  x: number,\n): Promise<Map<string, number>> {\n${body}}\n`,
      "#own": `class C {\n  #own(): void {\n${body}  }\n}\n`,
    };
    for (const [name, text] of Object.entries(shapes)) {
      using tree = sampleTree({ "src/index.ts": text });
      assert.deepEqual([...tidy(tree.root).longFunctions.keys()], [`src/index.ts:${name}`]);
    }
  });

  it("takes no class, table or block for a function", () => {
    const body = lines(80, "  a: 1,");
    const text = [
      `export const table = {\n${body}};\n`,
      `export class Big {\n${lines(80, "  field = 1;")}}\n`,
      `if (ready(1)) {\n${lines(80, "  work();")}}\n`,
      `export const made = make({\n${body}});\n`,
      `export const methods = {\n${lines(30, "  a(x) {\n    return x;\n  },\n  b: (y) => y,")}};\n`,
    ].join("");
    using tree = sampleTree({ "src/index.ts": text });
    assert.deepEqual([...tidy(tree.root).longFunctions], []);
  });

  it("reports sections of documents that nobody can open", () => {
    const text = "// Source: some-core spec 1.2 (`Header`)\nexport const a = 1;\n"; // tidy-allow absent-document: a sample
    assert.match(problemsOf(text)[0] ?? "", /:1: absent-document: "some-core spec 1\.2"/);
  });

  it("reports sources that only their own test refers to", () => {
    using tree = sampleTree({
      "src/index.ts": "export const x = 1;\n",
      "src/ltx/lonely.ts": "export const l = 1;\n",
      "src/ltx/lonely.test.ts": 'import { l } from "./lonely.ts";\nvoid l;\n',
    });
    assert.deepEqual(tidy(tree.root).problems, [
      "src/ltx/lonely.ts: dead-file: nothing refers to it",
    ]);
  });

  it("reports large blobs, machine paths and letters of another script", () => {
    using tree = sampleTree({
      "test/golden/big.bin": "x".repeat(256 * 1024 + 1),
      // tidy-allow machine-path: a sample
      "docs/a.md": "See /home/someone/project and https://example.org/home/x\n",
      "docs/b.md": "A \u0444 here\n",
    });
    assert.deepEqual(tidy(tree.root).problems, [
      'docs/a.md:1: machine-path: "/home/someone" is a path of one machine', // tidy-allow machine-path: a sample
      'docs/b.md:1: language: "\u0444" is not English',
      "test/golden/big.bin: 262145 bytes: over 256 KiB",
    ]);
  });
});

describe("checkRatchet()", () => {
  it("lets a listed function stay, never grow, and never be forgotten", () => {
    const found = new Map([["a.ts:f", 90]]);
    assert.deepEqual(checkRatchet(found, { "a.ts:f": 90 }), []);
    assert.match(checkRatchet(found, {})[0] ?? "", /90 lines: over 70/);
    assert.match(checkRatchet(found, { "a.ts:f": 80 })[0] ?? "", /90 lines: over 80/);
    assert.match(checkRatchet(found, { "a.ts:f": 100 })[0] ?? "", /lower 100/);
    assert.match(checkRatchet(new Map(), { "a.ts:f": 90 })[0] ?? "", /drop it/);
  });
});
