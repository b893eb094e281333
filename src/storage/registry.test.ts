/** From a URL to a working replica. */
import assert from "node:assert/strict";
import fs from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, it } from "node:test";
import { toTxid } from "../base/ids.ts";
import { systemClock } from "../platform/clock.ts";
import { STALE_AFTER_MS } from "./backends/file/temporary.ts";
import { assertFails, CREATED_AT_MS, pattern } from "./conformance/support.ts";
import { openReplica } from "./registry.ts";

const FILE = { level: 0, minTxid: toTxid(1), maxTxid: toTxid(1) };
const NAME = "0000000000000001-0000000000000001.ltx";

function temporaryDirectory(): Disposable & { readonly path: string } {
  const path = fs.mkdtempSync(join(tmpdir(), "millrace-registry-"));
  return { path, [Symbol.dispose]: () => fs.rmSync(path, { recursive: true, force: true }) };
}

describe("openReplica()", () => {
  it("opens a directory whose name has a space and a percent sign", async () => {
    using directory = temporaryDirectory();
    const path = join(directory.path, "my 100% back ups");
    await using replica = await openReplica({ url: `file://${path.replace("%", "%25")}` });
    await replica.write(FILE, pattern(10), { createdAtMs: CREATED_AT_MS });
    assert.deepEqual(fs.readdirSync(join(path, "ltx/0")), [NAME]);
    assert.equal(fs.statSync(join(path, "ltx/0", NAME)).mode & 0o777, 0o600);
  });

  it("passes modes to the file backend", async () => {
    using directory = temporaryDirectory();
    const file = { directoryMode: 0o750, fileMode: 0o640 };
    await using replica = await openReplica({ url: `file://${directory.path}/r` }, { file });
    await replica.write(FILE, pattern(10), { createdAtMs: CREATED_AT_MS });
    assert.equal(fs.statSync(join(directory.path, "r/ltx")).mode & 0o777, 0o750);
    assert.equal(fs.statSync(join(directory.path, "r/ltx/0", NAME)).mode & 0o777, 0o640);
  });

  it("removes abandoned temporary files for writers only", async () => {
    using directory = temporaryDirectory();
    const leftover = join(directory.path, "ltx/0", `${NAME}.4711.1.tmp`);
    fs.mkdirSync(join(directory.path, "ltx/0"), { recursive: true });
    fs.writeFileSync(leftover, "");
    const clock = { ...systemClock, now: () => Date.now() + 2 * STALE_AFTER_MS };
    for (const access of ["read", "write"] as const) {
      await using replica = await openReplica(
        { url: `file://${directory.path}` },
        { access, clock },
      );
      assert.deepEqual(await Array.fromAsync(replica.list(0)), []);
      assert.equal(fs.existsSync(leftover), access === "read");
    }
  });

  it("shares memory stores of one name, and no others", async () => {
    await using writer = await openReplica({ url: "memory:registry-test" });
    await writer.write(FILE, pattern(10), { createdAtMs: CREATED_AT_MS });
    await using reader = await openReplica({ url: "memory://registry-test" });
    assert.equal((await reader.head(FILE)).sizeBytes, 10);
    for (const other of ["memory:registry-test-2", "memory:", "memory:"]) {
      await using store = await openReplica({ url: other });
      await assertFails("storage/not-found", () => store.head(FILE));
      await store.write(FILE, pattern(1), { createdAtMs: 1 });
    }
  });

  it("rejects what parseReplicaUrl() refuses", async () => {
    await assertFails("url/invalid", () => openReplica({ url: "/a/path" }));
    await assertFails("url/invalid", () => openReplica({ url: "s3://bucket/path#x" }));
  });
});
