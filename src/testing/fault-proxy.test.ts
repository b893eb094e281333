/** The fault proxy before a small HTTP server that keeps what is put into it, and before one that echoes bytes. */
import assert from "node:assert/strict";
import { once } from "node:events";
import { Agent, createServer, request, type IncomingMessage, type Server } from "node:http";
import { connect, createServer as createTcpServer, type AddressInfo, type Socket } from "node:net";
import { describe, it } from "node:test";
import { FaultProxy, type FaultProxyOptions } from "./fault-proxy.ts";
import {
  seededHttpFaults,
  seededTcpFaults,
  type HttpFault,
  type HttpPlan,
  type ProxyRequest,
} from "./fault-proxy/plan.ts";
import { describeRequest, RequestLog } from "./fault-proxy/request-log.ts";

interface Seen {
  readonly method: string;
  readonly url: string;
  readonly rawHeaders: readonly string[];
  readonly sizeBytes: number;
}

/** `PUT`, `GET`, `HEAD` and `DELETE` of paths, and `GET /?list-type=2`. Refuses to read what is put to `/full`. */
class SmallStore implements AsyncDisposable {
  readonly objects = new Map<string, Buffer>();
  readonly seen: Seen[] = [];
  readonly server: Server = createServer((asked, response) => {
    const { method = "", url = "", rawHeaders } = asked;
    if (url === "/full") {
      response.writeHead(507, { "Content-Length": 0 }).end();
      return;
    }
    const chunks: Buffer[] = [];
    asked.on("data", (chunk: Buffer) => chunks.push(chunk));
    asked.on("end", () => {
      const body = Buffer.concat(chunks);
      this.seen.push({ method, url, rawHeaders, sizeBytes: body.length });
      if (method === "PUT") this.objects.set(url, body);
      if (method === "DELETE") this.objects.delete(url);
      if (method === "PUT" || method === "DELETE") {
        response.writeHead(method === "PUT" ? 201 : 204, "as wished", { ETag: "x" }).end();
        return;
      }
      const found = url.startsWith("/?list-type")
        ? Buffer.from([...this.objects.keys()].join(" "))
        : this.objects.get(url);
      response.writeHead(found === undefined ? 404 : 200, {
        "X-Twice": ["a", "b"],
        "Content-Length": found?.length ?? 0,
      });
      response.end(method === "HEAD" ? undefined : found);
    });
  });

  async open(): Promise<this> {
    this.server.listen(0, "127.0.0.1");
    await once(this.server, "listening");
    return this;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.server.closeAllConnections();
    this.server.close();
    await once(this.server, "close");
  }
}

interface Answer {
  readonly status: number;
  readonly message: string;
  readonly headers: IncomingMessage["headers"];
  readonly body: Buffer;
}

/** A store, a proxy before it, and a client of the proxy. */
class Scene implements AsyncDisposable {
  readonly store: SmallStore;
  readonly proxy: FaultProxy;
  readonly agent: Agent = new Agent({ keepAlive: true, maxSockets: 1 });

  constructor(store: SmallStore, proxy: FaultProxy) {
    this.store = store;
    this.proxy = proxy;
  }

  static async open(options: Partial<FaultProxyOptions> = {}): Promise<Scene> {
    const store = await new SmallStore().open();
    const { port } = store.server.address() as AddressInfo;
    const target = { host: "127.0.0.1", port };
    return new Scene(store, await FaultProxy.open({ target, level: "http", ...options }));
  }

  /** Breaks the next requests, in order. */
  breakNext(...faults: readonly (HttpFault | undefined)[]): void {
    const left = [...faults];
    this.proxy.httpPlan = () => left.shift();
  }

  /** Rejects when the connection breaks before the whole answer was there. */
  async ask(
    method: string,
    path: string,
    body?: Buffer | readonly Buffer[],
    headers: Readonly<Record<string, string>> = {},
  ): Promise<Answer> {
    const { host, port } = this.proxy.endpoint;
    const asked = request({ host, port, method, path, headers, agent: this.agent });
    asked.on("error", () => {}); // `answered` rejects with it, or reading the answer does.
    const answered = once(asked, "response") as Promise<[IncomingMessage]>;
    if (Array.isArray(body)) for (const piece of body as Buffer[]) asked.write(piece);
    asked.end(Buffer.isBuffer(body) ? body : undefined);
    const [answer] = await answered;
    const chunks = (await Array.fromAsync(answer)) as Buffer[];
    const { statusCode = 0, statusMessage = "" } = answer;
    return {
      status: statusCode,
      message: statusMessage,
      headers: answer.headers,
      body: Buffer.concat(chunks),
    };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.agent.destroy();
    await this.proxy[Symbol.asyncDispose]();
    await this.store[Symbol.asyncDispose]();
  }
}

