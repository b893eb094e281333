import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { toTxid } from "../base/ids.ts";
import { MillraceError } from "../errors.ts";
import { formatJson, formatTable, reportError } from "./output.ts";
import { describeProgress } from "./progress.ts";
import type { Terminal } from "./terminal.ts";

function fakeTerminal(): Terminal & { readonly written: { out: string; err: string } } {
  const written = { out: "", err: "" };
  return {
    written,
    env: {},
    cwd: "/",
    home: "/",
    pid: 1,
    isInteractive: false,
    columns: 80,
    out: (text) => void (written.out += text),
    err: (text) => void (written.err += text),
  };
}

describe("formatTable()", () => {
  it("keeps columns two spaces apart and no space at the end", () => {
    assert.equal(
      formatTable(
        ["a", "long"],
        [
          ["xyz", "1"],
          ["x", ""],
        ],
      ),
      "a    long\nxyz  1\nx\n",
    );
  });
});

describe("formatJson()", () => {
  it("indents, and writes TXIDs as 16 hexadecimal digits", () => {
    assert.equal(formatJson({ txid: toTxid(255) }), '{\n  "txid": "00000000000000ff"\n}\n');
  });
});

describe("reportError()", () => {
  const error = new MillraceError("restore/gap", "plan: a hole", {
    hint: "look",
    details: { a: 1 },
  });

  it("says what happened, what to do, and the code", () => {
    const terminal = fakeTerminal();
    assert.equal(reportError(terminal, error, { json: false }), 4);
    assert.deepEqual(terminal.written, {
      out: "",
      err: "Error: plan: a hole\nHint: look\nCode: restore/gap\n",
    });
  });

  it("adds a JSON document on standard output when asked", () => {
    const terminal = fakeTerminal();
    reportError(terminal, error, { json: true });
    assert.deepEqual(JSON.parse(terminal.written.out), {
      error: {
        code: "restore/gap",
        message: "plan: a hole",
        hint: "look",
        details: { a: 1 },
        exit_status: 4,
      },
    });
  });

  it("shows where a defect came from", () => {
    const terminal = fakeTerminal();
    assert.equal(reportError(terminal, new TypeError("oops"), { json: false }), 70);
    assert.match(terminal.written.err, /Code: internal\/bug\n.*\nTypeError: oops\n\s+at /);
  });
});

describe("describeProgress()", () => {
  it("has a rate and the time that is left", () => {
    const pages = { phase: "pages", pagesDone: 450, pagesTotal: 1000 } as const;
    assert.equal(
      describeProgress({ ...pages, bytesPerSecond: 480_000_000, etaMs: 1250 }),
      "restoring 45 %, 480 MB/s, 1.3 s left",
    );
    assert.equal(
      describeProgress({ ...pages, bytesPerSecond: 0, etaMs: undefined }),
      "restoring 45 %",
    );
    const plan = { phase: "plan", pagesDone: 0, pagesTotal: 0 } as const;
    assert.equal(
      describeProgress({ ...plan, bytesPerSecond: 0, etaMs: undefined }),
      "reading the replica's lists",
    );
  });
});
