/** What a cell has to do, whatever keeps it. */
import assert from "node:assert/strict";
import { isMillraceError } from "../../errors.ts";
import type { Expected, LeaseCell, LeaseReading, LeaseRecord } from "../contract.ts";
import type { LeaseCheck } from "./context.ts";

const CONTENDERS = 8;

/** Rounds of all contenders after one cell. */
const ROUNDS = 6;

export function recordOf(epoch: number, owner: string, renewals = 0): LeaseRecord {
  return { epoch, owner, expiresAtMs: 1_900_000_000_123 + renewals, ttlMs: 30_000, renewals };
}

async function assertConflict(
  cell: LeaseCell,
  record: LeaseRecord,
  expected: Expected,
): Promise<void> {
  await assert.rejects(cell.write(record, { expected }), (error) => {
    assert.ok(isMillraceError(error, "lease/conflict"), `lease/conflict, not ${String(error)}`);
    return true;
  });
}

async function present(cell: LeaseCell): Promise<LeaseReading> {
  const reading = await cell.read();
  assert.ok(reading !== undefined, "the cell holds a record");
  return reading;
}

export function cellTests(check: LeaseCheck): void {
  check("read() of a new place finds nothing", async ({ target }) => {
    await using cell = await target.connect();
    assert.equal(await cell.read(), undefined);
  });

  check("write() is read back by itself, with its version", async ({ target }) => {
    await using cell = await target.connect();
    const record = recordOf(7, "ünï/cödé: host-1");
    const version = await cell.write(record, { expected: "absent" });
    assert.deepEqual(await cell.read(), { record, version });
    const renewed = recordOf(7, record.owner, 1);
    const next = await cell.write(renewed, { expected: version });
    assert.notEqual(next, version);
    assert.deepEqual(await cell.read(), { record: renewed, version: next });
  });

  check("write() keeps a released record and its epoch", async ({ target }) => {
    await using cell = await target.connect();
    const version = await cell.write(recordOf(3, "a"), { expected: "absent" });
    await cell.write({ ...recordOf(3, "a"), expiresAtMs: 0 }, { expected: version });
    const { record } = await present(cell);
    assert.equal(record.expiresAtMs, 0);
    assert.equal(record.epoch, 3);
  });

  check("write() to a place that is no longer empty is a conflict", async ({ target }) => {
    await using cell = await target.connect();
    await cell.write(recordOf(1, "a"), { expected: "absent" });
    await assertConflict(cell, recordOf(1, "b"), "absent");
    await assertConflict(cell, recordOf(2, "b"), "absent");
    assert.equal((await present(cell)).record.owner, "a");
  });

  check("write() over a version that was renewed is a conflict", async ({ target }) => {
    await using cell = await target.connect();
    const old = await cell.write(recordOf(1, "a"), { expected: "absent" });
    await cell.write(recordOf(1, "a", 1), { expected: old });
    await assertConflict(cell, recordOf(2, "b"), old);
    assert.deepEqual((await present(cell)).record, recordOf(1, "a", 1));
  });

  check(
    "write() of a holder who was succeeded is a conflict",
    async ({ target, boundToProcess }) => {
      if (boundToProcess) return;
      await using holder = await target.connect();
      await using other = await target.connect();
      const old = await holder.write(recordOf(1, "a"), { expected: "absent" });
      const { version } = await present(other);
      await other.write(recordOf(2, "b"), { expected: version });
      await assertConflict(holder, recordOf(1, "a", 1), old);
      assert.equal((await present(holder)).record.owner, "b");
      assert.equal((await present(holder)).record.epoch, 2);
    },
  );

  check(
    "write() lets exactly one of eight contenders through",
    async ({ target, boundToProcess }) => {
      const cells = await Promise.all(Array.from({ length: CONTENDERS }, () => target.connect()));
      try {
        for (let round = 1; round <= ROUNDS; round += 1) {
          const before = await Promise.all(cells.map((cell) => cell.read()));
          const tries = cells.map((cell, index) =>
            cell.write(recordOf(round, `contender-${index}`), {
              expected: before[index]?.version ?? "absent",
            }),
          );
          const results = await Promise.allSettled(tries);
          const winners = results.flatMap((result, index) =>
            result.status === "fulfilled" ? [index] : [],
          );
          for (const result of results) {
            if (result.status === "rejected" && !isMillraceError(result.reason, "lease/conflict"))
              throw result.reason;
          }
          assert.equal(winners.length, 1, `winners of round ${round}: ${winners.join(", ")}`);
          const [winner = 0] = winners;
          for (const cell of cells) {
            const { record } = await present(cell);
            assert.deepEqual(record, recordOf(round, `contender-${winner}`));
          }
          if (boundToProcess) return;
        }
      } finally {
        await Promise.all(cells.map((cell) => cell[Symbol.asyncDispose]()));
      }
    },
  );

  check("read() and write() of an aborted call reject", async ({ target }) => {
    await using cell = await target.connect();
    const signal = AbortSignal.abort(new Error("aborted by the test"));
    await assert.rejects(cell.read({ signal }));
    await assert.rejects(cell.write(recordOf(1, "a"), { expected: "absent", signal }));
    assert.equal(await cell.read(), undefined);
  });
}