const BIG = Buffer.alloc(300_000, "0123456789");

describe("FaultProxy at the request level", () => {
  it("passes requests and answers unchanged, the Host header included", async () => {
    await using scene = await Scene.open();
    const headers = { Host: "bucket.example:81", "X-Mixed-Case": "y" };
    const put = await scene.ask("PUT", "/a%20b?part=1&x-id=P", BIG, headers);
    assert.deepEqual([put.status, put.headers["etag"]], [201, "x"]);
    const [seen] = scene.store.seen;
    assert.equal(seen?.url, "/a%20b?part=1&x-id=P");
    assert.equal(seen.sizeBytes, BIG.length);
    const pairs = seen.rawHeaders.join(" ");
    assert.match(pairs, /Host bucket\.example:81/);
    assert.match(pairs, /X-Mixed-Case y/);
    assert.equal(seen.rawHeaders.filter((name) => name.toLowerCase() === "host").length, 1);
    const got = await scene.ask("GET", "/a%20b?part=1&x-id=P");
    assert.deepEqual([got.status, got.headers["x-twice"]], [200, "a, b"]);
    assert.ok(got.body.equals(BIG));
    const head = await scene.ask("HEAD", "/a%20b?part=1&x-id=P");
    assert.deepEqual([head.headers["content-length"], head.body.length], [`${BIG.length}`, 0]);
    assert.equal((await scene.ask("DELETE", "/a")).status, 204);
    assert.equal((await scene.ask("GET", "/none")).status, 404);
    // One connection of the client was enough.
    assert.equal(scene.proxy.traffic.connections, 1);
  });

  it("calls the server by its own name where it is told to", async () => {
    await using scene = await Scene.open({ hostHeader: "target" });
    await scene.ask("PUT", "/a", BIG, { Host: "bucket.example:81" });
    const { port } = scene.store.server.address() as AddressInfo;
    const headers = scene.store.seen[0]?.rawHeaders.join(" ") ?? "";
    assert.match(headers, new RegExp(`^Host 127.0.0.1:${port} `));
    assert.doesNotMatch(headers, /example/);
  });

  it("passes bodies without a length", async () => {
    await using scene = await Scene.open();
    await scene.ask("PUT", "/chunked", [BIG, BIG]);
    assert.equal(scene.store.objects.get("/chunked")?.length, 2 * BIG.length);
  });

  it("passes an answer that comes before the body was read, and goes on on the same connection", async () => {
    await using scene = await Scene.open();
    const huge = Buffer.alloc(8_000_000);
    assert.equal((await scene.ask("PUT", "/full", huge)).status, 507);
    assert.equal((await scene.ask("PUT", "/a", BIG)).status, 201);
    assert.equal(scene.proxy.traffic.connections, 1);
  });

  it("breaks the connection when there is no server", async () => {
    await using scene = await Scene.open({ target: { host: "127.0.0.1", port: 1 } });
    await assert.rejects(scene.ask("GET", "/a"), { code: "ECONNRESET" });
    assert.equal(scene.proxy.log.requests[0]?.serverStatus, undefined);
  });

  it("keeps the bodies that it is asked to keep", async () => {
    await using scene = await Scene.open({ keepsBody: (path) => path === "/a" });
    await scene.ask("PUT", "/a", BIG);
    await scene.ask("PUT", "/b", BIG);
    const bodies = scene.proxy.log.requests.map(({ requestBody }) => requestBody);
    assert.deepEqual(bodies, [Buffer.from(BIG), undefined]);
  });

  it("logs what was asked, what was told and what really happened", async () => {
    await using scene = await Scene.open({ name: "first" });
    scene.breakNext(undefined, { kind: "lost-answer" });
    await scene.ask("PUT", "/a?token=secret", BIG);
    await assert.rejects(scene.ask("PUT", "/b", BIG), { code: "ECONNRESET" });
    await scene.ask("GET", "/?list-type=2&prefix=x");
    const { requests } = scene.proxy.log;
    const facts = requests.map((one) => [one.type, one.path, one.status, one.serverStatus]);
    assert.deepEqual(facts, [
      ["PUT", "/a", 201, 201],
      ["PUT", "/b", undefined, 201],
      ["LIST", "/", 200, 200],
    ]);
    const sizes = requests.map((one) => [one.requestBytes, one.answerBytes]);
    assert.deepEqual(sizes, [
      [BIG.length, 0],
      [BIG.length, 0],
      [0, "/a?token=secret /b".length],
    ]);
    for (const { startMs, answeredMs = 0, endMs = 0 } of requests)
      assert.ok(answeredMs >= startMs && endMs >= answeredMs);
    assert.deepEqual(scene.proxy.log.countByType(), { PUT: 2, LIST: 1 });
    assert.deepEqual(scene.proxy.log.countByType(2), { LIST: 1 });
    const lines = requests.map(describeRequest).join("\n");
    assert.match(lines, /^first PUT \/a\?token: 201, 300000 bytes up, 0 down, \d+ ms$/m);
    assert.match(lines, /^first PUT \/b: 201 told as undefined, .* \d+ ms \(lost-answer\)$/m);
    assert.doesNotMatch(lines, /secret/);
  });
});

