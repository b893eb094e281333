/** Backups in the format of Litestream 0.3 through the whole restore: golden ones, and ones whose every state is known. */
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { GOLDEN_PAGE_SIZES, goldenSample, goldenStore } from "../../../test/golden/samples.ts";
import { toTxid } from "../../base/ids.ts";
import { systemClock } from "../../platform/clock.ts";
import { openFileStore } from "../../storage/backends/file/file.ts";
import { openMemoryStore } from "../../storage/backends/memory/memory.ts";
import type { ObjectStore } from "../../storage/contract.ts";
import { LtxStore } from "../../storage/ltx-store.ts";
import { forgeLz4 } from "../../testing/forge-lz4.ts";
import { LegacyLine, type LegacyMade } from "../../testing/legacy-line.ts";
import { ReplicaLine, samplePage } from "../../testing/replica-line.ts";
import type { RestorePhase } from "../progress.ts";
import { restoreDatabase, type LegacyRestoreResult, type RestoreOptions } from "../restore.ts";

let dir = "";
let count = 0;
before(() => {
  dir = mkdtempSync(join(tmpdir(), "millrace-legacy-"));
});
after(() => rmSync(dir, { recursive: true }));

function memory(): ObjectStore {
  return openMemoryStore({ clock: systemClock });
}

interface Restored {
  readonly bytes: Uint8Array;
  readonly result: LegacyRestoreResult;
}

/** Restores, and holds that nothing but the output is left. */
async function restore(
  store: ObjectStore,
  options: Partial<RestoreOptions> = {},
): Promise<Restored> {
  count += 1;
  const output = join(dir, String(count), "app.db");
  const replica = new LtxStore(store);
  const result = await restoreDatabase({ parallelism: 1, ...options, store: replica, output });
  assert.deepEqual(readdirSync(join(output, "..")), ["app.db"]);
  assert.equal(result.format, "litestream-0.3");
  return { bytes: new Uint8Array(readFileSync(output)), result };
}

function put(
  store: ObjectStore,
  { key, createdAtMs }: LegacyMade,
  bytes: Uint8Array,
): Promise<unknown> {
  return store.put(key, bytes, { createdAtMs });
}

const FILL = "INSERT INTO t (x) VALUES (randomblob(700))";

/** A line of several indexes, and the database after each object. */
function newLine(pageSize = 512): { line: LegacyLine; images: Uint8Array[] } {
  const line = new LegacyLine({ pageSize });
  const images: Uint8Array[] = [];
  const step = (make: () => unknown): void => {
    if (make() !== undefined) images.push(line.image());
  };
  line.exec(`CREATE TABLE t (n INTEGER PRIMARY KEY, x); ${FILL}`);
  line.nextIndex();
  step(() => line.snapshot());
  for (const sql of [
    `${FILL}; ${FILL}`,
    `INSERT INTO t (x) VALUES (zeroblob(${20 * pageSize}))`,
    "-",
    `UPDATE t SET x = 'short' WHERE n = 1`,
    "DELETE FROM t WHERE n > 2",
    "-",
    FILL,
  ]) {
    if (sql === "-") line.nextIndex();
    else {
      line.exec(sql);
      step(() => line.segment());
    }
  }
  return { line, images };
}

describe("a golden backup of Litestream 0.3", () => {
  for (const pageSize of GOLDEN_PAGE_SIZES) {
    it(`restores to what that Litestream restores, page size ${pageSize}`, async () => {
      const sample = goldenSample("litestream-0.3", pageSize);
      const { bytes, result } = await restore(await goldenStore("litestream-0.3", pageSize));
      assert.equal(bytes.length, sample.sizeBytes);
      assert.equal(createHash("sha256").update(bytes).digest("hex"), sample.sha256);
      assert.equal(result.pageSize, pageSize);
      assert.equal(result.proof, "legacy-checksums");
      assert.equal(result.integrityCheck, "quick");
      assert.equal(result.unfinishedBytes, 0);
      assert.ok(result.transactions > 0);
    });

    it(`restores soundly at the time of every object, page size ${pageSize}`, async () => {
      const store = await goldenStore("litestream-0.3", pageSize);
      const { objects } = goldenSample("litestream-0.3", pageSize);
      const first = Math.min(
        ...objects.flatMap(({ key, createdAtMs }) => (key.includes("snapshot") ? createdAtMs : [])),
      );
      const times = new Set(objects.map(({ createdAtMs }) => createdAtMs));
      for (const timestampMs of times) {
        if (timestampMs < first) continue;
        const options = { target: { timestampMs }, integrityCheck: "full" } as const;
        const { result } = await restore(store, options);
        assert.ok(result.plan.timestampMs <= timestampMs);
      }
      await assert.rejects(restore(store, { target: { timestampMs: first - 1 } }), {
        code: "restore/not-available",
      });
    });
  }
});

