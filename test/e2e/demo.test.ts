/** The demo holds what it promises, and cleans up. */
import assert from "node:assert/strict";
import { mkdirSync, readdirSync } from "node:fs";
import { it } from "node:test";
import { assertStatus, millrace, Place } from "./harness.ts";

it("millrace demo ends with status 0, every check held, nothing left behind", async () => {
  using place = new Place();
  mkdirSync(place.path("tmp"));
  const outcome = await millrace(["demo", "-json"], { env: { TMPDIR: place.path("tmp") } });
  assertStatus(outcome, 0);
  const result = JSON.parse(outcome.stdout) as {
    ok: boolean;
    durableOrders: number;
    restoredOrders: number;
    checks: { ok: boolean }[];
  };
  assert.equal(result.ok, true);
  assert.equal(result.checks.length, 5);
  assert.ok(result.checks.every(({ ok }) => ok));
  assert.ok(result.durableOrders > 0 && result.restoredOrders >= result.durableOrders);
  assert.match(outcome.stderr, /All of it held\./);
  assert.deepEqual(readdirSync(place.path("tmp")), []);
});
