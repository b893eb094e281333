/** The conformance suite on a real etcd. */
import { randomUUID } from "node:crypto";
import { absence, present, service } from "../../../testing/services.ts";
import { simulated } from "../../../testing/lease-simulated.ts";
import type { LeaseTarget } from "../../conformance/context.ts";
import { leaseConformance } from "../../conformance/suite.ts";
import { openEtcdCell } from "./etcd.ts";

const etcd = await service("etcd");

async function target(): Promise<LeaseTarget> {
  const { endpoint } = present(etcd);
  const key = `millrace-test/${randomUUID()}`;
  return {
    connect: async () => openEtcdCell({ endpoint, key }),
    [Symbol.asyncDispose]: async () => {
      const [from, to] = [key, `${key}0`].map((text) => Buffer.from(text).toString("base64"));
      const body = JSON.stringify({ key: from, range_end: to });
      await fetch(new URL("/v3/kv/deleterange", endpoint), { method: "POST", body });
    },
  };
}

leaseConformance("etcd", target, { ...simulated, unavailable: absence(etcd) });
