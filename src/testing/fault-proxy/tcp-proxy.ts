/** The connection level of a fault proxy: a port that leads to a server, or for a while does not. */
import { once } from "node:events";
import { createServer, type AddressInfo, type Server, type Socket } from "node:net";
import { sleep } from "../../base/async.ts";
import type { Clock } from "../../base/clock.ts";
import { foreignCode } from "../../errors.ts";
import { NO_TCP_FAULTS, type TcpFault, type TcpPlan } from "./plan.ts";
import { TcpLink } from "./tcp-link.ts";

export interface Endpoint {
  readonly host: string;
  readonly port: number;
}

const HOST = "127.0.0.1";
/** How long to wait for our port when somebody else was given it while it was closed. */
const REOPEN_MS = 20_000;
const REOPEN_STEP_MS = 50;

export interface Traffic {
  readonly connections: number;
  /** From the client to the server. */
  readonly upBytes: number;
  readonly downBytes: number;
}

export class TcpProxy implements AsyncDisposable {
  /** For connections that open from now on. */
  plan: TcpPlan = NO_TCP_FAULTS;
  readonly #target: Endpoint;
  readonly #clock: Clock;
  readonly #onFault: (fault: TcpFault) => void;
  readonly #links = new Set<TcpLink>();
  #server: Server | undefined;
  #port = 0;
  #connections = 0;
  #upBytes = 0;
  #downBytes = 0;

  private constructor(target: Endpoint, clock: Clock, onFault: (fault: TcpFault) => void) {
    this.#target = target;
    this.#clock = clock;
    this.#onFault = onFault;
  }

  /** Listens on a free port of the loopback interface. */
  static async open(
    target: Endpoint,
    clock: Clock,
    onFault: (fault: TcpFault) => void,
  ): Promise<TcpProxy> {
    const proxy = new TcpProxy(target, clock, onFault);
    await proxy.#listen();
    return proxy;
  }

  get endpoint(): Endpoint {
    return { host: HOST, port: this.#port };
  }

  /** Since the proxy was opened. */
  get traffic(): Traffic {
    return { connections: this.#connections, upBytes: this.#upBytes, downBytes: this.#downBytes };
  }

  get countOpen(): number {
    return this.#links.size;
  }

  /** Refuses connections, and resets those that are open, until `comeUp`. */
  async goDown(): Promise<void> {
    const server = this.#server;
    this.#server = undefined;
    const closed = server && new Promise<void>((resolve) => server.close(() => resolve()));
    for (const link of this.#links) link.reset();
    await Promise.all([closed, ...[...this.#links].map((link) => link.closed)]);
  }

  /** Listens again on the same port. */
  async comeUp(): Promise<void> {
    const endMs = this.#clock.monotonic() + REOPEN_MS;
    while (this.#server === undefined) {
      try {
        await this.#listen();
      } catch (error) {
        const isTaken = foreignCode(error) === "EADDRINUSE";
        if (!isTaken || this.#clock.monotonic() > endMs) throw error;
        await sleep(this.#clock, REOPEN_STEP_MS);
      }
    }
  }

  /** Each that is open counts as a fault. */
  resetConnections(): void {
    for (const link of this.#links) {
      this.#onFault({ kind: "reset" });
      link.reset();
    }
  }

  /** No faults any more, also on the connections that are open. */
  heal(): void {
    this.plan = NO_TCP_FAULTS;
    for (const link of this.#links) link.heal();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.goDown();
  }

  async #listen(): Promise<void> {
    const server = createServer({ allowHalfOpen: true }, (client) => this.#accept(client));
    server.listen(this.#port, HOST);
    await once(server, "listening");
    this.#port = (server.address() as AddressInfo).port;
    this.#server = server;
  }

  #accept(client: Socket): void {
    const fault = this.plan({ index: this.#connections });
    this.#connections += 1;
    const link = new TcpLink({
      client,
      target: this.#target,
      fault,
      clock: this.#clock,
      onFault: this.#onFault,
      onBytes: (direction, countBytes) => {
        if (direction === "up") this.#upBytes += countBytes;
        else this.#downBytes += countBytes;
      },
    });
    this.#links.add(link);
    void link.closed.then(() => this.#links.delete(link));
  }
}
