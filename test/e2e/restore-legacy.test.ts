/** Restoring what Litestream 0.3 left, as a user does it. */
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { cpSync, readdirSync, readFileSync, rmSync, utimesSync } from "node:fs";
import { join } from "node:path";
import { before, after, describe, it } from "node:test";
import { restore } from "../../src/index.ts";
import { goldenSample } from "../golden/samples.ts";
import { assertFailure, assertStatus, millrace, Place } from "./harness.ts";

const PAGE_SIZE = 4096;
const SAMPLE = join(import.meta.dirname, "..", "golden", "litestream-0.3", String(PAGE_SIZE));

describe("millrace restore of a Litestream 0.3 backup", { concurrency: 2 }, () => {
  const place = new Place();
  const url = place.url("replica");
  const sample = goldenSample("litestream-0.3", PAGE_SIZE);
  const newest = new Date(Math.max(...sample.objects.map(({ createdAtMs }) => createdAtMs)));
  before(() => copyTo(place));
  after(() => place[Symbol.dispose]());

  /** The golden replica with the times of its objects. */
  function copyTo(target: Place): void {
    cpSync(join(SAMPLE, "replica"), target.path("replica"), { recursive: true });
    for (const { key, createdAtMs } of sample.objects) {
      utimesSync(target.path("replica", key), createdAtMs / 1000, createdAtMs / 1000);
    }
  }

  function digest(path: string): string {
    return createHash("sha256").update(readFileSync(path)).digest("hex");
  }

  it("says what was restored and what is proven, and what not", async () => {
    const output = place.path("text", "copy.db");
    const outcome = await millrace(["restore", "-o", output, url]);
    assertStatus(outcome, 0);
    assert.equal(digest(output), sample.sha256);
    assert.match(
      outcome.stdout,
      /^state +Litestream 0\.3 generation [0-9a-f]{16}, \d+ transactions after snapshot [0-9a-f]{8}, /m,
    );
    assert.match(
      outcome.stdout,
      /^proof +each object's .* Litestream 0\.3 records none of the database, nor where its logs end; SQLite's quick check passed$/m,
    );
    assert.deepEqual(readdirSync(place.path("text")), ["copy.db"]);
  });

  it("prints the same as JSON, and checks as it is told", async () => {
    const output = place.path("json.db");
    const args = ["restore", "-json", "-integrity-check", "none", "-o", output, url];
    const outcome = await millrace(args);
    assertStatus(outcome, 0);
    const result = JSON.parse(outcome.stdout) as Record<string, unknown>;
    assert.equal(result["format"], "litestream-0.3");
    assert.equal(result["txid"], "");
    assert.equal(result["proof"], "legacy-checksums");
    assert.equal(result["integrity_check"], "none");
    assert.equal(result["page_size"], PAGE_SIZE);
    assert.equal(result["timestamp"], newest.toISOString());
    assert.match(String(result["generation"]), /^[0-9a-f]{16}$/);
  });

  it("prints the plan with -dry-run, and writes nothing", async () => {
    const output = place.path("dry.db");
    const text = await millrace(["restore", "-dry-run", "-o", output, url]);
    assertStatus(text, 0);
    assert.match(text.stdout, /^format +Litestream 0\.3$/m);
    assert.match(text.stdout, /^snapshot +[0-9a-f]{8}\.snapshot\.lz4 /m);
    assert.match(text.stdout, /^wal +[0-9a-f]{8}_00000000\.wal\.lz4 /m);
    const json = await millrace(["restore", "-dry-run", "-json", "-o", output, url]);
    const plan = JSON.parse(json.stdout) as { format: string; files: { kind: string }[] };
    assert.equal(plan.format, "litestream-0.3");
    assert.equal(plan.files[0]?.kind, "snapshot");
    assert.ok(!readdirSync(place.dir).includes("dry.db"));
  });

  it("restores by time, and by no TXID", async () => {
    const early = place.path("early.db");
    const timestamp = newest.toISOString();
    assertStatus(await millrace(["restore", "-timestamp", timestamp, "-o", early, url]), 0);
    assert.equal(digest(early), sample.sha256);
    const before1970 = ["restore", "-timestamp", "1970-01-01T00:00:00Z"];
    const none = await millrace([...before1970, "-o", place.path("n.db"), url]);
    assertFailure(none, 3, "restore/not-available", /the first snapshot is of 20/);
    const txid = ["restore", "-if-replica-exists", "-txid", "0000000000000001"];
    const refused = await millrace([...txid, "-o", place.path("t.db"), url]);
    assertFailure(refused, 3, "restore/not-available", /has no TXIDs/);
  });

  it("refuses a backup that lacks a log, also as a library, and says up to when it goes", async () => {
    using damaged = new Place();
    copyTo(damaged);
    const wals = sample.objects.filter(({ key }) => key.includes("/wal/"));
    const last = wals.reduce((a, b) => (b.createdAtMs > a.createdAtMs ? b : a));
    const lost = last.key.replace(/_[0-9a-f]+\./, "_00000000.");
    rmSync(damaged.path("replica", lost));
    const output = damaged.path("copy.db");
    const outcome = await millrace(["restore", "-o", output, damaged.url("replica")]);
    assertFailure(outcome, 4, "restore/gap", /Hint: .*restorable: -timestamp \d{4}-/);
    await assert.rejects(restore({ from: damaged.url("replica"), to: output }), {
      code: "restore/gap",
    });
    const result = await restore({ from: url, to: output });
    assert.equal(result.format, "litestream-0.3");
    assert.equal(digest(output), sample.sha256);
  });
});
