/**
 * A proxy on a free port of the loopback interface, in front of a real server, that breaks what its plans pick and counts
 * and logs what passes. The connection level serves any protocol; the request level serves HTTP. Both may be broken at
 * once, and plans may be replaced at any time.
 *
 * Fault model: `fault-proxy/plan.ts`, and an outage, during which connections are refused. Not modelled: bytes that change
 * on the way, which the checksums of TCP and TLS keep from happening to real stores.
 */
import { assert, defined } from "../base/assert.ts";
import type { Clock } from "../base/clock.ts";
import { systemClock } from "../platform/clock.ts";
import { HttpProxy } from "./fault-proxy/http-proxy.ts";
import type { FaultKind, HttpPlan, TcpPlan } from "./fault-proxy/plan.ts";
import { RequestLog } from "./fault-proxy/request-log.ts";
import { TcpProxy, type Endpoint, type Traffic } from "./fault-proxy/tcp-proxy.ts";

export interface FaultProxyOptions {
  readonly target: Endpoint;
  /** `tcp` knows connections alone. */
  readonly level: "tcp" | "http";
  /** Default `unchanged`, which signatures need; `target` for servers that answer under their own name alone. */
  readonly hostHeader?: "unchanged" | "target" | undefined;
  /** Name in the log; default `proxy`. */
  readonly name?: string | undefined;
  /** One that several proxies write into; default one of its own. */
  readonly log?: RequestLog | undefined;
  /** Paths whose request bodies the log keeps, which are small; default none. */
  readonly keepsBody?: ((path: string) => boolean) | undefined;
  /** Default: the system's. */
  readonly clock?: Clock | undefined;
}

export class FaultProxy implements AsyncDisposable {
  /** What came through at the request level; empty for `tcp`. */
  readonly log: RequestLog;
  readonly #counts = new Map<FaultKind, number>();
  #http: HttpProxy | undefined;
  #tcp: TcpProxy | undefined;

  private constructor(log: RequestLog) {
    this.log = log;
  }

  static async open(options: FaultProxyOptions): Promise<FaultProxy> {
    const { level, target, name = "proxy", clock = systemClock } = options;
    const { hostHeader = "unchanged", keepsBody = () => false } = options;
    const proxy = new FaultProxy(options.log ?? new RequestLog());
    const onFault = ({ kind }: { readonly kind: FaultKind }): void => {
      proxy.#counts.set(kind, (proxy.#counts.get(kind) ?? 0) + 1);
    };
    if (level === "http") {
      proxy.#http = await HttpProxy.open({
        target,
        hostHeader,
        name,
        log: proxy.log,
        keepsBody,
        clock,
        onFault,
      });
    }
    proxy.#tcp = await TcpProxy.open(proxy.#http?.endpoint ?? target, clock, onFault);
    return proxy;
  }

  get endpoint(): Endpoint {
    return this.#connections.endpoint;
  }

  get port(): number {
    return this.endpoint.port;
  }

  /** Faults that took effect, by kind. */
  get faults(): Readonly<Partial<Record<FaultKind, number>>> {
    return Object.fromEntries(this.#counts);
  }

  get countFaults(): number {
    return [...this.#counts.values()].reduce((sum, count) => sum + count, 0);
  }

  get traffic(): Traffic {
    return this.#connections.traffic;
  }

  /** For connections that open from now on. */
  set tcpPlan(plan: TcpPlan) {
    this.#connections.plan = plan;
  }

  /** For requests that come from now on. */
  set httpPlan(plan: HttpPlan) {
    assert(this.#http !== undefined, "a proxy for connections alone has no plan for requests");
    this.#http.plan = plan;
  }

  /** An outage begins: connections are reset, new ones refused. */
  goDown(): Promise<void> {
    return this.#connections.goDown();
  }

  /** The outage is over. */
  comeUp(): Promise<void> {
    return this.#connections.comeUp();
  }

  /** Each that is open counts as a fault. */
  resetConnections(): void {
    this.#connections.resetConnections();
  }

  /** No faults any more, neither on open connections nor in running requests. Does not end an outage. */
  heal(): void {
    this.#connections.heal();
    this.#http?.heal();
  }

  /** Resets what is open. The server behind stays its owner's. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#connections[Symbol.asyncDispose]();
    await this.#http?.[Symbol.asyncDispose]();
  }

  get #connections(): TcpProxy {
    return defined(this.#tcp, "the proxy's port");
  }
}
