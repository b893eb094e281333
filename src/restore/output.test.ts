import assert from "node:assert/strict";
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { isMillraceError, MillraceError } from "../errors.ts";
import { nodeFiles, type Files } from "../platform/files.ts";
import { FaultFiles, type Fault } from "../testing/fault-files.ts";
import { Output, SIDECAR_SUFFIXES } from "./output.ts";

let root = "";
let count = 0;
before(() => {
  root = mkdtempSync(join(tmpdir(), "millrace-output-"));
});
after(() => rmSync(root, { recursive: true }));

function newDirectory(): string {
  count += 1;
  const path = join(root, String(count));
  mkdirSync(path);
  return path;
}

function newOutput(
  path: string,
  options: { force?: boolean; files?: Files; random?: () => number } = {},
): Output {
  const { force = false, files = nodeFiles, random = () => 0.5 } = options;
  return new Output({ files, output: path, force, random });
}

/** Plays a restore: create, fill, publish. */
function play(output: Output): void {
  writeFileSync(output.createTemporary(), "new");
  output.publish();
}

test("Output creates missing directories and leaves nothing but the new file", () => {
  const path = join(newDirectory(), "a/b/app.db");
  play(newOutput(path));
  assert.equal(readFileSync(path, "utf8"), "new");
  assert.deepEqual(readdirSync(join(path, "..")), ["app.db"]);
});

test("Output gives a new file mode 0644 less the umask", () => {
  const path = join(newDirectory(), "app.db");
  const before = process.umask(0o027);
  try {
    play(newOutput(path));
  } finally {
    process.umask(before);
  }
  assert.equal(statSync(path).mode & 0o777, 0o640);
});

test("Output keeps the mode of the file it replaces and hides the temporary file meanwhile", () => {
  const path = join(newDirectory(), "app.db");
  for (const mode of [0o600, 0o664, 0o400]) {
    writeFileSync(path, "old", { mode: 0o600 });
    chmodSync(path, mode);
    const output = newOutput(path, { force: true });
    assert.equal(statSync(output.createTemporary()).mode & 0o777, 0o600);
    output.publish();
    assert.equal(statSync(path).mode & 0o777, mode);
    rmSync(path);
  }
});

test("Output accepts an empty file and keeps its mode", () => {
  const path = join(newDirectory(), "app.db");
  writeFileSync(path, "", { mode: 0o600 });
  play(newOutput(path));
  assert.equal(readFileSync(path, "utf8"), "new");
  assert.equal(statSync(path).mode & 0o777, 0o600);
});

test("Output refuses a directory, also by force, and what is no regular file", () => {
  const directory = newDirectory();
  for (const force of [false, true]) {
    assert.throws(() => newOutput(directory, { force }), {
      code: "restore/output-exists",
      message: /is a directory/,
    });
    assert.throws(() => newOutput("/dev/null", { force }), {
      code: "restore/output-exists",
      message: /not a regular/,
    });
  }
});

test("Output refuses a file with content and orphan sidecars without force, and changes nothing", () => {
  for (const name of ["app.db", "app.db-wal", "app.db-shm", "app.db-journal"]) {
    const directory = newDirectory();
    writeFileSync(join(directory, name), "old");
    assert.throws(
      () => newOutput(join(directory, "app.db")),
      (error: unknown) => {
        assert.ok(isMillraceError(error, "restore/output-exists"));
        assert.match(error.hint ?? "", /-force/);
        return true;
      },
    );
    assert.deepEqual(readdirSync(directory), [name]);
  }
});

test("Output refuses at the end what appeared while it was filled", () => {
  for (const name of ["app.db", "app.db-wal"]) {
    const directory = newDirectory();
    const output = newOutput(join(directory, "app.db"));
    output.createTemporary();
    writeFileSync(join(directory, name), "somebody else's");
    assert.throws(() => output.publish(), { code: "restore/output-exists" });
    output.discard();
    assert.deepEqual(readdirSync(directory), [name]);
  }
});

test("Output replaces the target of a symbolic link, not the link", () => {
  const directory = newDirectory();
  const target = join(newDirectory(), "real.db");
  writeFileSync(target, "old");
  symlinkSync(target, join(directory, "app.db"));
  play(newOutput(join(directory, "app.db"), { force: true }));
  assert.equal(readFileSync(target, "utf8"), "new");
  assert.ok(statSync(join(directory, "app.db")).isFile());
  assert.deepEqual(readdirSync(directory), ["app.db"]);
});

test("Output takes another temporary name when one exists, and gives up in the end", () => {
  const path = join(newDirectory(), "app.db");
  const draws = [0.25, 0.25, 0.75];
  writeFileSync(`${path}.40000000.tmp`, "of another restore");
  const output = newOutput(path, { random: () => draws.shift() ?? 0 });
  assert.equal(output.createTemporary(), `${path}.c0000000.tmp`);
  output.discard();
  assert.throws(() => newOutput(path, { random: () => 0.25 }).createTemporary(), {
    code: "fs/failed",
  });
  assert.deepEqual(readdirSync(join(path, "..")), ["app.db.40000000.tmp"]);
});