describe("restoreDatabase() of a Litestream 0.3 backup", () => {
  it("gives the database after each object, at every page size, from either store", async () => {
    for (let pageSize = 512; pageSize <= 65536; pageSize *= 2) {
      const { line, images } = newLine(pageSize);
      using _ = line;
      const rootDirectory = mkdtempSync(join(dir, "replica-"));
      const store = pageSize % 1024 === 0 ? memory() : openFileStore({ rootDirectory });
      await line.put(store);
      for (const [index, { createdAtMs }] of line.objects.entries()) {
        if (pageSize > 512 && index % 3 > 0) continue;
        const { bytes } = await restore(store, {
          target: { timestampMs: createdAtMs },
          integrityCheck: "none",
        });
        assert.deepEqual(bytes, images[index], `page size ${pageSize}, object ${index}`);
      }
      assert.deepEqual((await restore(store)).bytes, images.at(-1));
    }
  });

  it("keeps only whole transactions of a log that ends inside one", async () => {
    const { line, images } = newLine();
    using _ = line;
    const store = memory();
    await line.put(store);
    const last = line.objects.at(-1);
    assert.ok(last !== undefined);
    // The last transaction has several frames: without the end of the last one nothing of it counts.
    for (const left of [1, 24 + 512, 24 + 512 + 10]) {
      await put(store, last, forgeLz4(last.content.slice(0, -left)));
      const { bytes, result } = await restore(store);
      assert.deepEqual(bytes, images.at(-2), `${left} bytes cut off`);
      assert.equal(result.unfinishedBytes, last.content.length - left - 32);
    }
  });

  it("checks with SQLite unless told not to, and tells what it did", async () => {
    const { line } = newLine();
    using _ = line;
    const store = memory();
    await line.put(store);
    const phases = new Set<RestorePhase>();
    const { result } = await restore(store, { onProgress: ({ phase }) => phases.add(phase) });
    assert.deepEqual([...phases], ["plan", "pages", "log", "sync", "check", "done"]);
    assert.equal(result.txid, undefined);
    assert.equal(result.files, line.objects.length);
    assert.equal(result.transactions, 6);
    assert.equal(result.sizeBytes, result.pages * 512);
    const unchecked = await restore(store, { integrityCheck: "none" });
    assert.equal(unchecked.result.integrityCheck, "none");
    assert.equal(unchecked.result.databaseChecksum, result.databaseChecksum);
    // A snapshot of something else that looks like a database: sound objects, no sound database.
    const [snapshot] = line.objects;
    assert.ok(snapshot !== undefined);
    const noise = Uint8Array.from(snapshot.content).fill(7, 512);
    const broken = memory();
    await put(broken, snapshot, forgeLz4(noise));
    await assert.rejects(restore(broken), { code: "restore/integrity" });
  });

  it("restores a snapshot alone, and refuses one that is no database", async () => {
    const { line, images } = newLine();
    using _ = line;
    const [snapshot] = line.objects;
    assert.ok(snapshot !== undefined);
    const store = memory();
    await put(store, snapshot, forgeLz4(snapshot.content));
    assert.deepEqual((await restore(store)).bytes, images[0]);
    for (const content of [
      new Uint8Array(),
      snapshot.content.slice(0, 99),
      snapshot.content.slice(0, -1),
      new Uint8Array(4096).fill(1),
    ]) {
      await put(store, snapshot, forgeLz4(content));
      await assert.rejects(restore(store), { code: "sqlite/not-a-database" });
    }
  });

  it("takes the newer of two formats, and says that a TXID is none of the old one's", async () => {
    const { line, images } = newLine();
    using _ = line;
    const store = memory();
    await line.put(store);
    await assert.rejects(restore(store, { target: { txid: toTxid(1) } }), {
      code: "restore/not-available",
      message: /Litestream 0\.3 backup only, which has no TXIDs/,
    });
    const ltx = new LtxStore(store);
    const older = new ReplicaLine({ store: ltx, startMs: 1_500_000_000_000 });
    await older.commit(1, new Map([[1, samplePage(512, 1)]]));
    assert.deepEqual((await restore(store)).bytes, images.at(-1));
    const newer = new ReplicaLine({ store: ltx, startMs: 1_700_000_000_000 });
    await newer.commit(1, new Map([[1, samplePage(512, 2)]]));
    const output = join(dir, "newer.db");
    const result = await restoreDatabase({ store: ltx, output });
    assert.equal(result.format, "ltx");
    assert.deepEqual(new Uint8Array(readFileSync(output)), newer.image());
  });
});
