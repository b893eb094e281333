/** What the file backend promises beyond the storage contract: modes, times, links, temporary files. */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import fs from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, it } from "node:test";
import * as fc from "fast-check";
import { isMillraceError } from "../../../errors.ts";
import { systemClock } from "../../../platform/clock.ts";
import type { ObjectStore } from "../../contract.ts";
import { assertFails, collect, CREATED_AT_MS, keysOf, pattern } from "../../conformance/support.ts";
import { type FileStoreOptions, openFileStore } from "./file.ts";
import { toMs, toSeconds } from "./mtime.ts";
import { STALE_AFTER_MS } from "./temporary.ts";

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

function open(options: Partial<FileStoreOptions> = {}): ObjectStore {
  return openFileStore({ rootDirectory: root, ...options });
}

function modeOf(path: string): string {
  return (fs.statSync(path).mode & 0o7777).toString(8);
}

describe("file modes", () => {
  let umask = 0;
  beforeEach(() => {
    umask = process.umask();
  });
  afterEach(() => {
    process.umask(umask);
  });

  it("put() makes directories 700 and files 600 by default", async () => {
    process.umask(0);
    await using store = open();
    await store.put(KEY, pattern(1));
    for (const path of [root, join(root, "ltx"), join(root, "ltx/0")])
      assert.equal(modeOf(path), "700");
    assert.equal(modeOf(join(root, KEY)), "600");
  });

  it("put() sets given modes exactly, whatever the umask", async () => {
    process.umask(0o077);
    await using store = open({ directoryMode: 0o2755, fileMode: 0o644 });
    await store.put(KEY, pattern(1));
    for (const path of [root, join(root, "ltx"), join(root, "ltx/0")])
      assert.equal(modeOf(path), "2755");
    assert.equal(modeOf(join(root, KEY)), "644");
  });

  it("put() gives files and directories to the given owner", async (t) => {
    // tidy-allow idle-test: nobody but root may give files away, and the reason is printed
    if (process.getuid?.() !== 0) return t.skip("only root may give files away");
    await using store = open({ owner: { uid: 12_345, gid: 23_456 } });
    await store.put(KEY, pattern(1));
    for (const path of [root, join(root, "ltx"), join(root, KEY)]) {
      const { uid, gid } = fs.statSync(path);
      assert.deepEqual([uid, gid], [12_345, 23_456]);
    }
  });
});

describe("file times", () => {
  it("put() sets the mtime, never later than the wanted millisecond", async () => {
    await using store = open();
    await store.put(KEY, pattern(1), { createdAtMs: CREATED_AT_MS });
    const { mtimeNs } = fs.statSync(join(root, KEY), { bigint: true });
    const wantedNs = BigInt(CREATED_AT_MS) * 1_000_000n;
    assert.ok(mtimeNs <= wantedNs && mtimeNs > wantedNs - 1_000n, `${mtimeNs} for ${wantedNs}`);
  });

  it("head() reports the mtime that another program set", async () => {
    await using store = open();
    await store.put(KEY, pattern(1), { createdAtMs: CREATED_AT_MS });
    fs.utimesSync(join(root, KEY), 0, 1_600_000_000.5);
    assert.equal((await store.head(KEY)).createdAtMs, 1_600_000_000_500);
  });

  it("toMs() undoes toSeconds()", () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 2 ** 33 * 1000 }), (timeMs) => {
        const seconds = toSeconds(timeMs);
        assert.ok(seconds * 1000 <= timeMs);
        assert.equal(toMs(seconds * 1000), timeMs);
      }),
    );
  });
});

describe("symbolic links and other files", () => {
  it("an object is no symbolic link: it is neither listed nor read, and replaced by put()", async () => {
    await using store = open();
    await store.put("a/real", pattern(10, 1));
    fs.writeFileSync(join(base, "secret"), "secret");
    fs.symlinkSync(join(base, "secret"), join(root, "a/link"));
    await assertFails("storage/not-found", () => store.get("a/link"));
    await assertFails("storage/not-found", () => store.head("a/link"));
    assert.deepEqual(await keysOf(store), ["a/real"]);
    await store.put("a/link", pattern(10, 2));
    assert.equal(fs.readFileSync(join(base, "secret"), "utf8"), "secret");
    assert.deepEqual(await keysOf(store), ["a/link", "a/real"]);
  });

  it("a root and a directory may be symbolic links", async () => {
    fs.mkdirSync(join(base, "elsewhere/level"), { recursive: true });
    fs.symlinkSync(join(base, "elsewhere"), root);
    fs.mkdirSync(join(base, "other disk"));
    fs.symlinkSync(join(base, "other disk"), join(root, "moved"));
    await using store = open();
    await store.put("moved/object", pattern(5));
    assert.deepEqual(await keysOf(store), ["moved/object"]);
    assert.deepEqual(fs.readdirSync(join(base, "other disk")), ["object"]);
  });

  it("list() ends when links lead in circles", async () => {
    await using store = open();
    await store.put("a/b/object", pattern(5));
    fs.symlinkSync(root, join(root, "a/b/up"));
    fs.symlinkSync(".", join(root, "a/here"));
    fs.symlinkSync("../../a", join(root, "a/b/back"));
    fs.symlinkSync("nowhere", join(root, "a/dangling"));
    assert.deepEqual(await keysOf(store), ["a/b/object"]);
  });

  it("a named pipe is no object and blocks nothing", async () => {
    await using store = open();
    await store.put("a/object", pattern(5));
    execFileSync("mkfifo", [join(root, "a/pipe")]);
    await assertFails("storage/not-found", () => store.get("a/pipe"));
    assert.deepEqual(await keysOf(store), ["a/object"]);
  });

  it("list() skips names that are no keys", async () => {
    await using store = open();
    await store.put("a/object", pattern(5));
    fs.writeFileSync(join(root, "a/line\nbreak"), "");
    fs.writeFileSync(join(root, "a/back\\slash"), "");
    fs.writeFileSync(Buffer.concat([Buffer.from(`${root}/a/`), Buffer.from([0xff, 0xfe])]), "");
    fs.mkdirSync(join(root, "empty"));
    assert.deepEqual(await keysOf(store), ["a/object"]);
  });
});

