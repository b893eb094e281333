/** Replicas that Litestream's released writer wrote restore with ours to the bytes that its own reader makes of them. */
import assert from "node:assert/strict";
import { cpSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { toTxid } from "../../src/base/ids.ts";
import { checkpointedCopy } from "../../src/testing/database-copy.ts";
import { assertStatus, millrace, Place } from "../e2e/harness.ts";
import { assertSameBytes, interopTest } from "./scene.ts";

const FILL = (count: number, size: number): string =>
  `WITH n(i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM n WHERE i < ${count})
   INSERT INTO t (v) SELECT randomblob(${size}) FROM n`;

interopTest(
  "our restore of what Litestream wrote equals Litestream's own, at every TXID",
  async (scene) => {
    const transactions = [
      `CREATE TABLE t (id INTEGER PRIMARY KEY, v); ${FILL(30, 900)};`,
      `${FILL(20, 3000)};`,
      "UPDATE t SET v = zeroblob(5000) WHERE id % 7 = 0;",
      "CREATE INDEX i ON t (length(v));",
      "DELETE FROM t WHERE id BETWEEN 5 AND 30;",
      `${FILL(3, 50)};`,
    ];
    await scene.vfs.write(scene.replica, transactions);
    const names = scene.names(0);
    assert.equal(names.length, transactions.length);
    for (const index of names.keys()) {
      const txid = toTxid(index + 1);
      // Litestream hydrates only the newest state: it gets a replica that ends there.
      const cut = scene.newPath();
      cpSync(scene.replica, cut, { recursive: true });
      for (const name of names.slice(index + 1)) rmSync(join(cut, "ltx", "0", name));
      const hydrated = scene.newPath();
      assert.equal(await scene.vfs.hydrate(cut, hydrated), txid);
      const restored = await scene.restore({ txid });
      assert.equal(restored.proof, "file-checksums");
      assertSameBytes(readFileSync(restored.path), readFileSync(hydrated), `TXID ${txid}`);
    }
    const first = await scene.restore({ txid: toTxid(1) });
    using db = new DatabaseSync(first.path);
    assert.equal(db.prepare("SELECT count(*) AS n FROM t").get()?.["n"], 30);
    assert.equal(db.prepare("PRAGMA integrity_check").get()?.["integrity_check"], "ok");
  },
);

interopTest(
  "our restore of what Litestream wrote equals Litestream's own after a shrink",
  async (scene) => {
    await scene.vfs.write(scene.replica, [
      `PRAGMA auto_vacuum = FULL; CREATE TABLE t (id INTEGER PRIMARY KEY, v); ${FILL(60, 3000)};`,
      "DELETE FROM t WHERE id > 10;",
      "UPDATE t SET v = 'short' WHERE id = 3;",
    ]);
    const hydrated = scene.newPath();
    const txid = await scene.vfs.hydrate(scene.replica, hydrated);
    const restored = await scene.restore();
    assert.equal(restored.txid, txid);
    assert.ok(restored.pages < 40, `${restored.pages} pages`);
    assertSameBytes(readFileSync(restored.path), readFileSync(hydrated), "the shrunk database");
  },
);

interopTest(
  "a replica that Litestream wrote on is gone on with, and keeps what Litestream wrote",
  async (scene) => {
    using place = new Place();
    const path = place.database();
    const replicate = ["replicate", "-once", path, `file://${scene.replica}`];
    for (let round = 0; round < 3; round++) {
      assertStatus(await millrace(replicate), 0);
      await scene.vfs.write(scene.replica, [`INSERT INTO t VALUES (${round}, randomblob(2000));`]);
      const theirs = scene.newPath();
      const txid = await scene.vfs.hydrate(scene.replica, theirs);
      // Grows it past what Litestream wrote: its writer takes the largest size ever for the size, and leaves a gap.
      place.database("app.db", 20);
      assertStatus(await millrace(replicate), 0);
      const ours = scene.newPath();
      assert.ok((await scene.vfs.hydrate(scene.replica, ours)) > txid);
      assertSameBytes(readFileSync(ours), checkpointedCopy(path), "our newest state");
      assertSameBytes(readFileSync((await scene.restore()).path), readFileSync(ours), "restored");
      const before = await scene.restore({ txid });
      assertSameBytes(readFileSync(before.path), readFileSync(theirs), "what Litestream wrote");
    }
  },
);
