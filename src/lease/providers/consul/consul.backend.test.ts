/** The conformance suite on a real Consul. */
import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { describe, it } from "node:test";
import { isMillraceError } from "../../../errors.ts";
import { absence, present, service } from "../../../testing/services.ts";
import { simulated } from "../../../testing/lease-simulated.ts";
import { recordOf } from "../../conformance/cells.ts";
import type { LeaseTarget } from "../../conformance/context.ts";
import { leaseConformance } from "../../conformance/suite.ts";
import { openConsulCell } from "./consul.ts";

const consul = await service("consul");

/** Servers count in real time: far more of it than a test may take. */
const minSessionMs = 120_000;

async function target(): Promise<LeaseTarget & { readonly key: string }> {
  const { endpoint } = present(consul);
  const key = `millrace-test/${randomUUID()}`;
  return {
    key,
    connect: async () => openConsulCell({ endpoint, key, minSessionMs }),
    [Symbol.asyncDispose]: async () => {
      await fetch(new URL(`/v1/kv/${key}`, endpoint), { method: "DELETE" });
    },
  };
}

leaseConformance("consul", target, { ...simulated, unavailable: absence(consul) });

describe("openConsulCell()", { skip: absence(consul) ?? false }, () => {
  it("shows a record as given back once its session is gone, and locks it as long as it is there", async () => {
    await using place = await target();
    await using holder = await place.connect();
    await using late = await place.connect();
    await holder.write(recordOf(1, "a"), { expected: "absent" });
    const { endpoint } = present(consul);
    const found = await fetch(new URL(`/v1/kv/${place.key}`, endpoint));
    const [{ Session }] = (await found.json()) as [{ Session: string }];
    assert.ok(Session.length > 0, "the key is locked");
    assert.ok(((await late.read())?.record.expiresAtMs ?? 0) > 0);
    await fetch(new URL(`/v1/session/destroy/${Session}`, endpoint), { method: "PUT" });
    const reading = await late.read();
    assert.deepEqual(reading?.record, { ...recordOf(1, "a"), expiresAtMs: 0 });
  });

  it("leaves no lock when the lease is given back", async () => {
    await using place = await target();
    await using holder = await place.connect();
    const version = await holder.write(recordOf(1, "a"), { expected: "absent" });
    await holder.write({ ...recordOf(1, "a"), expiresAtMs: 0 }, { expected: version });
    const found = await fetch(new URL(`/v1/kv/${place.key}`, present(consul).endpoint));
    const [entry] = (await found.json()) as [Record<string, unknown>];
    assert.equal("Session" in entry, false);
  });

  it("reports a server that is not there, without the token", async () => {
    const token = "secret-token";
    await using cell = openConsulCell({ endpoint: "http://127.0.0.1:1", key: "k", token });
    await assert.rejects(
      cell.read(),
      (error) => isMillraceError(error, "lease/unavailable") && !error.message.includes(token),
    );
  });
});
