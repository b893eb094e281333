/** The conformance suite on a real Consul. */
import { randomUUID } from "node:crypto";
import { absence, present, service } from "../../../testing/services.ts";
import { simulated } from "../../../testing/lease-simulated.ts";
import type { LeaseTarget } from "../../conformance/context.ts";
import { leaseConformance } from "../../conformance/suite.ts";
import { openConsulCell } from "./consul.ts";

const consul = await service("consul");

async function target(): Promise<LeaseTarget> {
  const { endpoint } = present(consul);
  const key = `millrace-test/${randomUUID()}`;
  return {
    connect: async () => openConsulCell({ endpoint, key }),
    [Symbol.asyncDispose]: async () => {
      await fetch(new URL(`/v1/kv/${key}`, endpoint), { method: "DELETE" });
    },
  };
}

leaseConformance("consul", target, { ...simulated, unavailable: absence(consul) });