describe("FaultProxy breaks requests", () => {
  it("status: forwards nothing and says when to come again", async () => {
    await using scene = await Scene.open();
    scene.breakNext({ kind: "status", status: 429, retryAfterSeconds: 7 }, { kind: "status" });
    const answer = await scene.ask("PUT", "/a", BIG);
    assert.deepEqual([answer.status, answer.headers["retry-after"]], [429, "7"]);
    assert.equal((await scene.ask("HEAD", "/a")).status, 503);
    assert.equal(scene.store.seen.length, 0);
    assert.deepEqual(scene.proxy.faults, { status: 2 });
  });

  it("lost-answer: the server has done it", async () => {
    await using scene = await Scene.open();
    scene.breakNext({ kind: "lost-answer" });
    await assert.rejects(scene.ask("PUT", "/a", BIG), { code: "ECONNRESET" });
    assert.ok(scene.store.objects.has("/a"));
  });

  it("cut-request: the server never sees the end", async () => {
    await using scene = await Scene.open();
    const cuts = [0, 1000, 10_000_000].map((after) => ({ kind: "cut-request", after }) as const);
    scene.breakNext(...cuts, { kind: "cut-request" });
    for (const _ of cuts) {
      await assert.rejects(scene.ask("PUT", "/a", BIG), { code: /ECONNRESET|EPIPE/ });
    }
    const passed = scene.proxy.log.requests.map(({ requestBytes }) => requestBytes);
    assert.deepEqual(passed, [0, 1000, BIG.length - 1]);
    // Nothing to cut in an empty body.
    assert.equal((await scene.ask("PUT", "/a", Buffer.alloc(0))).status, 201);
    assert.equal(scene.store.seen.length, 1);
    assert.deepEqual(scene.proxy.faults, { "cut-request": 3 });
  });

  for (const kind of ["cut-answer", "truncate"] as const) {
    it(`${kind}: the body is shorter than promised`, async () => {
      await using scene = await Scene.open();
      await scene.ask("PUT", "/a", BIG);
      await scene.ask("PUT", "/empty", Buffer.alloc(0));
      const cuts = [0, 1000, 10_000_000].map((after) => ({ kind, after }));
      scene.breakNext(...cuts, { kind });
      for (const _ of cuts) {
        await assert.rejects(scene.ask("GET", "/a"), {
          code: /ECONNRESET|ERR_STREAM_PREMATURE_CLOSE/,
        });
      }
      const told = scene.proxy.log.requests.slice(2).map((one) => [one.status, one.answerBytes]);
      assert.deepEqual(
        told,
        [0, 1000, BIG.length - 1].map((bytes) => [200, bytes]),
      );
      assert.equal((await scene.ask("GET", "/empty")).status, 200);
      assert.deepEqual(scene.proxy.faults, { [kind]: 3 });
    });
  }

  it("drip and delay: everything arrives, late", async () => {
    await using scene = await Scene.open();
    await scene.ask("PUT", "/a", BIG);
    scene.breakNext(
      { kind: "drip", after: 4000, pieceBytes: 1000, delayMs: 20 },
      { kind: "delay", delayMs: 80 },
    );
    for (const _ of [1, 2]) {
      const startMs = performance.now();
      assert.ok((await scene.ask("GET", "/a")).body.equals(BIG));
      assert.ok(performance.now() - startMs > 75);
    }
    assert.deepEqual(scene.proxy.faults, { drip: 1, delay: 1 });
  });

  it("hang: no answer until the proxy heals, then a reset", async () => {
    await using scene = await Scene.open();
    scene.proxy.httpPlan = () => ({ kind: "hang" });
    const hanging = assert.rejects(scene.ask("GET", "/a"), { code: "ECONNRESET" });
    await until(() => scene.proxy.countFaults === 1);
    scene.proxy.heal();
    await hanging;
    assert.equal((await scene.ask("GET", "/a")).status, 404);
    scene.breakNext({ kind: "hang", delayMs: 10 });
    await assert.rejects(scene.ask("GET", "/a"), { code: "ECONNRESET" });
    assert.equal(scene.store.seen.length, 1);
  });

  it("stale-list: the oldest answer to the same listing", async () => {
    await using scene = await Scene.open();
    const list = async (): Promise<string> =>
      (await scene.ask("GET", "/?list-type=2")).body.toString();
    scene.proxy.httpPlan = () => ({ kind: "stale-list" });
    assert.equal(await list(), "");
    assert.deepEqual(scene.proxy.faults, {}, "nothing older is remembered");
    await scene.ask("PUT", "/a", BIG);
    assert.equal(await list(), "");
    scene.proxy.heal();
    assert.equal(await list(), "/a");
    assert.deepEqual(scene.proxy.faults, { "stale-list": 1 });
    assert.equal((await scene.ask("GET", "/a")).body.length, BIG.length);
  });

  it("notices a client that goes away, and closes with requests in flight", async () => {
    const scene = await Scene.open();
    scene.proxy.httpPlan = () => ({ kind: "hang" });
    const { host, port } = scene.proxy.endpoint;
    const impatient = request({ host, port, path: "/a", agent: false });
    impatient.on("error", () => {});
    impatient.end();
    await until(() => scene.proxy.countFaults === 1);
    impatient.destroy();
    await until(() => scene.proxy.log.requests[0]?.endMs !== undefined);
    const hanging = assert.rejects(scene.ask("GET", "/b"), { code: "ECONNRESET" });
    await until(() => scene.proxy.countFaults === 2);
    await scene[Symbol.asyncDispose]();
    await hanging;
  });
});

