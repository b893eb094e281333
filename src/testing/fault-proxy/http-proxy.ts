/** The request level of a fault proxy: an HTTP server that forwards to another, logs, and breaks what its plan picks. */
import { once } from "node:events";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import type { Clock } from "../../base/clock.ts";
import { HttpExchange } from "./http-exchange.ts";
import { isListRequest, ListMemory } from "./lists.ts";
import { appliesTo, NO_HTTP_FAULTS, type HttpFault, type HttpPlan } from "./plan.ts";
import type { OpenRequest, RequestLog } from "./request-log.ts";
import type { Endpoint } from "./tcp-proxy.ts";

export interface HttpProxyOptions {
  readonly target: Endpoint;
  readonly hostHeader: "unchanged" | "target";
  /** Name in the log. */
  readonly name: string;
  readonly log: RequestLog;
  /** Of which requests the log has the body. */
  readonly keepsBody: (path: string) => boolean;
  readonly clock: Clock;
  readonly onFault: (fault: HttpFault) => void;
}

export class HttpProxy implements AsyncDisposable {
  /** For requests that come from now on. */
  plan: HttpPlan = NO_HTTP_FAULTS;
  readonly #options: HttpProxyOptions;
  readonly #server: Server;
  readonly #lists = new ListMemory();
  readonly #attempts = new Map<string, number>();
  readonly #closed = new AbortController();
  #healed = new AbortController();

  private constructor(options: HttpProxyOptions) {
    this.#options = options;
    // Clients decide how long a connection is kept, and how long anything may take.
    const limits = { keepAliveTimeout: 0, requestTimeout: 0, headersTimeout: 0 };
    this.#server = createServer({ ...limits, noDelay: true }, (request, response) => {
      void this.#exchange(request, response);
    });
  }

  static async open(options: HttpProxyOptions): Promise<HttpProxy> {
    const proxy = new HttpProxy(options);
    proxy.#server.listen(0, "127.0.0.1");
    await once(proxy.#server, "listening");
    return proxy;
  }

  get endpoint(): Endpoint {
    const { address, port } = this.#server.address() as AddressInfo;
    return { host: address, port };
  }

  /** No faults any more; what waits for its end, hangs first of all, goes on. */
  heal(): void {
    this.plan = NO_HTTP_FAULTS;
    this.#healed.abort();
    this.#healed = new AbortController();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#closed.abort();
    const closed = new Promise<void>((resolve) => this.#server.close(() => resolve()));
    this.#server.closeAllConnections();
    await closed;
  }

  async #exchange(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { target, hostHeader, log, clock, onFault } = this.#options;
    const entry = this.#entryOf(request);
    log.add(entry);
    const fault = this.#choose(entry);
    const signals = { healed: this.#healed.signal, closed: this.#closed.signal };
    const parts = { target, hostHeader, request, response, entry, fault, lists: this.#lists };
    await new HttpExchange({ ...parts, ...signals, clock, onFault }).run();
  }

  #entryOf(request: IncomingMessage): OpenRequest {
    const { method = "GET", url = "/", headers } = request;
    const [path = "/", ...rest] = url.split("?");
    const query = new URLSearchParams(rest.join("?"));
    const depth = headers["depth"]?.toString();
    return {
      via: this.#options.name,
      type: isListRequest(method, { path, query, depth }) ? "LIST" : method,
      method,
      path,
      query,
      destination: headers["destination"]?.toString(),
      status: undefined,
      serverStatus: undefined,
      requestBytes: 0,
      answerBytes: 0,
      requestBody: this.#options.keepsBody(path) ? Buffer.alloc(0) : undefined,
      startMs: this.#options.clock.monotonic(),
      answeredMs: undefined,
      endMs: undefined,
      fault: undefined,
    };
  }

  #choose({ method, path, query, type }: OpenRequest): HttpFault | undefined {
    const name = `${method} ${path}?${query.toString()}`;
    const attempt = this.#attempts.get(name) ?? 0;
    this.#attempts.set(name, attempt + 1);
    const request = { method, path, query, isList: type === "LIST", attempt };
    const fault = this.plan(request);
    return fault !== undefined && appliesTo(fault.kind, request) ? fault : undefined;
  }
}
