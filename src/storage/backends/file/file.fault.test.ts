/**
 * The file backend when single file calls fail, and in which order it makes them.
 *
 * Fault model: any one call of a put may fail with an error of the system. Then the put fails, nothing is
 * visible under the key, an older object is untouched and no temporary file stays, except when the failed
 * call is the last one, the flush of the directory: the object is there, only not proven durable.
 */
import assert from "node:assert/strict";
import fs from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, it } from "node:test";
import { isMillraceError } from "../../../errors.ts";
import type { ByteSource } from "../../contract.ts";
import {
  assertBytes,
  assertFails,
  CREATED_AT_MS,
  cut,
  keysOf,
  pattern,
  read,
  streamOf,
} from "../../conformance/support.ts";
import { openFileStore } from "./file.ts";
import { recordOperations, systemError } from "./recorded-operations.ts";

const KEY = "ltx/0/object";

let base = "";
let root = "";

beforeEach(() => {
  base = fs.mkdtempSync(join(tmpdir(), "millrace-file-"));
  root = join(base, "root");
});

afterEach(() => {
  fs.rmSync(base, { recursive: true, force: true });
});

function namesOf(calls: readonly { readonly name: string; readonly path: string }[]): string[] {
  return calls.map(({ name, path }) => `${name} ${path.replace(/\.\d+\.\d+\.tmp$/, ".TMP")}`);
}

describe("put() order of calls", () => {
  it("writes, times, flushes, closes, names, flushes the directory, and lists nothing", async () => {
    const recorded = recordOperations(base);
    await using store = openFileStore({ rootDirectory: root, operations: recorded.operations });
    await store.put("ltx/0/first", pattern(10));
    recorded.calls.length = 0;
    await store.put(KEY, pattern(10), { createdAtMs: CREATED_AT_MS });
    assert.deepEqual(namesOf(recorded.calls), [
      "open root/ltx/0/object.TMP",
      "handle.write root/ltx/0/object.TMP",
      "handle.utimes root/ltx/0/object.TMP",
      "handle.sync root/ltx/0/object.TMP",
      "handle.close root/ltx/0/object.TMP",
      "rename root/ltx/0/object.TMP",
      "open root/ltx/0",
      "handle.sync root/ltx/0",
      "handle.close root/ltx/0",
    ]);
  });

  it("creates conditionally by a link", async () => {
    const recorded = recordOperations(base);
    await using store = openFileStore({ rootDirectory: root, operations: recorded.operations });
    await store.put(KEY, pattern(10), { ifAbsent: true });
    const names = namesOf(recorded.calls);
    const link = names.indexOf("link root/ltx/0/object.TMP");
    assert.ok(link > names.indexOf("handle.sync root/ltx/0/object.TMP"));
    assert.equal(names[link + 1], "unlink root/ltx/0/object.TMP");
    assert.ok(!names.some((name) => name.startsWith("rename")));
  });

  it("flushes new directories in their parents before it writes, once", async () => {
    const recorded = recordOperations(base);
    await using store = openFileStore({ rootDirectory: root, operations: recorded.operations });
    await Promise.all([store.put("a/b/x", pattern(1)), store.put("a/b/y", pattern(1))]);
    const names = namesOf(recorded.calls);
    const firstWrite = names.findIndex((name) => name.startsWith("handle.write"));
    for (const directory of [".", "root", "root/a"]) {
      const flushes = names.flatMap((name, at) =>
        name === `handle.sync ${directory}` ? [at] : [],
      );
      assert.equal(flushes.length, 1, directory);
      assert.ok((flushes[0] ?? Infinity) < firstWrite, `${directory} is flushed before the write`);
    }
  });

  it("has the time on the file before it has its name", async () => {
    const recorded = recordOperations(base);
    await using store = openFileStore({ rootDirectory: root, operations: recorded.operations });
    const times: number[] = [];
    recorded.before = ({ name, path }) => {
      if (name === "rename" || name === "link") {
        times.push(Math.round(fs.statSync(join(base, path)).mtimeMs));
      }
    };
    await store.put(KEY, pattern(1), { createdAtMs: CREATED_AT_MS });
    await store.put("other", pattern(1), { createdAtMs: CREATED_AT_MS, ifAbsent: true });
    assert.deepEqual(times, [CREATED_AT_MS, CREATED_AT_MS]);
  });
});

const BODIES: Readonly<Record<string, () => ByteSource>> = {
  bytes: () => pattern(10_000),
  "a stream": () => streamOf(cut(pattern(10_000), 3_000)),
};

const STEPS: readonly string[] = [
  "mkdir",
  "open",
  "handle.write",
  "handle.utimes",
  "handle.sync",
  "handle.close",
  "publish",
];

