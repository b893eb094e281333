/**
 * The real Litestream, when its program is given: it restores what we replicated and we restore what it did, and each
 * goes on where the other stopped, on the same database and the same replica.
 *
 * Usage: LITESTREAM_BIN=PATH npm test litestream-binary, or node test/interop/litestream-binary.test.ts --peer PATH
 */
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";
import { DatabaseSync } from "node:sqlite";
import { test } from "node:test";
import { promisify } from "node:util";
import { formatTxid, toTxid } from "../../src/base/ids.ts";
import { CaptureBench, type BenchOptions } from "../../src/testing/capture-bench.ts";
import { checkpointedCopy } from "../../src/testing/database-copy.ts";
import { assertStatus, millrace, Place } from "../e2e/harness.ts";
import { assertSameBytes, restore, ship } from "./scene.ts";

const TIMEOUT_MS = 60_000;
const flag = process.argv.indexOf("--peer");
const program = process.env["LITESTREAM_BIN"] ?? (flag === -1 ? undefined : process.argv[flag + 1]);
const skip = program === undefined && "set LITESTREAM_BIN to a litestream program of version 0.5";

const CREATE = "CREATE TABLE t (id INTEGER PRIMARY KEY, v)";
const INSERT = "INSERT INTO t (v) VALUES (randomblob(3000))";

let count = 0;

/** Runs Litestream with nothing of this process's settings; rejects unless it ends with status 0. */
async function litestream(place: Place, args: readonly string[]): Promise<void> {
  assert.ok(program !== undefined);
  const env = { PATH: process.env["PATH"], HOME: place.dir, TMPDIR: place.dir };
  await promisify(execFile)(program, args, { cwd: place.dir, env, timeout: TIMEOUT_MS });
}

/** What Litestream restores of a replica. */
async function theirs(
  place: Place,
  replica: string,
  options: readonly string[] = [],
): Promise<Buffer> {
  const output = place.path(`theirs-${(count += 1)}.db`);
  await litestream(place, ["restore", ...options, "-o", output, `file://${replica}`]);
  return readFileSync(output);
}

/** What we restore of a replica. */
async function ours(place: Place, replica: string): Promise<Buffer> {
  const output = place.path(`ours-${(count += 1)}.db`);
  await restore(replica, output);
  return readFileSync(output);
}

/** Both restore exactly what the database holds. */
async function assertBothRestore(place: Place, replica: string, path: string): Promise<void> {
  const expected = checkpointedCopy(path);
  assertSameBytes(await theirs(place, replica), expected, "what Litestream restores");
  assertSameBytes(await ours(place, replica), expected, "what we restore");
}

/** A bench with a table, capturing. */
function capturing(options: BenchOptions = {}): CaptureBench {
  const bench = new CaptureBench(options);
  bench.app.exec(CREATE);
  bench.start();
  return bench;
}

for (const pageSize of [512, 4096, 65536]) {
  test(
    `Litestream restores our replica at every TXID, page size ${pageSize}`,
    { skip },
    async () => {
      using place = new Place();
      const replica = place.path("replica");
      using bench = capturing({ pageSize, checkpointPages: 20 });
      const images = [bench.expected()];
      for (const sql of [
        `${INSERT}; ${INSERT}; ${INSERT}`,
        "UPDATE t SET v = zeroblob(20000) WHERE id = 2",
        "DELETE FROM t WHERE id = 1; VACUUM",
        `${INSERT}; ${INSERT}`,
      ]) {
        bench.app.exec(sql);
        bench.sync();
        images.push(bench.expected());
      }
      await ship(bench.metaDir, replica);
      for (const [index, image] of images.entries()) {
        const txid = formatTxid(toTxid(index + 1));
        assertSameBytes(await theirs(place, replica, ["-txid", txid]), image, `TXID ${txid}`);
      }
      await assertBothRestore(place, replica, bench.path);
    },
  );
}

test(
  "Litestream restores our replica after a resync by diff and with pages as frames",
  { skip },
  async () => {
    using place = new Place();
    using bench = capturing({ pageFormat: "frame" });
    for (let row = 0; row < 20; row++) bench.app.exec(INSERT);
    bench.sync();
    bench.stop();
    bench.app.exec(
      "UPDATE t SET v = randomblob(2000) WHERE id = 3; PRAGMA wal_checkpoint(RESTART)",
    );
    bench.app.exec(INSERT);
    bench.start();
    assert.equal(bench.resyncs().at(-1)?.kind, "diff");
    await ship(bench.metaDir, place.path("replica"));
    await assertBothRestore(place, place.path("replica"), bench.path);
  },
);

test("Litestream restores our replica after a change of the page size", { skip }, async () => {
  using place = new Place();
  using bench = capturing();
  bench.app.exec(INSERT);
  bench.sync();
  bench.replaceDatabase(`${CREATE}; ${INSERT}`, { pageSize: 1024 });
  bench.sync();
  bench.app.exec(INSERT);
  bench.sync();
  await ship(bench.metaDir, place.path("replica"));
  await assertBothRestore(place, place.path("replica"), bench.path);
});

/** One pass of either program over the database, as a user would run it. */
const PASSES = {
  litestream: (place: Place, path: string) =>
    litestream(place, ["replicate", "-once", path, place.url("replica")]),
  millrace: async (place: Place, path: string) =>
    assertStatus(await millrace(["replicate", "-once", path, place.url("replica")]), 0),
};

type Turn = keyof typeof PASSES;

const TURNS: readonly (readonly [string, readonly Turn[]])[] = [
  ["we restore what Litestream replicates", ["litestream", "litestream", "litestream"]],
  ["we go on with Litestream's replica", ["litestream", "litestream", "millrace", "millrace"]],
  ["Litestream goes on with our replica", ["millrace", "millrace", "litestream", "litestream"]],
  [
    "each goes on with the other's replica",
    ["millrace", "litestream", "millrace", "millrace", "litestream", "litestream", "millrace"],
  ],
];

for (const [name, turns] of TURNS) {
  test(name, { skip, timeout: 4 * TIMEOUT_MS }, async () => {
    using place = new Place();
    const path = place.database();
    const replica = place.path("replica");
    using app = new DatabaseSync(path);
    app.exec("PRAGMA wal_autocheckpoint = 0");
    const level0 = place.path("replica", "ltx", "0");
    let files = 0;
    for (const [round, turn] of turns.entries()) {
      app.exec(`INSERT INTO t VALUES (${round}, randomblob(20000))`);
      if (round % 2 === 1) app.exec(`UPDATE t SET x = randomblob(700) WHERE n < ${round}`);
      await PASSES[turn](place, path);
      const present = readdirSync(level0).length;
      assert.ok(present > files, `${turn} wrote in round ${round}`);
      files = present;
      await assertBothRestore(place, replica, path);
    }
  });
}

test(
  "Litestream goes on with our replica after a file that comes from no log",
  { skip },
  async () => {
    using place = new Place();
    const path = place.database();
    for (let round = 0; round < 3; round += 1) {
      // The last connection takes the log with it.
      const app = new DatabaseSync(path);
      app.exec(`INSERT INTO t VALUES (${round}, randomblob(20000)); PRAGMA journal_mode = DELETE`);
      app.close();
      await PASSES.millrace(place, path);
      await assertBothRestore(place, place.path("replica"), path);
    }
    using app = new DatabaseSync(path);
    app.exec("PRAGMA journal_mode = WAL; INSERT INTO t VALUES (10, randomblob(9000))");
    await PASSES.litestream(place, path);
    await assertBothRestore(place, place.path("replica"), path);
  },
);