describe("temporary files", () => {
  const later = { ...systemClock, now: () => Date.now() + STALE_AFTER_MS + 60_000 };
  const names = ["a/object.4711.3.tmp", "a/object.tmp", "a/x.ltx.tmp", "a/other.1.tmp"];

  function litter(): void {
    fs.mkdirSync(join(root, "a"), { recursive: true });
    for (const name of names) {
      fs.writeFileSync(join(root, name), "unfinished");
      fs.utimesSync(join(root, name), 1, 1);
    }
  }

  it("are never listed, read or written as objects", async () => {
    litter();
    await using store = open();
    await store.put("a/object", pattern(1));
    assert.deepEqual(await keysOf(store), ["a/object"]);
    for (const name of names) await assertFails("storage/invalid-key", () => store.get(name));
  });

  it("stay when they are young, whatever their mtime, and for readers", async () => {
    litter();
    await using writer = open({ removeStaleTemporaries: true });
    await keysOf(writer);
    await using reader = open({ clock: later });
    await keysOf(reader);
    assert.deepEqual(fs.readdirSync(join(root, "a")).length, names.length);
  });

  it("of our own form are removed by a writer's listing when they are abandoned", async () => {
    litter();
    await using store = open({ removeStaleTemporaries: true, clock: later });
    assert.deepEqual(await keysOf(store), []);
    assert.deepEqual(fs.readdirSync(join(root, "a")), ["object.tmp", "other.1.tmp", "x.ltx.tmp"]);
  });
});

describe("the root directory", () => {
  it("need not exist for reading, and is not created by it", async () => {
    await using store = open({ rootDirectory: join(root, "deep/er") });
    assert.deepEqual(await keysOf(store), []);
    await assertFails("storage/not-found", () => store.get(KEY));
    await store.delete([KEY]);
    assert.equal(fs.existsSync(root), false);
    await store.put(KEY, pattern(1));
    assert.deepEqual(await keysOf(store), [KEY]);
  });

  it("may be removed and is made again by the next put", async () => {
    await using store = open();
    await store.put(KEY, pattern(1));
    fs.rmSync(root, { recursive: true });
    await store.put(KEY, pattern(2), { ifAbsent: true });
    assert.equal((await store.head(KEY)).sizeBytes, 2);
  });

  it("is named in the error when it is a file", async () => {
    fs.writeFileSync(root, "a file");
    await using store = open();
    const error = await store.put(KEY, pattern(1)).catch((thrown: unknown) => thrown);
    assert.ok(isMillraceError(error) && error.message.includes(root), String(error));
    assert.deepEqual(await keysOf(store), []);
  });

  it("takes no object in a directory's place, nor the reverse", async () => {
    await using store = open();
    await store.put("a/b", pattern(1));
    await assertFails("storage/invalid-key", () => store.put("a", pattern(1)));
    await assertFails("storage/invalid-key", () => store.put("a/b/c", pattern(1)));
    assert.deepEqual(await keysOf(store), ["a/b"]);
    assert.deepEqual(fs.readdirSync(root), ["a"]);
  });
});

describe("reading a file that changes", () => {
  it("get() fails with storage/truncated when the file shrinks", async () => {
    await using store = open();
    for (const how of ["bytes", "chunks"] as const) {
      await store.put(KEY, pattern(3_000_000));
      const body = await store.get(KEY);
      fs.truncateSync(join(root, KEY), 2_500_000);
      const reading = (): Promise<unknown> => (how === "bytes" ? body.bytes() : collect(body));
      await assertFails("storage/truncated", reading, how);
    }
  });

  it("get() reads what was there when the file grows", async () => {
    await using store = open();
    await store.put(KEY, pattern(3_000_000));
    const body = await store.get(KEY);
    fs.appendFileSync(join(root, KEY), "more");
    assert.deepEqual(await collect(body), Buffer.from(pattern(3_000_000)));
  });
});

describe("descriptors", () => {
  it("are all closed, however calls end", async (t) => {
    const directory = "/proc/self/fd";
    // tidy-allow idle-test: only some systems show descriptors, and the reason is printed
    if (!fs.existsSync(directory)) return t.skip("this system has no /proc/self/fd");
    const count = (): number => fs.readdirSync(directory).length;
    const store = open();
    await store.put(KEY, pattern(3_000_000));
    const before = count();
    for (let round = 0; round < 20; round += 1) {
      for await (const _ of await store.get(KEY)) break;
      await (await store.get(KEY)).bytes();
      await (await store.get(KEY))[Symbol.asyncDispose]();
      await store.get("ltx").catch(() => {});
      await store.put(KEY, { sizeBytes: 5, open: () => assert.fail("broken") }).catch(() => {});
      await store.put(KEY, pattern(1), { ifAbsent: true }).catch(() => {});
      for await (const _ of store.list("")) break;
      await store.get(KEY);
    }
    assert.equal(count(), before + 20, "unread bodies hold their files");
    await store[Symbol.asyncDispose]();
    assert.equal(count(), before);
  });
});