test("Output says what the system refused when the parent cannot be made", () => {
  const directory = newDirectory();
  writeFileSync(join(directory, "file"), "");
  assert.throws(
    () => newOutput(join(directory, "file/app.db")).createTemporary(),
    (error: unknown) => {
      assert.ok(isMillraceError(error));
      assert.match(error.message, /restore output create/);
      return true;
    },
  );
});

const SIDECARS = ["app.db-wal", "app.db-shm", "app.db-journal"];

/** A database with sidecars, as a crashed application leaves them. */
function oldDatabase(): string {
  const directory = newDirectory();
  for (const name of ["app.db", ...SIDECARS]) writeFileSync(join(directory, name), `old ${name}`);
  return join(directory, "app.db");
}

function contentOf(path: string): string | undefined {
  return existsSync(path) ? readFileSync(path, "utf8") : undefined;
}

/** What must hold at every instant of a forced restore, and after any crash in it. */
function assertSafe(path: string, when: string): "old" | "between" | "new" {
  const database = contentOf(path);
  const names = readdirSync(join(path, ".."));
  const beside = SIDECARS.filter((name) => names.includes(name));
  if (database === "new") {
    assert.deepEqual(beside, [], `${when}: the new database lies beside a log of the old one`);
    return "new";
  }
  assert.equal(database, "old app.db", `${when}: the old database is gone`);
  const aside = names.filter((name) => /\.old-(wal|shm|journal)$/.test(name));
  assert.equal(
    beside.length + aside.length,
    SIDECARS.length,
    `${when}: a log of the old database is gone`,
  );
  if (aside.length === 0) return "old";
  // The new database is complete and proven at this point.
  assert.equal(contentOf(`${path}.80000000.tmp`), "new", `${when}: neither database is whole`);
  return "between";
}

test("Output replaces a database by force only when the new one is complete, sidecars and all", () => {
  const path = oldDatabase();
  const output = newOutput(path, { force: true });
  writeFileSync(output.createTemporary(), "new");
  assert.equal(assertSafe(path, "before publish"), "old");
  output.publish();
  assert.deepEqual(readdirSync(join(path, "..")), ["app.db"]);
  assert.equal(contentOf(path), "new");
});

test("Output survives a failure or crash at every operation of a forced replacement", () => {
  const probe = new FaultFiles(nodeFiles);
  play(newOutput(oldDatabase(), { force: true, files: probe.files }));
  const states = new Set<string>();
  for (let at = 0; at < probe.count; at += 1) {
    for (const moment of ["before", "after"] as const) {
      for (const crash of [false, true]) {
        const fault: Fault = { at, moment, crash };
        const faulty = new FaultFiles(nodeFiles, fault);
        const path = oldDatabase();
        let output: Output | undefined;
        try {
          output = newOutput(path, { force: true, files: faulty.files });
          play(output);
        } catch {
          if (!crash) output?.discard();
        }
        const when = `${faulty.failed}${crash ? ", crash" : ""}`;
        const state = assertSafe(path, when);
        states.add(state);
        // A failure that is no crash undoes what was begun, or has finished.
        if (!crash) assert.notEqual(state, "between", when);
        // An open that creates the file and fails all the same leaves it.
        if (!crash && state === "old" && !when.endsWith("(open after)")) {
          assert.deepEqual(
            readdirSync(join(path, "..")).sort(),
            ["app.db", ...SIDECARS].sort(),
            when,
          );
        }
        // Whatever happened, the next restore succeeds.
        const again = newOutput(path, { force: true, random: () => 0.75 });
        play(again);
        assert.equal(assertSafe(path, `${when}, again`), "new");
      }
    }
  }
  assert.deepEqual([...states].sort(), ["between", "new", "old"]);
});

test("Output names the logs that it could not put back when the replacement failed", () => {
  const path = oldDatabase();
  const temporary = (name: string): boolean => name.endsWith(".tmp");
  let isPublishing = true;
  const files: Files = {
    ...nodeFiles,
    rename(op, from, to) {
      if (temporary(from)) isPublishing = false;
      if (!isPublishing) throw new MillraceError("fs/failed", `${op} "${from}": EIO`, { op });
      nodeFiles.rename(op, from, to);
    },
  };
  assert.throws(
    () => play(newOutput(path, { force: true, files })),
    (error) => {
      assert.ok(error instanceof MillraceError);
      assert.match(error.message, /^restore output publish ".*\.tmp": EIO; /);
      for (const suffix of SIDECAR_SUFFIXES) {
        const aside = readdirSync(join(path, "..")).find((name) => name.endsWith(`.old${suffix}`));
        assert.ok(aside !== undefined, suffix);
        const move = `"${join(path, "..", aside)}" to "${path}${suffix}"`;
        assert.ok(error.hint?.includes(move), error.hint);
      }
      return true;
    },
  );
});