describe("FaultProxy at the connection level", () => {
  /** An echo behind a proxy. */
  async function openEcho(): Promise<{ readonly proxy: FaultProxy } & AsyncDisposable> {
    const sockets = new Set<Socket>();
    const server = createTcpServer((socket) => {
      sockets.add(socket);
      socket.on("error", () => {}); // Resets are what is tested.
      socket.pipe(socket);
    });
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    const { port } = server.address() as AddressInfo;
    const proxy = await FaultProxy.open({ target: { host: "127.0.0.1", port }, level: "tcp" });
    return {
      proxy,
      [Symbol.asyncDispose]: async () => {
        await proxy[Symbol.asyncDispose]();
        for (const socket of sockets) socket.destroy();
        server.close();
      },
    };
  }

  /** Sends bytes, ends, and collects what comes back until the end or the break. */
  async function echo(proxy: FaultProxy, bytes: Buffer): Promise<{ count: number; code?: string }> {
    const socket = connect(proxy.endpoint);
    let count = 0;
    socket.on("data", (chunk: Buffer) => (count += chunk.length));
    socket.end(bytes);
    try {
      await once(socket, "close");
      return { count };
    } catch (error) {
      return { count, code: (error as NodeJS.ErrnoException).code ?? "none" };
    }
  }

  it("passes bytes and ends both ways", async () => {
    await using scene = await openEcho();
    assert.deepEqual(await echo(scene.proxy, BIG), { count: BIG.length });
    const { connections, upBytes, downBytes } = scene.proxy.traffic;
    assert.deepEqual([connections, upBytes, downBytes], [1, BIG.length, BIG.length]);
  });

  it("refuse and reset: after so many bytes in either direction", async () => {
    await using scene = await openEcho();
    scene.proxy.tcpPlan = () => ({ kind: "refuse" });
    assert.match((await echo(scene.proxy, BIG)).code ?? "", /ECONNRESET|EPIPE/);
    for (const direction of ["up", "down"] as const) {
      scene.proxy.tcpPlan = () => ({ kind: "reset", direction, after: 1234 });
      const { count, code } = await echo(scene.proxy, BIG);
      assert.match(code ?? "", /ECONNRESET|EPIPE/);
      assert.ok(count <= 1234, `${count} bytes came back`);
    }
    assert.deepEqual(scene.proxy.faults, { refuse: 1, reset: 2 });
  });

  it("stall: opens and never answers, until it heals or the time is over", async () => {
    await using scene = await openEcho();
    scene.proxy.tcpPlan = () => ({ kind: "stall", direction: "up" });
    const stalled = echo(scene.proxy, BIG);
    await until(() => scene.proxy.countFaults === 1);
    assert.equal(scene.proxy.traffic.upBytes, 0);
    scene.proxy.heal();
    assert.match((await stalled).code ?? "", /ECONNRESET|EPIPE/);
    scene.proxy.tcpPlan = () => ({ kind: "stall", delayMs: 10, after: 5 });
    assert.match((await echo(scene.proxy, BIG)).code ?? "", /ECONNRESET|EPIPE/);
    scene.proxy.heal();
    assert.deepEqual(await echo(scene.proxy, BIG), { count: BIG.length });
  });

  it("latency and bandwidth: everything arrives, late; healing ends it on open connections", async () => {
    await using scene = await openEcho();
    scene.proxy.tcpPlan = () => ({ kind: "latency", delayMs: 40 });
    let startMs = performance.now();
    assert.deepEqual(await echo(scene.proxy, Buffer.from("x")), { count: 1 });
    assert.ok(performance.now() - startMs > 75, "a delay each way");
    scene.proxy.tcpPlan = () => ({ kind: "bandwidth", bytesPerSecond: 3_000_000 });
    startMs = performance.now();
    assert.deepEqual(await echo(scene.proxy, BIG), { count: BIG.length });
    assert.ok(performance.now() - startMs > 95, "a tenth of a second's bytes");
    scene.proxy.tcpPlan = () => ({ kind: "bandwidth", bytesPerSecond: 1 });
    const slow = echo(scene.proxy, BIG);
    await until(() => scene.proxy.faults.bandwidth === 2);
    scene.proxy.heal();
    assert.deepEqual(await slow, { count: BIG.length });
  });

  it("is down and comes up again on the same port", async () => {
    await using scene = await openEcho();
    const open = connect(scene.proxy.endpoint);
    await once(open, "connect");
    const broken = assert.rejects(once(open, "close"), { code: "ECONNRESET" });
    await until(() => scene.proxy.traffic.connections === 1);
    await scene.proxy.goDown();
    await broken;
    assert.equal((await echo(scene.proxy, BIG)).code, "ECONNREFUSED");
    await scene.proxy.comeUp();
    assert.deepEqual(await echo(scene.proxy, BIG), { count: BIG.length });
    const again = connect(scene.proxy.endpoint);
    await until(() => scene.proxy.traffic.connections === 3);
    const reset = assert.rejects(once(again, "close"), { code: "ECONNRESET" });
    scene.proxy.resetConnections();
    await reset;
    assert.deepEqual(scene.proxy.faults, { reset: 1 });
  });

  it("has a plan for requests only where it understands them", async () => {
    await using scene = await openEcho();
    assert.throws(() => (scene.proxy.httpPlan = () => undefined), /no plan for requests/);
  });

  it("serves faults of both levels at once", async () => {
    await using scene = await Scene.open();
    scene.proxy.tcpPlan = ({ index }) => (index === 0 ? { kind: "refuse" } : undefined);
    scene.breakNext({ kind: "status" });
    await assert.rejects(scene.ask("GET", "/a"));
    assert.equal((await scene.ask("GET", "/a")).status, 503);
    assert.deepEqual(scene.proxy.faults, { refuse: 1, status: 1 });
  });
});

