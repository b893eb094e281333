/**
 * Tries the package as users get it: packs it, installs the tarball into an empty folder with npm, runs
 * `millrace version` and the library on this Node, and the command on an older Node, which must be refused
 * in one line with exit status 2.
 *
 * The older Node is the machine's own `node` outside node_modules, or the one named by OLD_NODE. Where
 * there is none below 24 the refusal is not tried, and the last line says so.
 */
import assert from "node:assert/strict";
import { execFileSync, spawnSync } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { delimiter, dirname, join } from "node:path";

const ROOT = dirname(import.meta.dirname);
const NEEDED_MAJOR = 24;

interface Outcome {
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

function run(program: string, args: readonly string[], cwd: string): Outcome {
  const result = spawnSync(program, args, { cwd, encoding: "utf8" });
  if (result.error !== undefined) throw result.error;
  return result;
}

function npm(args: readonly string[], cwd: string): string {
  return execFileSync("npm", [...args, "--loglevel=error"], {
    cwd,
    encoding: "utf8",
    stdio: ["ignore", "pipe", "inherit"],
  });
}

/** A Node older than the project needs, or undefined when the machine has none. */
function findOldNode(): string | undefined {
  const folders = (process.env["PATH"] ?? "").split(delimiter);
  const candidates = folders
    .filter((folder) => !folder.includes("node_modules"))
    .map((folder) => join(folder, "node"));
  return [process.env["OLD_NODE"], ...candidates].find((path) => {
    if (path === undefined || !existsSync(path)) return false;
    const version = run(path, ["--version"], ROOT).stdout;
    return Number.parseInt(version.slice(1), 10) < NEEDED_MAJOR;
  });
}

function checkInstalled(folder: string): void {
  const bin = join(folder, "node_modules", ".bin", "millrace");
  const version = run(process.execPath, [bin, "version"], folder);
  assert.equal(version.status, 0, `millrace version: ${version.stderr}`);
  assert.equal(version.stderr, "", "millrace version warns");
  console.log(`Node ${process.version}: millrace version: ${version.stdout.trim()}`);
  const script = 'import("millrace").then((m) => console.log(Object.keys(m).sort().join(" ")))';
  const names = run(process.execPath, ["-e", script], folder);
  assert.equal(names.status, 0, `import "millrace": ${names.stderr}`);
  assert.match(names.stdout, /\breplicate\b.*\brestore\b/);
  console.log(`Node ${process.version}: import "millrace": ${names.stdout.trim()}`);
}

/** What a user of the library does first, on the built files with their workers and child process. */
const LIBRARY_SCRIPT = `
import assert from "node:assert/strict";
import { pathToFileURL } from "node:url";
import { DatabaseSync } from "node:sqlite";
import { replicate, restore } from "millrace";

const url = pathToFileURL("replica").href;
const database = new DatabaseSync("app.db");
database.exec("PRAGMA journal_mode = wal; CREATE TABLE t (a); INSERT INTO t VALUES (1)");
{
  await using replication = await replicate("app.db", { to: url });
  database.exec("INSERT INTO t VALUES (2)");
  await replication.durable();
}
await restore({ from: url, to: "copy.db", integrityCheck: "full" });
const copy = new DatabaseSync("copy.db", { readOnly: true });
assert.equal(copy.prepare("SELECT sum(a) AS sum FROM t").get().sum, 3);
console.log("replicated and restored");
`;

function checkLibrary(folder: string): void {
  writeFileSync(join(folder, "library.mjs"), LIBRARY_SCRIPT);
  const outcome = run(process.execPath, ["library.mjs"], folder);
  assert.equal(outcome.status, 0, `library: ${outcome.stderr}`);
  console.log(`Node ${process.version}: library: ${outcome.stdout.trim()}`);
}

function checkRefusal(folder: string): void {
  const old = findOldNode();
  if (old === undefined) {
    console.log(`no Node below ${NEEDED_MAJOR} on this machine: the refusal was not tried`);
    return;
  }
  const bin = join(folder, "node_modules", ".bin", "millrace");
  const refused = run(old, [bin, "version"], folder);
  assert.equal(refused.status, 2, `exit status on ${old}`);
  assert.equal(refused.stdout, "");
  assert.match(refused.stderr, /^millrace needs Node\.js 24 or newer: this is v\d+\.[^\n]*\n$/);
  console.log(`${old}: ${refused.stderr.trim()}`);
}

function main(): void {
  const folder = mkdtempSync(join(tmpdir(), "millrace-pack-"));
  try {
    npm(["pack", "--pack-destination", folder], ROOT);
    const tarball = readdirSync(folder).find((name) => name.endsWith(".tgz"));
    assert.ok(tarball !== undefined, "npm pack wrote no tarball");
    const project = join(folder, "project");
    mkdirSync(project);
    writeFileSync(join(project, "package.json"), '{ "name": "smoke", "private": true }\n');
    npm(["install", "--omit=dev", join(folder, tarball)], project);
    checkInstalled(project);
    checkLibrary(project);
    checkRefusal(project);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

main();
