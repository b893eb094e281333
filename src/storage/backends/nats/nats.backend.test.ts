/** The NATS object store against a real server. */
import { Objm } from "@nats-io/obj";
import { connect } from "@nats-io/transport-node";
import { systemClock, systemRandom } from "../../../platform/clock.ts";
import { storageConformance } from "../../conformance/suite.ts";
import { parseReplicaUrl } from "../../replica-url/replica-url.ts";
import type { NatsTarget } from "../../replica-url/target.ts";
import { openNatsStore } from "./nats.ts";

const SERVER = process.env["NATS_URL"] ?? "nats://127.0.0.1:24222";
let n = 0;
storageConformance("nats", async () => {
  const connection = await connect({ servers: SERVER });
  const bucket = `t-${process.pid}-${(n += 1)}`;
  await new Objm(connection).create(bucket);
  return {
    connect: () =>
      openNatsStore(parseReplicaUrl({ url: `${SERVER}/${bucket}/some/db` }) as NatsTarget, {
        clock: systemClock,
        random: systemRandom,
        env: {},
      }),
    async [Symbol.asyncDispose]() {
      await (await new Objm(connection).open(bucket)).destroy();
      await connection.close();
    },
  };
});
