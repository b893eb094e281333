/** Google Cloud Storage against fake-gcs-server: the conformance suite, and what is special about it. */
import { randomUUID } from "node:crypto";
import { systemClock } from "../../../platform/clock.ts";
import { absence, present, service } from "../../../testing/services.ts";
import type { ConformanceTarget } from "../../conformance/context.ts";
import { storageConformance } from "../../conformance/suite.ts";
import type { ObjectStore } from "../../contract.ts";
import { openGcsStore } from "./gcs.ts";

const server = await service("gcs");

async function createBucket(): Promise<string> {
  const { endpoint, projectId } = present(server);
  const bucket = `test-${randomUUID()}`;
  const response = await fetch(`${endpoint}/storage/v1/b?project=${projectId}`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ name: bucket }),
  });
  if (!response.ok) throw new Error(`create bucket: ${response.status}`);
  return bucket;
}

function connect(bucket: string, prefix = ""): Promise<ObjectStore> {
  const settings = { endpoint: present(server).endpoint };
  const context = { clock: systemClock, random: Math.random, env: {} };
  return openGcsStore({ scheme: "gs", bucket, prefix, settings }, context);
}

async function target(): Promise<ConformanceTarget> {
  const bucket = await createBucket();
  return {
    connect: () => connect(bucket),
    [Symbol.asyncDispose]: async () => {
      await using store = await connect(bucket);
      const keys: string[] = [];
      for await (const { key } of store.list("")) keys.push(key);
      await store.delete(keys);
      await fetch(`${present(server).endpoint}/storage/v1/b/${bucket}`, { method: "DELETE" });
    },
  };
}

storageConformance("gcs", target, { unavailable: absence(server) });
