/** Azure Blob Storage against Azurite: the conformance suite, and what is special about it. */
import { randomUUID } from "node:crypto";
import { ContainerClient, StorageSharedKeyCredential } from "@azure/storage-blob";
import { systemClock } from "../../../platform/clock.ts";
import { absence, present, service } from "../../../testing/services.ts";
import type { ConformanceTarget } from "../../conformance/context.ts";
import { storageConformance } from "../../conformance/suite.ts";
import type { ObjectStore } from "../../contract.ts";
import { openAzureStore } from "./azure.ts";

const server = await service("azure");

function containerClient(container: string): ContainerClient {
  const { endpoint, accountName, accountKey } = present(server);
  const key = new StorageSharedKeyCredential(accountName, accountKey);
  return new ContainerClient(`${endpoint}/${container}`, key);
}

function connect(container: string, prefix = ""): Promise<ObjectStore> {
  const { endpoint, accountName, accountKey } = present(server);
  const settings = { endpoint, accountName, accountKey };
  const context = { clock: systemClock, random: Math.random, env: {} };
  return openAzureStore({ scheme: "abs", container, prefix, settings }, context);
}

async function target(): Promise<ConformanceTarget> {
  const container = `test-${randomUUID()}`;
  const client = containerClient(container);
  await client.create();
  return {
    connect: () => connect(container),
    [Symbol.asyncDispose]: async () => {
      await client.delete();
    },
  };
}

storageConformance("azure", target, { unavailable: absence(server) });
