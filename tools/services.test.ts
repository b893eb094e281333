/** The command line of the services, and what it says on a machine that lacks what they take. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { describe, it } from "node:test";
import { sampleTree } from "./lib/sample-tree.ts";
import { parseArgs } from "./services.ts";

const SCRIPT = join(import.meta.dirname, "services.ts");

/** Runs the command with empty folders and no programs in reach. */
function run(...args: string[]) {
  using tree = sampleTree({});
  const env = { PATH: tree.root, MILLRACE_SERVICES_DIR: join(tree.root, "services") };
  const result = spawnSync(process.execPath, [SCRIPT, ...args], { env, encoding: "utf8" });
  return { status: result.status, stdout: result.stdout, stderr: result.stderr };
}

describe("parseArgs()", () => {
  it("takes an action and names, all of them without any", () => {
    assert.deepEqual(parseArgs(["start", "nats", "s3"]), {
      action: "start",
      names: ["s3", "nats"],
    });
    assert.deepEqual(parseArgs(["status"]), { action: "status", names: [] });
  });

  it("refuses other actions and other names, and says which there are", () => {
    assert.throws(() => parseArgs([]), /usage: services install \| start \| stop \| status/);
    assert.throws(() => parseArgs(["restart"]), /not "restart"/);
    assert.throws(() => parseArgs(["stop", "tape"]), /no service "tape": there are s3, gcs, nats,/);
  });
});

describe("services", () => {
  it("install says why a program cannot be had, and fails only when it was named", () => {
    const named = run("install", "s3", "azure");
    assert.equal(named.status, 1);
    assert.match(named.stdout, /^s3: unavailable: needs (?:Go|Linux)/m);
    assert.match(named.stdout, /^azure: unavailable: needs (?:npm|Linux)/m);
  });

  it("start fails for what was named and is not installed", () => {
    const named = run("start", "nats");
    assert.equal(named.status, 1);
    assert.match(named.stdout, /^nats: not installed: needs (?:Go|Linux)[^\n]*\n$/);
  });

  it("stop and status are fine with nothing there", () => {
    const stopped = run("stop", "minio");
    assert.deepEqual(stopped, { status: 0, stdout: "minio: did not run\n", stderr: "" });
    const status = run("status", "minio");
    assert.deepEqual(status, { status: 0, stdout: "minio: not installed, stopped\n", stderr: "" });
  });

  it("shows a mistake in one line", () => {
    const { status, stderr } = run("start", "tape");
    assert.equal(status, 1);
    assert.match(stderr, /^services: no service "tape": [^\n]*\n$/);
  });
});
