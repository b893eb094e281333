import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { importsOf, lineAt, scanSource } from "./scan.ts";

describe("scanSource()", () => {
  it("blanks comments and literals and keeps every offset", () => {
    const text = 'a("x // y"); // z\n/* b */ c(`t ${d("e")} u`);\n';
    const { code, withLiterals, comments } = scanSource(text);
    assert.equal(code.length, text.length);
    assert.equal(code, 'a("      ");     \n        c(`  ${d(" ")}  `);\n');
    assert.equal(withLiterals, 'a("x // y");     \n        c(`t ${d("e")} u`);\n');
    assert.deepEqual(
      comments.map((comment) => comment.text),
      ["// z", "/* b */"],
    );
  });

  it("knows a regular expression from a division", () => {
    const { code } = scanSource('const r = /["\'`{]/.test(s); const q = a / b / c; "d"\n');
    assert.equal(code, 'const r = /      /.test(s); const q = a / b / c; " "\n');
  });

  it("survives escapes, classes and nested templates", () => {
    const { code } = scanSource("f('\\'', /[/\\]]/, `a${`b${{ c: 1 }}`}`, e)\n");
    assert.equal(code, "f('  ', /     /, ` ${` ${{ c: 1 }}`}`, e)\n");
  });

  it("ends at the end of text that is cut off", () => {
    for (const text of ['"abc', "`abc", "/* abc", "// abc", "= /abc", "`${", "'\\"])
      assert.equal(scanSource(text).code.length, text.length);
  });
});

describe("importsOf()", () => {
  it("lists imports of every form with their lines", () => {
    const text = [
      'import { a } from "./a.ts";',
      'import "./b.ts";',
      "export {",
      "  c,",
      '} from "./c.ts";',
      'const d = await import("./d.ts");',
      'const e = new URL("./e.ts", import.meta.url);',
      '// import "./f.ts";',
      'const g = siblingModule(import.meta.url, "g-worker");',
    ].join("\n");
    assert.deepEqual(
      importsOf(text).map(({ specifier, line, kind }) => [specifier, line, kind]),
      [
        ["./a.ts", 1, "static"],
        ["./b.ts", 2, "static"],
        ["./c.ts", 5, "static"],
        ["./d.ts", 6, "lazy"],
        ["./e.ts", 7, "url"],
        ["./g-worker.ts", 9, "url"],
      ],
    );
  });
});

describe("lineAt()", () => {
  it("counts lines from 1 and gives a line break to the line it ends", () => {
    assert.deepEqual(
      [0, 1, 2, 3].map((offset) => lineAt("a\nb\n", offset)),
      [1, 1, 2, 2],
    );
  });
});
