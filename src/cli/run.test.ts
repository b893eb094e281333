/** What the command says when it is asked wrongly. */
import assert from "node:assert/strict";
import { mkdtempSync, rmdirSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, it } from "node:test";
import { runCommandLine } from "./run.ts";
import type { Terminal } from "./terminal.ts";

const CWD = mkdtempSync(join(tmpdir(), "millrace-usage-"));
// Nothing may have been created there.
after(() => rmdirSync(CWD));

interface Outcome {
  status: number;
  stdout: string;
  stderr: string;
}

async function millrace(args: readonly string[]): Promise<Outcome> {
  const outcome: Outcome = { status: 0, stdout: "", stderr: "" };
  const terminal: Terminal = {
    env: {},
    cwd: CWD,
    home: CWD,
    pid: process.pid,
    isInteractive: false,
    columns: 80,
    out: (text) => void (outcome.stdout += text),
    err: (text) => void (outcome.stderr += text),
  };
  outcome.status = await runCommandLine(args, terminal);
  return outcome;
}

describe("runCommandLine()", () => {
  for (const [args, status, code, message] of [
    [["frobnicate"], 2, "usage/invalid", /command "frobnicate": unknown/],
    [["restor"], 2, "usage/invalid", /did you mean "millrace restore"\?/],
    [["sync", "a.db"], 2, "usage/invalid", /command "sync": not in this version/],
    [["-verbose"], 2, "usage/invalid", /unknown flag "-verbose"/],
    [
      ["version", "-verbos"],
      2,
      "usage/invalid",
      /unknown flag "-verbos"[\s\S]*did you mean "-verbose"\?/,
    ],
    [["replicate", "a.db"], 2, "usage/invalid", /the replica URL of "a\.db" is missing/],
    [["replicate", "a.db", "file:///b", "file:///c"], 2, "usage/invalid", /too many arguments/],
    [["replicate", "file:///b", "a.db"], 2, "usage/invalid", /is where the database path belongs/],
    [["replicate", "a.db", "ftp://host/b"], 2, "url/invalid", /unknown scheme "ftp"/],
    [["replicate", "a.db", "s3://bucket/b?regoin=x"], 2, "url/invalid", /mean "region"\?/],
    [["replicate", "a.db", "/backup/a"], 2, "url/invalid", /did you mean "file:\/\/\/backup\/a"\?/],
    [
      ["replicate", "-once", "-exec", "true", "a.db", "file:///b"],
      2,
      "usage/invalid",
      /exclude each other/,
    ],
    [["replicate", "-exec", "a | b", "a.db", "file:///b"], 2, "usage/invalid", /it has a "\|"/],
    [
      ["replicate", "-config", "c.yml", "a.db", "file:///b"],
      2,
      "usage/invalid",
      /exclude each other/,
    ],
    [["replicate", "-force-snapshot"], 2, "usage/invalid", /is not in this version/],
    [
      ["replicate", "-log-level", "loud", "a.db", "file:///b"],
      2,
      "usage/invalid",
      /log level "loud"/,
    ],
    [["replicate", "-config", "none.yml"], 2, "config/invalid", /none\.yml": no such file/],
    [["restore"], 2, "usage/invalid", /replica URL is missing/],
    [["restore", "file:///b"], 2, "usage/invalid", /the output is missing/],
    [["restore", "-o"], 2, "usage/invalid", /flag -o needs a value/],
    [["restore", "-o", "c.db", "ftp://host/b"], 2, "url/invalid", /unknown scheme "ftp"/],
    [
      ["restore", "-f", "-o", "c.db", "file:///b"],
      2,
      "restore/unsupported",
      /-f \(follow\) is not in this version/,
    ],
    [
      ["restore", "-follow-interval", "1s", "-o", "c.db", "file:///b"],
      2,
      "usage/invalid",
      /with -f only/,
    ],
    [["restore", "-txid", "12", "-o", "c.db", "file:///b"], 2, "usage/invalid", /"12" is no TXID/],
    [
      ["restore", "-timestamp", "noon", "-o", "c.db", "file:///b"],
      2,
      "usage/invalid",
      /"noon" is no time/,
    ],
    [
      [
        "restore",
        "-txid",
        "0000000000000001",
        "-timestamp",
        "2026-01-01T00:00:00Z",
        "-o",
        "c.db",
        "file:///b",
      ],
      2,
      "usage/invalid",
      /exclude each other/,
    ],
    [
      ["restore", "-parallelism", "0", "-o", "c.db", "file:///b"],
      2,
      "usage/invalid",
      /out of range/,
    ],
    [
      ["restore", "-integrity-check", "deep", "-o", "c.db", "file:///b"],
      2,
      "usage/invalid",
      /"deep" does not exist/,
    ],
    [
      ["restore", "-config", "c.yml", "file:///b"],
      2,
      "usage/invalid",
      /-config does not go with a replica URL/,
    ],
    [["restore", "a.db"], 2, "config/invalid", /there is no configuration/],
    [["ltx", "-level", "10", "file:///b"], 2, "usage/invalid", /level "10" does not exist/],
    [["databases", "-config", "none.yml"], 2, "config/invalid", /no such file/],
    [["status", "a.db", "b.db"], 2, "usage/invalid", /too many arguments/],
  ] as const) {
    it(`${args.join(" ")}: status ${status}, ${code}`, async () => {
      const { stdout, stderr, status: found } = await millrace(args);
      assert.deepEqual([found, stdout], [status, ""]);
      assert.match(stderr, /^Error: /);
      assert.match(stderr, new RegExp(`^Code: ${code}$`, "m"));
      assert.match(stderr, message);
    });
  }

  it("prints an error as one JSON document with -json, also when the flags make no sense", async () => {
    for (const args of [
      ["restore", "-o", "c.db", "--json", "ftp://host/b"],
      ["restore", "-jsn", "-json"],
    ]) {
      const { stdout, stderr, status } = await millrace(args);
      assert.equal(status, 2);
      const { error } = JSON.parse(stdout) as { error: Record<string, unknown> };
      assert.match(String(error["code"]), /^(url|usage)\/invalid$/);
      assert.equal(error["exit_status"], 2);
      assert.match(stderr, /^Error: /);
    }
  });

  it("shows its commands: with status 2 alone, with status 0 when asked for help", async () => {
    const alone = await millrace([]);
    assert.equal(alone.status, 2);
    assert.match(alone.stdout, /^Usage: millrace COMMAND/m);
    for (const args of [["help"], ["-h"], ["--help"]]) {
      const { status, stdout } = await millrace(args);
      assert.deepEqual([status, stdout], [0, alone.stdout]);
    }
  });

  it("describes every command", async () => {
    const list = JSON.parse((await millrace(["help", "-json"])).stdout) as { command: string }[];
    assert.ok(list.length >= 8);
    for (const { command } of list) {
      const { status, stdout } = await millrace(["help", command]);
      assert.equal(status, 0);
      assert.match(stdout, new RegExp(`^Usage: millrace ${command}\\b`));
      assert.match(stdout, /^ {2}-json /m);
    }
    const asked = await millrace(["restore", "--help"]);
    assert.equal(asked.stdout, (await millrace(["help", "restore"])).stdout);
  });
});
