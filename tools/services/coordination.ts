/** The servers that hold leases: etcd with its JSON gateway, and Consul in its development mode. */
import { join } from "node:path";
import { request } from "./http.ts";
import { HOST, type Server } from "./server.ts";
import { CONSUL, ETCD } from "./versions.ts";

export const etcd: Server<"etcd"> = {
  name: "etcd",
  recipe: ETCD,
  async prepare({ directory, freePort }) {
    const port = await freePort();
    const clients = `http://${HOST}:${port}`;
    const peers = `http://${HOST}:${await freePort()}`;
    return {
      args: [
        "--name=millrace",
        `--data-dir=${join(directory, "data")}`,
        `--listen-client-urls=${clients}`,
        `--advertise-client-urls=${clients}`,
        `--listen-peer-urls=${peers}`,
        `--initial-advertise-peer-urls=${peers}`,
        `--initial-cluster=millrace=${peers}`,
      ],
      port,
      service: { endpoint: clients },
      ready: async () => {
        const body = JSON.stringify({ key: Buffer.from("ready").toString("base64") });
        await request(`${clients}/v3/kv/range`, { method: "POST", body });
      },
    };
  },
};

export const consul: Server<"consul"> = {
  name: "consul",
  recipe: CONSUL,
  async prepare({ freePort }) {
    const port = await freePort();
    const ports = {
      http: port,
      server: await freePort(),
      serf_lan: await freePort(),
      serf_wan: await freePort(),
      dns: -1,
      grpc: -1,
    };
    const endpoint = `http://${HOST}:${port}`;
    const settings = JSON.stringify({ ports, disable_update_check: true });
    return {
      args: [
        "agent",
        "-dev",
        "-bind",
        HOST,
        "-client",
        HOST,
        "-node",
        "millrace",
        "-hcl",
        settings,
      ],
      port,
      service: { endpoint },
      ready: async () => {
        // A session can be had only once there is a leader and the agent is one of its members.
        const answer = await request(`${endpoint}/v1/session/create`, { method: "PUT" });
        const { ID } = JSON.parse(answer) as { readonly ID: string };
        await request(`${endpoint}/v1/session/destroy/${ID}`, { method: "PUT" });
      },
    };
  },
};
