/** Keys: odd ones survive unchanged, hostile ones are refused before anything happens. */
import assert from "node:assert/strict";
import { isMillraceError } from "../../errors.ts";
import type { ObjectStore } from "../contract.ts";
import type { Check } from "./context.ts";
import { assertBytes, assertFails, inByteOrder, keysOf, pattern, read } from "./support.ts";

/** Valid everywhere, and easily mixed up by a backend that escapes badly. */
const ODD_KEYS: readonly string[] = [
  "a b",
  "a%20b",
  "a%2520b",
  "a+b",
  "a%2Fb",
  "a%00b",
  "a?b=c",
  "a#b",
  "a&b;c=d",
  "a:b",
  "a*b[c]{d}",
  "a'b\"c`d",
  "a|b<c>d^e",
  "a$b!c(d)e",
  "a@b,c",
  "~/home",
  ".hidden",
  "..dots",
  "dots..",
  "...",
  "dir.tmp/inside",
  "tmp",
  "a.tmp.ltx",
  " leading and trailing ",
  "-dash",
  "café",
  "cafe\u0301",
  "\u65e5\u672c\u8a9e/\u30c7\u30fc\u30bf",
  "emoji/😀👩‍🚀",
  "http://not-a-url".replace("//", "/"),
  "X".repeat(200),
  "UPPER/case",
  `deep/${"d/".repeat(60)}end`,
];

const HOSTILE_KEYS: readonly string[] = [
  "",
  "/",
  "/absolute",
  "a/",
  "a//b",
  "//a",
  ".",
  "..",
  "./a",
  "../a",
  "a/..",
  "a/../b",
  "a/./b",
  "../../../../etc/passwd",
  "a\\..\\b",
  "C:\\a",
  "nul\0byte",
  "line\nbreak",
  "tab\tkey",
  "escape\u001b[2J",
  "del\u007f",
  "c1\u0085",
  "lone\ud800surrogate",
  "unfinished.tmp",
  "dir/unfinished.123.4.tmp",
  "k".repeat(1_025),
  "é".repeat(513),
];

export function keyTests(check: Check): void {
  check(
    "put() and get() keep odd keys apart, and list() returns them unchanged",
    async ({ store }) => {
      for (const [index, key] of ODD_KEYS.entries()) await store.put(key, pattern(50, index));
      for (const [index, key] of ODD_KEYS.entries()) {
        assertBytes(await read(store, key), pattern(50, index), key);
        assert.equal((await store.head(key)).key, key);
      }
      assert.deepEqual(await keysOf(store), inByteOrder(ODD_KEYS));
      for (const key of ODD_KEYS) assert.ok((await keysOf(store, key)).includes(key), key);
      await store.delete(ODD_KEYS);
      assert.deepEqual(await keysOf(store), []);
    },
  );

  check("put() takes a key of the greatest length", async ({ store, maxKeyBytes }) => {
    const key = `${`${"s".repeat(200)}/`.repeat(6).slice(0, maxKeyBytes - 1)}e`;
    assert.equal(key.length, maxKeyBytes);
    await store.put(key, pattern(5));
    assert.deepEqual(await keysOf(store), [key]);
    assertBytes(await read(store, key), pattern(5));
  });

  for (const key of HOSTILE_KEYS) {
    const shown = JSON.stringify(key.length > 40 ? `${key.slice(0, 40)}…` : key);
    check(`every call refuses the key ${shown}`, async ({ store }) => {
      await store.put("present", pattern(1));
      await refuses(store, key);
      assert.deepEqual(await keysOf(store), ["present"]);
    });
  }

  check("delete() refuses a hostile key before it deletes another", async ({ store }) => {
    await store.put("present", pattern(1));
    await assertFails("storage/invalid-key", () => store.delete(["present", "../x"]));
    assert.deepEqual(await keysOf(store), ["present"]);
  });

  check("an error about a hostile key shows no control characters", async ({ store }) => {
    const error = await store.head("a\n\u001b[2Jb").catch((thrown: unknown) => thrown);
    assert.ok(isMillraceError(error, "storage/invalid-key"));
    assert.ok(!error.message.includes("\n") && !error.message.includes("\u001b"), "escaped");
  });
}

async function refuses(store: ObjectStore, key: string): Promise<void> {
  let isOpened = false;
  const source = {
    sizeBytes: 1,
    open: async function* () {
      isOpened = true;
      yield await Promise.resolve(pattern(1));
    },
  };
  await assertFails("storage/invalid-key", () => store.get(key), "get");
  await assertFails("storage/invalid-key", () => store.head(key), "head");
  await assertFails("storage/invalid-key", () => store.put(key, pattern(1)), "put");
  await assertFails("storage/invalid-key", () => store.put(key, source), "put of a stream");
  await assertFails("storage/invalid-key", () => store.delete([key]), "delete");
  assert.equal(isOpened, false, "the source was opened");
}