describe("seededHttpFaults() and seededTcpFaults()", () => {
  const requests: ProxyRequest[] = Array.from({ length: 400 }, (_, index) => ({
    method: ["GET", "PUT", "DELETE"][index % 3] ?? "",
    path: `/bucket/${index >> 1}`,
    query: new URLSearchParams(),
    isList: index % 9 === 0,
    attempt: index % 4,
  }));
  const drawn = (plan: HttpPlan): (HttpFault | undefined)[] => requests.map(plan);

  it("meet the same requests with the same faults", () => {
    const options = { seed: 5, rate: 0.4 };
    assert.deepEqual(drawn(seededHttpFaults(options)), drawn(seededHttpFaults(options)));
    assert.notDeepEqual(
      drawn(seededHttpFaults(options)),
      drawn(seededHttpFaults({ ...options, seed: 6 })),
    );
    const plan = seededTcpFaults(options);
    const again = seededTcpFaults(options);
    const indexes = Array.from({ length: 100 }, (_, index) => ({ index }));
    assert.deepEqual(indexes.map(plan), indexes.map(again));
    assert.ok(new Set(indexes.map((one) => plan(one)?.kind)).size === 6, "every kind, and none");
  });

  it("break about as many as asked for, in every way, and leave the last attempt alone", () => {
    const faults = drawn(seededHttpFaults({ seed: 1, rate: 0.4 }));
    const count = faults.filter((fault) => fault !== undefined).length;
    assert.ok(count > 120 && count < 200, `${count} of 400`);
    assert.equal(new Set(faults.map((fault) => fault?.kind)).size, 10);
    assert.deepEqual(
      new Set(drawn(seededHttpFaults({ seed: 1, rate: 1, maxAttempts: 0 }))),
      new Set([undefined]),
    );
  });

  it("know a request by the name it is given", () => {
    const nameOf = ({ path }: ProxyRequest): string => path.replace(/^\/[^/]+/, "");
    const plan = seededHttpFaults({ seed: 2, rate: 0.5, nameOf });
    const moved = requests.map((one) => ({ ...one, path: one.path.replace("bucket", "other") }));
    assert.deepEqual(moved.map(plan), drawn(plan));
  });
});

