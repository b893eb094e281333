/** Restoring as a user does it, and everything that can be wrong with a replica. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import {
  chmodSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { replicate } from "../../src/index.ts";
import { SqlProcess } from "../../src/testing/sql-process.ts";
import { assertFailure, assertStatus, millrace, numbers, Place, rows } from "./harness.ts";

const FILES = 6;

describe("millrace restore", { concurrency: 2 }, () => {
  const source = new Place();
  const url = source.url("replica");
  const level0 = source.path("replica", "ltx", "0");
  after(() => source[Symbol.dispose]());

  /** A replica of six transactions, each of which has one more row. */
  before(async () => {
    const path = source.path("app.db");
    await using app = await SqlProcess.open(path);
    await using replication = await replicate(path, { to: url });
    await app.exec("CREATE TABLE t (n INTEGER, x BLOB)");
    for (let n = 1; n <= FILES; n += 1) {
      await app.exec(`INSERT INTO t VALUES (${n}, randomblob(20000))`);
      await replication.durable();
    }
  });

  const files = (): string[] => readdirSync(level0).sort();
  const txidOf = (name: string): string => name.slice(17, 33);

  /** A replica of its own for a test that damages it. */
  function copy(place: Place): string {
    const target = place.path("replica");
    spawnSync("cp", ["-a", source.path("replica"), target]);
    return join(target, "ltx", "0");
  }

  it("restores the latest state and says how it is proven", async () => {
    using place = new Place();
    const output = place.path("new", "copy.db");
    const outcome = await millrace(["restore", "-o", output, url]);
    assertStatus(outcome, 0);
    assert.deepEqual(rows(output), numbers(FILES));
    assert.match(outcome.stdout, /^restored {2}.*copy\.db$/m);
    assert.match(
      outcome.stdout,
      /^proof +every page adds up to the database checksum recorded at capture$/m,
    );
    assert.equal(outcome.stderr, "");
  });

  it("prints one JSON document with -json", async () => {
    using place = new Place();
    const output = place.path("copy.db");
    const outcome = await millrace([
      "restore",
      "-json",
      "-integrity-check",
      "full",
      "-o",
      output,
      url,
    ]);
    assertStatus(outcome, 0);
    const result = JSON.parse(outcome.stdout) as Record<string, unknown>;
    assert.equal(result["db_path"], output);
    assert.equal(result["replica"], "file");
    assert.equal(result["txid"], txidOf(files().at(-1) ?? ""));
    assert.equal(result["integrity_check"], "full");
    assert.equal(result["proof"], "database-checksum");
    assert.equal(result["size"], statSync(output).size);
    assert.equal(typeof result["duration_ms"], "number");
  });

  it("restores any transaction", async () => {
    using place = new Place();
    const names = files();
    for (const [index, name] of [names[1], names[3]].entries()) {
      const output = place.path(`${index}.db`);
      assertStatus(await millrace(["restore", "-txid", txidOf(name ?? ""), "-o", output, url]), 0);
      assert.deepEqual(rows(output), numbers(rows(output).length));
      assert.ok(rows(output).length < FILES);
    }
    const none = await millrace([
      "restore",
      "-txid",
      "00000000000000ff",
      "-o",
      place.path("x.db"),
      url,
    ]);
    assertFailure(none, 3, "restore/not-available", /TXID 00000000000000ff/);
    assert.match(none.stderr, /^Hint: restorable by -txid: /m);
  });

  it("restores the last state before a time", async () => {
    using place = new Place();
    const list = JSON.parse((await millrace(["ltx", "-json", url])).stdout) as {
      timestamp: string;
      max_txid: string;
    }[];
    const [third, fourth] = [list[2], list[3]];
    const output = place.path("copy.db");
    const outcome = await millrace([
      "restore",
      "-json",
      "-timestamp",
      fourth?.timestamp ?? "",
      "-o",
      output,
      url,
    ]);
    assertStatus(outcome, 0);
    assert.equal((JSON.parse(outcome.stdout) as { txid: string }).txid, third?.max_txid);
    const early = await millrace([
      "restore",
      "-timestamp",
      "2001-01-01T00:00:00Z",
      "-o",
      place.path("x.db"),
      url,
    ]);
    assertFailure(early, 3, "restore/not-available", /2001-01-01T00:00:00/);
  });

  it("shows its plan with -dry-run and writes nothing", async () => {
    using place = new Place();
    const output = place.path("copy.db");
    const text = await millrace(["restore", "-dry-run", "-o", output, url]);
    assertStatus(text, 0);
    assert.match(text.stdout, /^target +.*copy\.db$/m);
    assert.match(text.stdout, new RegExp(files()[0] ?? ""));
    const json = JSON.parse(
      (await millrace(["restore", "-dry-run", "-json", "-o", output, url])).stdout,
    ) as {
      source: string;
      max_txid: string;
      files: { name: string }[];
    };
    assert.equal(json.source, url);
    assert.deepEqual(
      json.files.map(({ name }) => name),
      files(),
    );
    assert.equal(existsSync(output), false);
  });

  it("replaces a database only with -force, and then with its sidecars", async () => {
    using place = new Place();
    const output = place.write("copy.db", "something else");
    const refused = await millrace(["restore", "-o", output, url]);
    assertFailure(refused, 5, "restore/output-exists", /copy\.db": the file exists/);
    assert.equal(readFileSync(output, "utf8"), "something else");
    const skipped = await millrace(["restore", "-if-db-not-exists", "-o", output, url]);
    assertStatus(skipped, 0);
    assert.equal(readFileSync(output, "utf8"), "something else");
    place.write("copy.db-wal", "an old log");
    assertStatus(await millrace(["restore", "-force", "-o", output, url]), 0);
    assert.deepEqual(readdirSync(place.dir).sort(), ["copy.db"]);
    assert.deepEqual(rows(output), numbers(FILES));
  });

  it("fails with status 3 for an empty replica, or does nothing with -if-replica-exists", async () => {
    using place = new Place();
    const output = place.path("copy.db");
    const outcome = await millrace(["restore", "-o", output, place.url("nothing")]);
    assertFailure(outcome, 3, "restore/no-backup", /holds no LTX file/);
    assertStatus(
      await millrace(["restore", "-if-replica-exists", "-o", output, place.url("nothing")]),
      0,
    );
    assert.deepEqual(readdirSync(place.dir), []);
  });

  for (const [what, damage, code] of [
    [
      "a flipped bit in a page",
      (bytes: Buffer) => bytes.fill(bytes.readUInt8(5000) ^ 1, 5000, 5001),
      "ltx/",
    ],
    ["a cut-off end", (bytes: Buffer) => bytes.subarray(0, bytes.length - 10), "ltx/"],
    ["nothing but zeros", (bytes: Buffer) => bytes.fill(0), "ltx/"],
  ] as const) {
    it(`ends with status 4 and leaves the output alone when a file in the middle of the plan has ${what}`, async () => {
      using place = new Place();
      const level = copy(place);
      const victim = files()[2] ?? "";
      writeFileSync(join(level, victim), damage(readFileSync(join(level, victim))));
      const output = place.write("copy.db", "the old database");
      const outcome = await millrace(["restore", "-force", "-o", output, place.url("replica")]);
      assertStatus(outcome, 4);
      assert.match(outcome.stderr, new RegExp(`^Code: ${code}`, "m"));
      assert.ok(outcome.stderr.includes(victim.replace(".ltx", "")), outcome.stderr);
      assert.equal(readFileSync(output, "utf8"), "the old database");
      assert.deepEqual(readdirSync(place.dir).sort(), ["copy.db", "replica"]);
    });
  }

  it("ends with status 4 and names the hole when a file in the middle is missing", async () => {
    using place = new Place();
    const level = copy(place);
    const victim = files()[2] ?? "";
    rmSync(join(level, victim));
    const outcome = await millrace(["restore", "-o", place.path("copy.db"), place.url("replica")]);
    assertFailure(outcome, 4, "restore/gap", new RegExp(`TXID ${txidOf(victim)} is missing`));
    assert.match(outcome.stderr, /^Hint: .*restorable by -txid: /m);
  });

  it("ends with status 1 when it may not read the replica or write the output", async () => {
    using place = new Place();
    const level = copy(place);
    const isRoot = process.getuid?.() === 0;
    const uid = isRoot ? 65_534 : undefined;
    chmodSync(place.dir, 0o755);
    mkdirSync(place.path("out"));
    chmodSync(place.path("out"), 0o777);
    chmodSync(level, 0);
    const unread = await millrace(
      ["restore", "-o", place.path("out", "copy.db"), place.url("replica")],
      { uid },
    );
    assertStatus(unread, 1);
    assert.match(unread.stderr, /^Code: (fs|storage)\/permission$/m);
    for (const path of [place.path("replica"), place.path("replica", "ltx"), level])
      chmodSync(path, 0o755);
    for (const name of files()) chmodSync(join(level, name), 0o644);
    chmodSync(place.path("out"), 0o555);
    const unwritten = await millrace(
      ["restore", "-o", place.path("out", "copy.db"), place.url("replica")],
      { uid },
    );
    assertFailure(unwritten, 1, "fs/permission", /copy\.db/);
  });

  it("ends with status 1 and leaves nothing behind when the disk is full", async (t) => {
    using place = new Place();
    const disk = place.path("disk");
    mkdirSync(disk);
    const mounted = spawnSync("mount", ["-t", "tmpfs", "-o", "size=64k", "tmpfs", disk], {
      encoding: "utf8",
    });
    if (mounted.status !== 0) {
      t.diagnostic(`not run: a small file system cannot be mounted here: ${mounted.stderr}`);
      return;
    }
    try {
      const outcome = await millrace(["restore", "-o", join(disk, "copy.db"), url]);
      assertFailure(outcome, 1, "fs/disk-full", /copy\.db/);
      assert.match(outcome.stderr, /^Hint: the output was left as it was; free disk space/m);
      assert.deepEqual(readdirSync(disk), []);
    } finally {
      spawnSync("umount", [disk]);
    }
  });
});

describe("millrace ltx", () => {
  it("lists a level, all levels, or nothing", async () => {
    using place = new Place();
    assertStatus(await millrace(["replicate", "-once", place.database(), place.url("replica")]), 0);
    const text = await millrace(["ltx", place.url("replica")]);
    assertStatus(text, 0);
    const [header, line] = text.stdout.split("\n");
    assert.match(header ?? "", /^level {2}min_txid +max_txid +size +created$/);
    assert.match(
      line ?? "",
      /^0 +0000000000000001 {2}0000000000000001 {2}[\d.]+ k?B +\d{4}-\d\d-\d\dT/,
    );
    const all = JSON.parse(
      (await millrace(["ltx", "-level", "all", "-json", place.url("replica")])).stdout,
    ) as object[];
    assert.deepEqual(Object.keys(all[0] ?? {}), [
      "level",
      "min_txid",
      "max_txid",
      "size",
      "timestamp",
    ]);
    assert.equal(
      (await millrace(["ltx", "-level", "9", "-json", place.url("replica")])).stdout,
      "[]\n",
    );
    const old = await millrace(["wal", place.url("replica")]);
    assert.equal(old.stdout, text.stdout);
    assert.match(old.stderr, /old name of "millrace ltx"/);
  });
});
