import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { isMillraceError, type MillraceError } from "../../errors.ts";
import { describeLegacy, type LegacyListing, type LegacySegment } from "./names.ts";
import { planLegacy, type LegacyTarget } from "./plan.ts";

const A = "aaaaaaaaaaaaaaaa";
const B = "bbbbbbbbbbbbbbbb";

/** `snapshot index@time`, or `wal index:offset@time`; generation A unless told otherwise. */
function object(text: string, generation = A): LegacySegment {
  const [, kind, index, offset, time] = /^(\w+) (\d+)(?::(\d+))?@(\d+)$/.exec(text) ?? [];
  const base = { key: `${generation} ${kind} ${index} ${offset}`, generation, sizeBytes: 10 };
  const facts = { ...base, index: Number(index), createdAtMs: Number(time) };
  return (kind === "wal" ? { ...facts, offset: Number(offset) } : facts) as LegacySegment;
}

function listing(a: readonly string[], b: readonly string[] = []): LegacyListing {
  const objects = [...a.map((text) => object(text)), ...b.map((text) => object(text, B))];
  return {
    snapshots: objects.filter((one) => !("offset" in one)),
    segments: objects.filter((one) => "offset" in one),
  };
}

function planned(found: LegacyListing, target: LegacyTarget = "latest"): string[] {
  const plan = planLegacy(found, target);
  return [plan.snapshot, ...plan.segments].map(
    (one) => `${one.generation[0]} ${one.index}${"offset" in one ? `:${String(one.offset)}` : ""}`,
  );
}

function refused(found: LegacyListing, target: LegacyTarget = "latest"): MillraceError {
  try {
    planLegacy(found, target);
  } catch (error) {
    assert.ok(isMillraceError(error), String(error));
    return error;
  }
  throw new Error("the plan was made");
}

const LINE = ["snapshot 1@10", "wal 1:0@11", "wal 1:100@12", "wal 2:0@13", "wal 3:0@14"];

describe("planLegacy()", () => {
  it("takes the newest snapshot and every segment of its generation from its index on", () => {
    assert.deepEqual(planned(listing(LINE)), ["a 1", "a 1:0", "a 1:100", "a 2:0", "a 3:0"]);
    assert.deepEqual(planned(listing([...LINE, "snapshot 3@15", "wal 3:50@16"])), [
      "a 3",
      "a 3:0",
      "a 3:50",
    ]);
    assert.deepEqual(planned(listing(LINE, ["snapshot 0@20", "wal 0:0@21"])), ["b 0", "b 0:0"]);
    assert.deepEqual(planned(listing(["snapshot 7@1"])), ["a 7"]);
    const { timestampMs, sizeBytes, generation } = planLegacy(listing(LINE), "latest");
    assert.deepEqual(
      { timestampMs, sizeBytes, generation },
      { timestampMs: 14, sizeBytes: 50, generation: A },
    );
  });

  it("includes what was stored at or before the time, and no snapshot after it", () => {
    const found = listing([...LINE, "snapshot 3@15"], ["snapshot 0@20", "wal 0:0@21"]);
    assert.deepEqual(planned(found, { timestampMs: 12 }), ["a 1", "a 1:0", "a 1:100"]);
    assert.deepEqual(planned(found, { timestampMs: 10 }), ["a 1"]);
    assert.deepEqual(planned(found, { timestampMs: 19 }), ["a 3", "a 3:0"]);
    assert.deepEqual(planned(found, { timestampMs: 20 }), ["b 0"]);
    const early = refused(found, { timestampMs: 9 });
    assert.equal(early.code, "restore/not-available");
    assert.match(early.hint ?? "", /first snapshot is of 1970-01-01T00:00:00\.010Z/);
  });

  it("passes over generations without anything that counts, and names those with newer changes", () => {
    assert.deepEqual(planned(listing(LINE, ["wal 0:0@5"])).length, 5);
    const plan = planLegacy(listing(LINE, ["snapshot 0@3", "wal 0:0@99"]), "latest");
    assert.equal(plan.generation, A);
    assert.deepEqual(plan.passedOver, [{ generation: B, newestMs: 99 }]);
    assert.deepEqual(planLegacy(listing(LINE, ["snapshot 0@3"]), "latest").passedOver, []);
  });

  it("refuses to pass over newer changes that have lost their snapshot", () => {
    const found = listing(LINE, ["wal 0:0@99"]);
    const error = refused(found);
    assert.equal(error.code, "restore/gap");
    assert.match(error.message, /generation b{16} has changes up to .*099Z, but no snapshot/);
    assert.match(error.hint ?? "", /-timestamp 1970-01-01T00:00:00\.014Z/);
    assert.equal(planned(found, { timestampMs: 14 }).length, 5);
  });

  it("refuses every missing index and every missing beginning, and offers what is before it", () => {
    for (let left = 1; left < LINE.length; left += 1) {
      const found = listing(LINE.filter((_, index) => index !== left));
      // Within an index only decompressing shows it; the last one nothing shows.
      if (left === 2 || left === 4) continue;
      const error = refused(found);
      assert.equal(error.code, "restore/gap", `without ${LINE[left]}`);
      assert.match(error.hint ?? "", /-timestamp 1970/);
    }
    assert.match(refused(listing(["snapshot 1@1", "wal 2:0@2"])).message, /all of WAL 00000001/);
    assert.match(
      refused(listing(["snapshot 1@1", "wal 1:64@2"])).message,
      /first 64 bytes of WAL 00000001 are missing/,
    );
  });

  it("refuses two segments at one place, and absurd offsets, as they come", () => {
    const twice = refused(listing(["snapshot 1@1", "wal 1:0@2", "wal 1:0@3"]));
    assert.match(twice.message, /claim the same place/);
    const absurd = refused(listing(["snapshot 1@1", "wal 1:18446744073709551615@2"]));
    assert.equal(absurd.code, "restore/gap");
  });

  it("says so when times are out of order, as after a careless copy", () => {
    const found = listing(["snapshot 1@10", "wal 1:0@14", "wal 2:0@12", "wal 3:0@11"]);
    assert.equal(planned(found).length, 4);
    const error = refused(found, { timestampMs: 12 });
    assert.equal(error.code, "restore/gap");
  });

  it("refuses an empty replica and one without snapshots, each with its own code", () => {
    assert.equal(refused(listing([])).code, "restore/no-backup");
    const orphaned = refused(listing(["wal 1:0@2", "wal 1:40@3"]));
    assert.equal(orphaned.code, "restore/gap");
    assert.match(orphaned.message, /2 WAL segments of Litestream 0\.3, but no snapshot/);
  });
});

it("describeLegacy() names snapshots and segments", () => {
  assert.equal(
    describeLegacy(object("wal 10:4096@1")),
    `generation ${A}, WAL 0000000a from byte 4096`,
  );
  assert.equal(describeLegacy(object("snapshot 10@1")), `generation ${A}, snapshot 0000000a`);
});