describe("RequestLog", () => {
  it("overwritten() finds what was written twice, whatever the client was told", async () => {
    await using scene = await Scene.open();
    const put = ({ method, path }: { method: string; path: string }): string | undefined =>
      method === "PUT" ? path : undefined;
    scene.breakNext({ kind: "status" }, { kind: "lost-answer" });
    await scene.ask("PUT", "/a", BIG);
    await assert.rejects(scene.ask("PUT", "/a", BIG));
    await scene.ask("PUT", "/b", BIG);
    await scene.ask("DELETE", "/b");
    await scene.ask("PUT", "/b", BIG);
    assert.deepEqual(scene.proxy.log.overwritten(put), []);
    await scene.ask("PUT", "/a", BIG);
    assert.deepEqual(scene.proxy.log.overwritten(put), ["/a"]);
  });

  it("concurrentWriters() names proxies whose changes overlapped", async () => {
    const log = new RequestLog();
    await using first = await Scene.open({ name: "first", log });
    const { port } = first.store.server.address() as AddressInfo;
    const target = { host: "127.0.0.1", port };
    const proxy = await FaultProxy.open({ target, level: "http", name: "second", log });
    const other = new Scene(first.store, proxy);
    await first.ask("PUT", "/a", BIG);
    await other.ask("PUT", "/b", BIG);
    assert.deepEqual(log.concurrentWriters(), []);
    first.breakNext({ kind: "delay", delayMs: 200 });
    const slow = first.ask("PUT", "/c", BIG);
    await until(() => first.proxy.countFaults === 1);
    await other.ask("GET", "/a");
    assert.deepEqual(log.concurrentWriters(), []);
    await other.ask("PUT", "/d", BIG);
    await slow;
    assert.deepEqual(log.concurrentWriters(), ["first and second"]);
    other.agent.destroy();
    await proxy[Symbol.asyncDispose]();
  });
});

async function until(holds: () => boolean): Promise<void> {
  for (const endMs = performance.now() + 10_000; !holds();) {
    assert.ok(performance.now() < endMs, "waited in vain");
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}
