/**
 * A web server on 127.0.0.1 that answers what a test tells it, for answers that no emulator gives, and that remembers what it
 * was asked.
 */
import { once } from "node:events";
import { createServer } from "node:http";
import { createServer as createTcpServer, type AddressInfo, type Socket } from "node:net";
import { buffer } from "node:stream/consumers";

export interface AskedRequest {
  readonly method: string;
  /** Path with query. */
  readonly path: string;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly body: Uint8Array;
}

export interface ScriptedAnswer {
  readonly status?: number | undefined;
  readonly headers?: Readonly<Record<string, string>> | undefined;
  readonly body?: string | Uint8Array | undefined;
}

export interface ScriptedServer {
  /** `http://127.0.0.1:PORT`. */
  readonly endpoint: string;
  /** In the order in which they were complete. */
  readonly requests: readonly AskedRequest[];
  [Symbol.asyncDispose](): Promise<void>;
}

/** Starts a server; `answer` is asked for each request, and `undefined` breaks the connection off. */
export async function scriptedServer(
  answer: (request: AskedRequest) => ScriptedAnswer | undefined,
): Promise<ScriptedServer> {
  const requests: AskedRequest[] = [];
  const server = createServer((incoming, outgoing) => {
    const reply = async (): Promise<void> => {
      const { method = "", url: path = "", headers } = incoming;
      const request = { method, path, headers, body: await buffer(incoming) };
      requests.push(request);
      const reply = answer(request);
      if (reply === undefined) return void incoming.socket.destroy();
      outgoing.writeHead(reply.status ?? 200, reply.headers);
      outgoing.end(reply.body);
    };
    // The client went away in the middle, or the test's script failed: either way it sees a broken connection.
    reply().catch(() => incoming.socket.destroy());
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return {
    endpoint: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    requests,
    async [Symbol.asyncDispose]() {
      if (!server.listening) return;
      server.closeAllConnections();
      server.close();
      await once(server, "close");
    },
  };
}

export interface SilentServer {
  readonly endpoint: string;
  /** Resolves when the first connection was made. */
  readonly reached: Promise<void>;
  /** Resolves when the other side ended the first connection. */
  readonly left: Promise<void>;
  [Symbol.asyncDispose](): Promise<void>;
}

/** Takes requests and says nothing, for calls that have to be ended from outside. With `beginning`, it says that and no more. */
export async function silentServer(beginning = ""): Promise<SilentServer> {
  const reached = Promise.withResolvers<void>();
  const left = Promise.withResolvers<void>();
  const sockets = new Set<Socket>();
  const server = createTcpServer((socket) => {
    sockets.add(socket);
    socket.once("data", () => {
      socket.write(beginning);
      reached.resolve();
    });
    socket.on("error", () => left.resolve());
    socket.on("close", () => left.resolve());
    socket.resume();
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return {
    endpoint: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    reached: reached.promise,
    left: left.promise,
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy();
      server.close();
      await once(server, "close");
    },
  };
}