describe("put() with a failing call", () => {
  for (const [kind, body] of Object.entries(BODIES)) {
    for (const step of STEPS) {
      for (const ifAbsent of [false, true]) {
        it(`leaves nothing of ${kind} when ${step} fails${ifAbsent ? " of a conditional create" : ""}`, async () => {
          const recorded = recordOperations(base);
          await using store = openFileStore({
            rootDirectory: root,
            operations: recorded.operations,
          });
          if (step !== "mkdir" && !ifAbsent) await store.put(KEY, pattern(500, 9));
          recorded.before = failAt(step);
          const error = await store
            .put(KEY, body(), { ifAbsent, createdAtMs: CREATED_AT_MS })
            .catch((thrown: unknown) => thrown);
          assert.ok(isMillraceError(error, "fs/disk-full"), String(error));
          assert.ok(error.message.includes(join(root, KEY)), error.message);
          assert.equal(error.details["path"], join(root, KEY));
          assert.equal(error.retry, "backoff");
          recorded.before = () => {};
          if (step === "mkdir") assert.deepEqual(await keysOf(store), []);
          else if (ifAbsent) await assertFails("storage/not-found", () => store.get(KEY));
          else assertBytes(await read(store, KEY), pattern(500, 9));
          assert.deepEqual(temporaries(), []);
          await store.put(KEY, body(), { ifAbsent });
          assertBytes(await read(store, KEY), pattern(10_000));
        });
      }
    }
  }

  function failAt(step: string): (call: { name: string; path: string }) => void {
    return ({ name, path }) => {
      const isPublish = step === "publish" && (name === "rename" || name === "link");
      const isTemporary = path.endsWith(".tmp") || name === "mkdir";
      if (isPublish || (name === step && isTemporary)) throw systemError("ENOSPC", name);
    };
  }

  it("fails when the directory cannot be flushed, although the object is there", async () => {
    const recorded = recordOperations(base);
    await using store = openFileStore({ rootDirectory: root, operations: recorded.operations });
    await store.put("ltx/0/first", pattern(1));
    recorded.before = ({ name, path }) => {
      if (name === "handle.sync" && path === "root/ltx/0") throw systemError("EIO", "fsync");
    };
    await assertFails("fs/failed", () => store.put(KEY, pattern(10), { ifAbsent: true }));
    recorded.before = () => {};
    assertBytes(await read(store, KEY), pattern(10));
    await assertFails("storage/exists", () => store.put(KEY, pattern(10), { ifAbsent: true }));
  });

  it("succeeds on file systems that cannot flush directories", async () => {
    const recorded = recordOperations(base);
    await using store = openFileStore({ rootDirectory: root, operations: recorded.operations });
    recorded.before = ({ name, path }) => {
      if (name === "handle.sync" && !path.endsWith(".tmp")) throw systemError("EINVAL", "fsync");
    };
    await store.put(KEY, pattern(10));
    assertBytes(await read(store, KEY), pattern(10));
  });

  it("says that conditional creates need hard links where there are none", async () => {
    const recorded = recordOperations(base);
    await using store = openFileStore({ rootDirectory: root, operations: recorded.operations });
    recorded.before = ({ name }) => {
      if (name === "link") throw systemError("EPERM", "link");
    };
    const error = await store
      .put(KEY, pattern(1), { ifAbsent: true })
      .catch((thrown: unknown) => thrown);
    assert.ok(isMillraceError(error, "storage/unsupported"), String(error));
    assert.match(error.hint ?? "", /hard links/);
    assert.deepEqual(temporaries(), []);
  });

  it("takes another temporary name when the first ones exist", async () => {
    const recorded = recordOperations(base);
    await using store = openFileStore({ rootDirectory: root, operations: recorded.operations });
    let countRefused = 0;
    recorded.before = ({ name, path }) => {
      if (name === "open" && path.endsWith(".tmp") && countRefused < 3) {
        countRefused += 1;
        throw systemError("EEXIST", "open");
      }
    };
    await store.put(KEY, pattern(10));
    assert.equal(countRefused, 3);
    assertBytes(await read(store, KEY), pattern(10));
  });
});

describe("errors of the system", () => {
  const CASES = [
    ["EACCES", "fs/permission"],
    ["EPERM", "fs/permission"],
    ["EROFS", "fs/permission"],
    ["EDQUOT", "fs/disk-full"],
    ["EIO", "fs/failed"],
    ["EMFILE", "fs/failed"],
    ["ENAMETOOLONG", "storage/invalid-key"],
  ] as const;

  for (const [errno, code] of CASES) {
    it(`${errno} becomes ${code} in put(), with the path`, async () => {
      const recorded = recordOperations(base);
      await using store = openFileStore({ rootDirectory: root, operations: recorded.operations });
      recorded.before = ({ name }) => {
        if (name === "open") throw systemError(errno, "open");
      };
      await assertFails(code, () => store.put(KEY, pattern(1)));
    });
  }

  it("EACCES is no missing object and no empty listing", async () => {
    const recorded = recordOperations(base);
    await using store = openFileStore({ rootDirectory: root, operations: recorded.operations });
    await store.put(KEY, pattern(1));
    recorded.before = ({ name }) => {
      throw systemError("EACCES", name);
    };
    await assertFails("fs/permission", () => store.get(KEY));
    await assertFails("fs/permission", () => store.head(KEY));
    await assertFails("fs/permission", () => keysOf(store));
    await assertFails("fs/permission", () => store.delete([KEY]));
  });

  it("EIO while reading becomes fs/failed, and the file is closed", async () => {
    const recorded = recordOperations(base);
    await using store = openFileStore({ rootDirectory: root, operations: recorded.operations });
    await store.put(KEY, pattern(3_000_000));
    recorded.before = ({ name }) => {
      if (name === "handle.read") throw systemError("EIO", "read");
    };
    recorded.calls.length = 0;
    await assertFails("fs/failed", () => read(store, KEY));
    assert.equal(recorded.calls.at(-1)?.name, "handle.close");
  });

  it("delete() goes on with the others of its batch and reports the failure", async () => {
    const recorded = recordOperations(base);
    await using store = openFileStore({ rootDirectory: root, operations: recorded.operations });
    for (const key of ["a", "b", "c"]) await store.put(key, pattern(1));
    recorded.before = ({ name, path }) => {
      if (name === "unlink" && path === "root/b") throw systemError("EACCES", "unlink");
    };
    await assertFails("fs/permission", () => store.delete(["a", "b", "c"]));
    assert.deepEqual(await keysOf(store), ["b"]);
  });
});

function temporaries(): string[] {
  if (!fs.existsSync(root)) return [];
  return fs
    .readdirSync(root, { recursive: true, encoding: "utf8" })
    .filter((name) => name.endsWith(".tmp"));
}
