/** Every choice that a configuration can make leads to its provider, without a request. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { nodeFiles } from "../platform/files.ts";
import { systemClock } from "../platform/clock.ts";
import { openMemoryStore } from "../storage/backends/memory/memory.ts";
import type { StoreCapabilities } from "../storage/contract.ts";
import { parseLease } from "./lease-url.ts";
import { openLeaseCell } from "./registry.ts";

async function typeOf(
  text: string,
  capabilities: Partial<StoreCapabilities> = {},
): Promise<string | undefined> {
  await using store = openMemoryStore({ clock: systemClock, capabilities });
  const options = { store, name: "s3://b/my db", files: nodeFiles };
  const opened = await openLeaseCell(parseLease(text), options);
  await opened?.cell[Symbol.asyncDispose]();
  return opened?.cell.type;
}

describe("openLeaseCell()", () => {
  it("opens the provider of each choice", async () => {
    assert.equal(await typeOf("auto"), "memory");
    assert.equal(await typeOf("none"), undefined);
    assert.equal(await typeOf("consul://127.0.0.1/millrace"), "consul");
    assert.equal(await typeOf("etcd://127.0.0.1/millrace"), "etcd");
    assert.equal(await typeOf("nats://127.0.0.1/millrace"), "nats-kv");
    assert.equal(await typeOf("file:///nowhere/lease"), "lock-file");
  });

  it("opens none for a store that cannot, when it is left to the store", async () => {
    assert.equal(await typeOf("auto", { conditionalReplace: false }), "memory");
    const poor = { conditionalReplace: false, conditionalCreate: false };
    assert.equal(await typeOf("auto", poor), undefined);
  });
});
