/** What an upload says when another writer was faster and its own file cannot be taken back. */
import assert from "node:assert/strict";
import test from "node:test";
import { NO_TXID, toTxid } from "../base/ids.ts";
import { MillraceError } from "../errors.ts";
import { readLtxHeader } from "../ltx/decoder.ts";
import { memorySource } from "../ltx/memory.ts";
import { openMemoryStore } from "../storage/backends/memory/memory.ts";
import { LtxStore } from "../storage/ltx-store.ts";
import { allFail, NO_FAULTS } from "../testing/fault-store-plan.ts";
import { FaultStore } from "../testing/fault-store.ts";
import { ManualClock } from "../testing/manual-clock.ts";
import { ReplicaLine, samplePage } from "../testing/replica-line.ts";
import { ANYBODY } from "./permit.ts";
import { endsOf } from "./remote-file.ts";
import { upload } from "./upload.ts";

for (const isDeleteFailing of [false, true]) {
  const outcome = isDeleteFailing ? "named when it cannot be taken back" : "taken back";
  test(`a merged file that another writer was faster than is ${outcome}`, async () => {
    const clock = new ManualClock();
    const line = new ReplicaLine({ store: new LtxStore(openMemoryStore({ clock })) });
    await line.commit(1, new Map([[1, samplePage(512, 1)]]));
    const faults = new FaultStore(openMemoryStore({ clock }), { clock });
    faults.plan = isDeleteFailing ? allFail({ kind: "before" }, ["delete"]) : NO_FAULTS;
    const store = new LtxStore(faults);
    const one = { level: 0, minTxid: toTxid(1), maxTxid: toTxid(1) };
    // What is in the files does not matter here.
    const bytes = line.bytesOf(0, one.minTxid, one.maxTxid);
    const body = {
      sizeBytes: bytes.length,
      // The other writer's file appears after this one looked and before it is there.
      async *open(): AsyncGenerator<Uint8Array> {
        await store.write(one, bytes, { createdAtMs: 1, ifAbsent: true });
        yield bytes;
      },
    };
    const merged = { level: 0, minTxid: toTxid(1), maxTxid: toTxid(3), sizeBytes: bytes.length };
    const header = readLtxHeader(memorySource(bytes));
    const uploading = upload({
      store,
      name: "backup",
      file: merged,
      content: { header, holdsEveryPage: false, ends: endsOf(bytes), body },
      fence: { headTxid: NO_TXID, known: [], own: [] },
      permit: ANYBODY,
      signal: undefined,
    });
    const key = store.keyOf(merged);
    await assert.rejects(uploading, (error) => {
      assert.ok(error instanceof MillraceError);
      assert.equal(error.code, "ship/conflict");
      assert.equal(error.details["left"], isDeleteFailing ? key : undefined);
      assert.equal(error.message.includes(key), isDeleteFailing, error.message);
      assert.equal((error.hint ?? "").includes(`delete "${key}"`), isDeleteFailing, error.hint);
      return true;
    });
    const names = (await Array.fromAsync(store.list(0))).map(({ maxTxid }) => maxTxid);
    assert.deepEqual(names, isDeleteFailing ? [1n, 3n] : [1n]);
  });
}
