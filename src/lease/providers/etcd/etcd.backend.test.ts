/** The conformance suite on a real etcd. */
import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { describe, it } from "node:test";
import { isMillraceError } from "../../../errors.ts";
import { absence, present, service } from "../../../testing/services.ts";
import { simulated } from "../../../testing/lease-simulated.ts";
import { recordOf } from "../../conformance/cells.ts";
import type { LeaseTarget } from "../../conformance/context.ts";
import { leaseConformance } from "../../conformance/suite.ts";
import { openEtcdCell } from "./etcd.ts";

const etcd = await service("etcd");

/** Servers count in real time: far more of it than a test may take. */
const minAliveMs = 120_000;

async function target(): Promise<LeaseTarget & { readonly key: string }> {
  const { endpoint } = present(etcd);
  const key = `millrace-test/${randomUUID()}`;
  return {
    key,
    connect: async () => openEtcdCell({ endpoint, key, minAliveMs }),
    [Symbol.asyncDispose]: async () => {
      const [from, to] = [key, `${key}0`].map((text) => Buffer.from(text).toString("base64"));
      const body = JSON.stringify({ key: from, range_end: to });
      await fetch(new URL("/v3/kv/deleterange", endpoint), { method: "POST", body });
    },
  };
}

leaseConformance("etcd", target, { ...simulated, unavailable: absence(etcd) });

describe("openEtcdCell()", { skip: absence(etcd) ?? false }, () => {
  it("shows a record as given back once its sign of life is gone", async () => {
    await using place = await target();
    await using holder = await place.connect();
    await using late = await place.connect();
    await holder.write(recordOf(1, "a"), { expected: "absent" });
    assert.ok(((await late.read())?.record.expiresAtMs ?? 0) > 0);
    const body = JSON.stringify({ key: Buffer.from(`${place.key}/alive`).toString("base64") });
    await fetch(new URL("/v3/kv/deleterange", present(etcd).endpoint), { method: "POST", body });
    const reading = await late.read();
    assert.deepEqual(reading?.record, { ...recordOf(1, "a"), expiresAtMs: 0 });
    const version = reading?.version ?? assert.fail("no record");
    await late.write(recordOf(2, "b"), { expected: version });
    assert.equal((await holder.read())?.record.owner, "b");
  });

  it("reports a server that is not there, without the token", async () => {
    const token = "secret-token";
    await using cell = openEtcdCell({ endpoint: "http://127.0.0.1:1", key: "k", token });
    await assert.rejects(
      cell.read(),
      (error) => isMillraceError(error, "lease/unavailable") && !error.message.includes(token),
    );
  });
});
