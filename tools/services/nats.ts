/** NATS with JetStream, twice: open to all, and with user and password. */
import { join } from "node:path";
import { writeFileSync } from "node:fs";
import { request, secret } from "./http.ts";
import { HOST, type Place, type Server } from "./server.ts";
import { NATS_SERVER } from "./versions.ts";

interface Configured {
  readonly args: readonly string[];
  readonly port: number;
  readonly ready: () => Promise<void>;
}

export const nats: Server<"nats"> = {
  name: "nats",
  recipe: NATS_SERVER,
  async prepare(place) {
    const configured = await configure(place, "");
    return { ...configured, service: { url: `nats://${HOST}:${configured.port}` } };
  },
};

export const natsAuth: Server<"nats-auth"> = {
  name: "nats-auth",
  recipe: NATS_SERVER,
  async prepare(place) {
    const user = "millrace";
    const password = secret();
    const rule = `authorization { user: "${user}", password: "${password}" }\n`;
    const configured = await configure(place, rule);
    const url = `nats://${HOST}:${configured.port}`;
    return { ...configured, service: { url, user, password } };
  },
};

async function configure({ directory, freePort }: Place, rules: string): Promise<Configured> {
  const port = await freePort();
  const monitorPort = await freePort();
  const config = join(directory, "nats.conf");
  writeFileSync(
    config,
    [
      `listen: "${HOST}:${port}"`,
      `http: "${HOST}:${monitorPort}"`,
      `jetstream { store_dir: "${join(directory, "data")}" }`,
      rules,
    ].join("\n"),
    { mode: 0o600 },
  );
  const ready = async (): Promise<void> => {
    const url = `http://${HOST}:${monitorPort}/healthz?js-enabled-only=true`;
    const text = await request(url);
    if (!text.includes('"ok"')) throw new Error(`GET ${url}: ${text}`);
  };
  return { args: ["--config", config], port, ready };
}
