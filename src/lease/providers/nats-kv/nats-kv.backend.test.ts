/** The conformance suite on a real NATS server with JetStream. */
import { randomUUID } from "node:crypto";
import { absence, present, service } from "../../../testing/services.ts";
import { simulated } from "../../../testing/lease-simulated.ts";
import type { LeaseTarget } from "../../conformance/context.ts";
import { leaseConformance } from "../../conformance/suite.ts";
import { openNatsKvCell } from "./nats-kv.ts";

const nats = await service("nats");

async function target(): Promise<LeaseTarget> {
  const { url } = present(nats);
  const key = `millrace-test.${randomUUID()}`;
  return {
    connect: async () => openNatsKvCell({ servers: url, bucket: "millrace-test-leases", key }),
    // The key stays behind in a bucket of tests: other runs use other keys.
    [Symbol.asyncDispose]: async () => {},
  };
}

leaseConformance("nats-kv", target, { ...simulated, unavailable: absence(nats) });
