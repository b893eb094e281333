import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { hostname, tmpdir } from "node:os";
import { join } from "node:path";
import { describe, it } from "node:test";
import { toTxid } from "../base/ids.ts";
import { SILENT } from "../base/logger.ts";
import { MillraceError, toErrorRecord } from "../errors.ts";
import { systemClock } from "../platform/clock.ts";
import { nodeFiles, type Files } from "../platform/files.ts";
import { ManualClock } from "../testing/manual-clock.ts";
import type { DatabaseStatus } from "./contract.ts";
import { inspectDatabase } from "./inspect.ts";
import { readStatusFile, StatusFile } from "./status-file.ts";

const STATUS: DatabaseStatus = {
  path: "/data/app.db",
  metaDir: "/data/.app.db-millrace",
  phase: "wal",
  txid: toTxid(18),
  destinations: [
    {
      name: "file:///backup",
      state: "failing",
      durableTxid: toTxid(16),
      pendingFiles: 2,
      pendingBytes: 300,
      behindSinceMs: 1_700_000_000_000,
      error: toErrorRecord(new MillraceError("storage/unavailable", "no answer", { hint: "wait" })),
    },
  ],
};

class Scene implements Disposable {
  readonly dir: string = mkdtempSync(join(tmpdir(), "millrace-status-"));
  readonly metaDir: string = join(this.dir, ".app.db-millrace");
  readonly path: string = join(this.metaDir, "status.json");
  readonly clock = new ManualClock();
  writes = 0;

  constructor() {
    nodeFiles.mkdir("test", this.metaDir);
  }

  open(status: DatabaseStatus = STATUS, startedAtMs = Date.now()): StatusFile {
    const files: Files = {
      ...nodeFiles,
      rename: (...args) => {
        this.writes += 1;
        nodeFiles.rename(...args);
      },
    };
    return new StatusFile({
      context: { files, clock: this.clock, random: () => 0.5, logger: SILENT },
      path: this.path,
      identity: { pid: process.pid, version: "1.2.3", startedAtMs },
      status: () => status,
    });
  }

  inspect(): ReturnType<typeof inspectDatabase> {
    const path = join(this.dir, "app.db");
    return inspectDatabase({ files: nodeFiles, clock: systemClock }, { path });
  }

  [Symbol.dispose](): void {
    rmSync(this.dir, { recursive: true });
  }
}

describe("StatusFile", () => {
  it("writes in a moment, then once a second while things change, then not at all", () => {
    using scene = new Scene();
    using file = scene.open();
    file.changed();
    assert.equal(scene.writes, 0, "nobody waits for the disk");
    scene.clock.advance(50);
    assert.equal(scene.writes, 1);
    for (let round = 0; round < 100; round += 1) {
      file.changed();
      scene.clock.advance(50);
    }
    assert.ok(scene.writes >= 5 && scene.writes <= 7, "five to seven writes");
    scene.clock.advance(1000);
    const rest = scene.writes;
    scene.clock.advance(100_000);
    assert.deepEqual([scene.writes, scene.clock.countTimers], [rest, 0]);
  });

  it("is read back as it was written", () => {
    using scene = new Scene();
    scene.open(STATUS, 1_700_000_000_000).write();
    assert.deepEqual(readStatusFile(nodeFiles, scene.path), {
      format: 1,
      version: "1.2.3",
      pid: process.pid,
      host: hostname(),
      startedAt: "2023-11-14T22:13:20.000Z",
      updatedAt: "2023-11-14T22:13:20.000Z",
      database: "/data/app.db",
      phase: "wal",
      txid: "0000000000000012",
      destinations: [
        {
          name: "file:///backup",
          state: "failing",
          durableTxid: "0000000000000010",
          pendingFiles: 2,
          pendingBytes: 300,
          behindSince: "2023-11-14T22:13:20.000Z",
          error: { code: "storage/unavailable", message: "no answer", hint: "wait" },
        },
      ],
    });
  });

  it("that cannot be understood counts as none", () => {
    using scene = new Scene();
    for (const text of ["", "{", "[]", '{"format":2}', "null"]) {
      writeFileSync(scene.path, text);
      assert.equal(readStatusFile(nodeFiles, scene.path), undefined, text);
    }
  });
});

describe("inspectDatabase()", () => {
  it("tells a process that runs from one that ended, died, or is elsewhere", () => {
    using scene = new Scene();
    assert.equal(scene.inspect().daemon, "none");
    scene.open().write();
    assert.equal(scene.inspect().daemon, "running");
    scene.open({ ...STATUS, phase: "closed" }).write();
    assert.equal(scene.inspect().daemon, "closed");
    // The process id lives, but it was given out again: the record is older than the machine's start.
    scene.open(STATUS, 1_000_000_000_000).write();
    assert.equal(scene.inspect().daemon, "died");
    const record = readStatusFile(nodeFiles, scene.path);
    for (const [change, daemon] of [
      [{ startedAt: new Date().toISOString(), pid: 2 ** 22 + 1 }, "died"],
      [{ host: "another" }, "elsewhere"],
    ] as const) {
      writeFileSync(scene.path, JSON.stringify({ ...record, ...change }));
      assert.equal(scene.inspect().daemon, daemon);
    }
  });

  it("knows what is there without a record", () => {
    using scene = new Scene();
    assert.equal(scene.inspect().status, "no database");
    writeFileSync(join(scene.dir, "app.db"), "");
    assert.equal(scene.inspect().status, "not initialized");
    const level = join(scene.metaDir, "ltx", "0");
    nodeFiles.mkdir("test", level);
    writeFileSync(join(level, "000000000000000a-000000000000000b.ltx"), "");
    assert.deepEqual([scene.inspect().status, scene.inspect().localTxid], ["ok", 11n]);
  });
});
