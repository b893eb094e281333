/** What a restore asks for again, and what it tells at once. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { MillraceError } from "../errors.ts";
import { systemClock } from "../platform/clock.ts";
import { openMemoryStore } from "../storage/backends/memory/memory.ts";
import { LtxStore } from "../storage/ltx-store.ts";
import { listLtxFiles } from "./listing.ts";
import { RETRY_ATTEMPTS } from "./retry.ts";

/** Time that passes at once. */
const CLOCK = {
  ...systemClock,
  schedule: (_delayMs: number, run: () => void) => {
    setImmediate(run);
    return { [Symbol.dispose]: () => {} };
  },
};

/** Listings of level 0 until the failure is told. */
async function attempts(details: Readonly<Record<string, unknown>>): Promise<number> {
  const inner = openMemoryStore({ clock: CLOCK });
  let count = 0;
  const failing = {
    type: "failing",
    capabilities: inner.capabilities,
    get: inner.get.bind(inner),
    head: inner.head.bind(inner),
    put: inner.put.bind(inner),
    delete: inner.delete.bind(inner),
    list: (prefix: string) => {
      if (prefix === "ltx/0/") count += 1;
      throw new MillraceError("storage/unavailable", "list objects: out of reach", { details });
    },
    [Symbol.asyncDispose]: async () => inner[Symbol.asyncDispose](),
  };
  await using store = new LtxStore(failing);
  await assert.rejects(
    listLtxFiles(store, "latest", { clock: CLOCK, random: () => 0 }),
    /out of reach/,
  );
  return count;
}

describe("listLtxFiles()", () => {
  it("asks again when a listing broke off", async () => {
    assert.equal(await attempts({}), RETRY_ATTEMPTS);
  });

  it("tells at once that no connection could be made", async () => {
    assert.equal(await attempts({ sent: false }), 1);
  });
});
