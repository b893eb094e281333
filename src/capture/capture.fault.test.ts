/**
 * Every file operation of capture fails once, in every way, in a scenario that goes through a first copy, commits,
 * checkpoints, a shrink, a boundary snapshot and the release of old files. Afterwards the line must be whole, byte
 * for byte, and no file that was announced may ever have changed. By default every seventh operation of each kind of
 * fault is tried, others in each run of the table; MILLRACE_FAULTS=all tries all of them.
 */
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { ltxFileName } from "../ltx/names.ts";
import { nodeFiles } from "../platform/files.ts";
import { CaptureBench } from "../testing/capture-bench.ts";
import { FaultFiles, type Fault } from "../testing/fault-files.ts";

/** Runs the scenario; returns how many file operations it took and which one failed. */
function scenario(fault?: Fault): { readonly count: number; readonly failed: string | undefined } {
  const faulty = new FaultFiles(nodeFiles, fault);
  using bench = new FaultBench(faulty);
  bench.app.exec("PRAGMA auto_vacuum = FULL; CREATE TABLE t (id INTEGER PRIMARY KEY, v)");
  bench.persist(() => bench.start());
  for (let round = 0; round < 4; round++) {
    bench.app.exec("INSERT INTO t (v) VALUES (randomblob(9000))");
    bench.persist(() => bench.sync());
  }
  bench.app.exec("DELETE FROM t WHERE id > 1");
  bench.persist(() => bench.sync());
  bench.persist(() => bench.capture.requireBoundary("test"));
  bench.app.exec("INSERT INTO t (v) VALUES (randomblob(20000))");
  bench.persist(() => bench.sync());
  bench.verifyAnnounced();
  bench.verify();
  bench.persist(() => bench.capture.release(bench.capture.txid));
  bench.stop();
  bench.app.exec("INSERT INTO t (v) VALUES ('last')");
  bench.persist(() => bench.start());
  bench.verify();
  return { count: faulty.count, failed: faulty.failed };
}

class FaultBench extends CaptureBench {
  readonly #faulty: FaultFiles;
  readonly #hashes = new Map<string, string>();
  #announced = 0;

  constructor(faulty: FaultFiles) {
    super({ checkpointPages: 4, files: faulty.files });
    this.#faulty = faulty;
  }

  /** Repeats `action` until it works; after a crash, with a new capture, as a supervisor would. */
  persist(action: () => void): void {
    for (let attempt = 0; ; attempt++) {
      try {
        action();
        this.#remember();
        return;
      } catch (error) {
        if (this.#faulty.failed === undefined || attempt === 2) throw error;
        this.#remember();
        this.#restartAfterCrash();
      }
    }
  }

  #restartAfterCrash(): void {
    if (!this.#faulty.crashed) return;
    this.stop();
    this.#faulty.revive();
    this.start();
  }

  #remember(): void {
    for (const event of this.events.slice(this.#announced)) {
      if (event.type !== "ltx") continue;
      const path = join(
        this.metaDir,
        "ltx",
        String(event.level),
        ltxFileName(event.minTxid, event.maxTxid),
      );
      assert.ok(!this.#hashes.has(path), `${path} is announced once`);
      this.#hashes.set(path, hash(path));
    }
    this.#announced = this.events.length;
  }

  verifyAnnounced(): void {
    for (const [path, before] of this.#hashes) {
      if (existsSync(path)) assert.equal(hash(path), before, `${path} has not changed`);
    }
  }
}

function hash(path: string): string {
  return createHash("sha256").update(readFileSync(path)).digest("hex");
}

const { count } = scenario();
const stride = process.env["MILLRACE_FAULTS"] === "all" ? 1 : 7;
const MOMENTS = ["before", "after", "torn"] as const;

for (const crash of [false, true]) {
  for (const [index, moment] of MOMENTS.entries()) {
    test(`capture survives any file operation ${crash ? "crashing" : "failing"} (${moment})`, () => {
      const first = (index * 2 + Number(crash)) % stride;
      for (let at = first; at < count; at += stride) {
        const fault: Fault = { at, moment, crash, errno: at % 2 === 0 ? "ENOSPC" : "EIO" };
        try {
          scenario(fault);
        } catch (error) {
          throw new Error(`operation ${at} of ${count}, ${JSON.stringify(fault)}`, {
            cause: error,
          });
        }
      }
    });
  }
}
