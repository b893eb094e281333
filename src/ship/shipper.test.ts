/** Shipping to one destination: order, failures, restarts, and what it asks of capture. */
import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, test } from "node:test";
import { SILENT } from "../base/logger.ts";
import { nodeFiles } from "../platform/files.ts";
import { MemoryObjects, openMemoryStore } from "../storage/backends/memory/memory.ts";
import { LtxStore } from "../storage/ltx-store.ts";
import { LineMaker } from "../testing/line-maker.ts";
import { ManualClock } from "../testing/manual-clock.ts";
import type { ShipEvent } from "./contract.ts";
import { LocalLine } from "./local-line.ts";
import { Shipper } from "./shipper.ts";

test("ships", async () => {
  const dir = mkdtempSync(join(tmpdir(), "millrace-ship-"));
  const clock = new ManualClock();
  const maker = new LineMaker({ directory: dir });
  const objects = new MemoryObjects();
  const store = new LtxStore(openMemoryStore({ clock, objects }));
  const line = new LocalLine({ files: nodeFiles, directory: dir, logger: SILENT, clock });
  const events: ShipEvent[] = [];
  using shipper = new Shipper({
    line,
    store,
    name: "m",
    files: nodeFiles,
    clock,
    random: () => 0.5,
    logger: SILENT,
    onEvent: (e) => events.push(e),
  });
  maker.commit();
  maker.commit();
  const stop = new AbortController();
  const running = shipper.run(stop.signal);
  line.announce(maker.commit());
  await shipper.waitFor(maker.txid);
  console.log(events, objects.keys, shipper.position());
  stop.abort();
  await running;
  rmSync(dir, { recursive: true });
});
