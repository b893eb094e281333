/** A NATS server of a test's own, with the configuration that it wants; killed and started again at will. */
import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { answers, servicesDirectory } from "./services.ts";

const START_MS = 20_000;
const POLL_MS = 25;

/** The program, or why there is none. */
export function natsProgram(): { readonly path: string } | string {
  const path = join(servicesDirectory(), "bin", "nats-server");
  return existsSync(path) ? { path } : "no nats-server: npm run services install nats";
}

export class NatsServer implements AsyncDisposable {
  /** Of its data; its configuration may name files in it. */
  readonly directory: string = mkdtempSync(join(tmpdir(), "millrace-nats-"));
  readonly port: number;
  #child: ChildProcess | undefined;

  private constructor(port: number) {
    this.port = port;
  }

  /** Starts a server with JetStream and what `configure` gives, which may write files into `directory` before. */
  static async start(configure: (directory: string) => string = () => ""): Promise<NatsServer> {
    const server = new NatsServer(await freePort());
    const text = [
      `listen: "127.0.0.1:${server.port}"`,
      `jetstream { store_dir: "${join(server.directory, "data")}" }`,
      configure(server.directory),
    ].join("\n");
    writeFileSync(join(server.directory, "nats.conf"), text);
    await server.begin();
    return server;
  }

  get host(): string {
    return `127.0.0.1:${this.port}`;
  }

  /** Starts it, or starts it again after `kill`. */
  async begin(): Promise<void> {
    const program = natsProgram();
    if (typeof program === "string") throw new Error(program);
    const args = ["--config", join(this.directory, "nats.conf")];
    const child = spawn(program.path, args, { stdio: ["ignore", "ignore", "pipe"] });
    let log = "";
    child.stderr.on("data", (data: Buffer) => (log += data.toString()));
    this.#child = child;
    for (let waitedMs = 0; !(await answers(this.port)); waitedMs += POLL_MS) {
      if (child.exitCode !== null || waitedMs > START_MS)
        throw new Error(`nats-server does not start: ${log}`);
      await delay(POLL_MS);
    }
  }

  /** Ends it at once; what it stored stays. */
  async kill(signal: "SIGKILL" | "SIGTERM" = "SIGKILL"): Promise<void> {
    const child = this.#child;
    this.#child = undefined;
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return;
    const exited = once(child, "exit");
    child.kill(signal);
    await exited;
  }

  /** Stops and continues it, as if the network were gone. */
  pause(): void {
    this.#child?.kill("SIGSTOP");
  }

  resume(): void {
    this.#child?.kill("SIGCONT");
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.kill();
    rmSync(this.directory, { recursive: true, force: true });
  }
}

async function freePort(): Promise<number> {
  const server = createServer();
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  server.close();
  if (address === null || typeof address === "string") throw new Error("no port");
  return address.port;
}
