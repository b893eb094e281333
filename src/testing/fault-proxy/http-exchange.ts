/**
 * One HTTP request through a fault proxy: forwarded with its headers as they came (signatures cover them, the Host
 * header above all), and its answer passed back, unless the fault says otherwise.
 */
import { once } from "node:events";
import {
  request as httpRequest,
  type ClientRequest,
  type IncomingMessage,
  type ServerResponse,
} from "node:http";
import type { Clock } from "../../base/clock.ts";
import { MAX_ANSWER_BYTES, type ListMemory } from "./lists.ts";
import { pause } from "./pause.ts";
import type { HttpFault } from "./plan.ts";
import type { OpenRequest } from "./request-log.ts";
import { resetNow } from "./reset.ts";

export interface ExchangeOptions {
  readonly target: { readonly host: string; readonly port: number };
  readonly hostHeader: "unchanged" | "target";
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  readonly entry: OpenRequest;
  readonly fault: HttpFault | undefined;
  readonly lists: ListMemory;
  readonly clock: Clock;
  /** Aborted when the proxy heals. */
  readonly healed: AbortSignal;
  /** Aborted when the proxy closes. */
  readonly closed: AbortSignal;
  /** Called once, when the fault takes effect. */
  readonly onFault: (fault: HttpFault) => void;
}

const DEFAULT_STATUS = 503;
const DEFAULT_PIECE_BYTES = 1024;

export class HttpExchange {
  readonly #options: ExchangeOptions;
  readonly #entry: OpenRequest;
  /** Aborted when the answer is given, or the client gone. */
  readonly #over = new AbortController();

  constructor(options: ExchangeOptions) {
    this.#options = options;
    this.#entry = options.entry;
    options.response.once("close", () => this.#over.abort());
    // An error of either is followed by the `close` that counts.
    for (const stream of [options.request, options.response]) stream.on("error", () => {});
  }

  /** Resolves when the answer is given, or the connection broken. Never rejects for what either side does. */
  async run(): Promise<void> {
    const { clock, fault } = this.#options;
    try {
      await this.#meet(fault);
    } catch {
      // The client went away, or the server did: the client is to see a broken connection, and the log has the rest.
      this.#reset();
    } finally {
      this.#entry.endMs = clock.monotonic();
    }
  }

  async #meet(fault: HttpFault | undefined): Promise<void> {
    switch (fault?.kind) {
      case "status":
        this.#count(fault);
        return this.#answerStatus(fault);
      case "hang":
        this.#count(fault);
        await this.#wait(fault.delayMs ?? Infinity);
        return this.#reset();
      case "delay":
        this.#count(fault);
        await this.#wait(fault.delayMs ?? 0);
        return this.#forward(undefined);
      case "stale-list":
        return this.#answerStale(fault);
      default:
        return this.#forward(fault);
    }
  }

  get #requestTarget(): string {
    return this.#options.request.url ?? "/";
  }

  async #answerStatus(fault: HttpFault): Promise<void> {
    await this.#drainRequest();
    const { status = DEFAULT_STATUS, retryAfterSeconds } = fault;
    const body = Buffer.from(`injected fault: status ${status}\n`);
    const headers = ["Content-Type", "text/plain", "Content-Length", String(body.length)];
    if (retryAfterSeconds !== undefined) headers.push("Retry-After", String(retryAfterSeconds));
    this.#begin(status, headers);
    if (this.#options.request.method !== "HEAD") await this.#write(body);
    await this.#end();
  }

  async #answerStale(fault: HttpFault): Promise<void> {
    const answer = this.#options.lists.oldest(this.#requestTarget);
    if (answer === undefined) return this.#forward(undefined);
    this.#count(fault);
    await this.#drainRequest();
    this.#begin(answer.status, answer.rawHeaders);
    await this.#write(answer.body);
    await this.#end();
  }

  async #forward(fault: HttpFault | undefined): Promise<void> {
    const { request, target, closed } = this.#options;
    const server = httpRequest({
      ...target,
      method: request.method,
      path: this.#requestTarget,
      headers: this.#requestHeaders(),
      setHost: false,
      // A connection for each request: none that the server closes at the moment when it is used again.
      agent: false,
      signal: closed,
    });
    server.on("error", () => {}); // `answered` rejects with it.
    const answered = once(server, "response") as Promise<[IncomingMessage]>;
    const decided = new AbortController();
    const sent = this.#sendBody(server, fault, decided.signal);
    // A server may answer before it has read everything, and either may fail after the other has decided.
    for (const promise of [answered, sent]) promise.catch(() => {});
    try {
      await Promise.race([sent, answered]);
      const [answer] = await answered;
      this.#entry.serverStatus = answer.statusCode;
      this.#entry.answeredMs = this.#options.clock.monotonic();
      await this.#passAnswer(answer, fault);
    } finally {
      decided.abort();
      server.destroy();
    }
  }

  /** Names and values in turns. */
  #requestHeaders(): string[] {
    const { request, target, hostHeader } = this.#options;
    const headers = [...request.rawHeaders];
    if (hostHeader === "unchanged") return headers;
    const at = headers.findIndex((name, index) => index % 2 === 0 && /^host$/i.test(name));
    if (at >= 0) headers[at + 1] = `${target.host}:${target.port}`;
    return headers;
  }

  /** What is left when `decided` is aborted is read and dropped, so that the client's connection can be used again. */
  async #sendBody(
    server: ClientRequest,
    fault: HttpFault | undefined,
    decided: AbortSignal,
  ): Promise<void> {
    const { request } = this.#options;
    const cut = fault?.kind === "cut-request" ? fault : undefined;
    let left = cut === undefined ? Infinity : cutAfter(cut, request);
    const chunks: AsyncIterable<Buffer> = request.iterator({ destroyOnReturn: false });
    for await (const chunk of chunks) {
      const piece = chunk.subarray(0, left);
      left -= piece.length;
      this.#entry.requestBytes += piece.length;
      const { requestBody } = this.#entry;
      if (requestBody !== undefined) this.#entry.requestBody = Buffer.concat([requestBody, piece]);
      if (decided.aborted) continue;
      if (piece.length > 0 && !server.write(piece)) await drained(server, decided);
      if (cut !== undefined && left === 0) {
        this.#count(cut);
        throw new Error("injected: the request is cut");
      }
    }
    server.end();
  }

  async #passAnswer(answer: IncomingMessage, fault: HttpFault | undefined): Promise<void> {
    const { statusCode = 0, rawHeaders } = answer;
    if (fault?.kind === "lost-answer") {
      this.#count(fault);
      await Array.fromAsync(answer);
      this.#reset();
      return;
    }
    this.#begin(statusCode, rawHeaders);
    const cut = fault?.kind === "cut-answer" || fault?.kind === "truncate" ? fault : undefined;
    const drip = fault?.kind === "drip" ? fault : undefined;
    const kept: Buffer[] = [];
    let left = cut === undefined ? Infinity : cutAfter(cut, answer);
    for await (const chunk of answer as AsyncIterable<Buffer>) {
      if (drip !== undefined) await this.#drip(chunk, drip);
      else await this.#write(chunk.subarray(0, left));
      left -= chunk.length;
      if (cut !== undefined && left <= 0) return this.#cut(cut);
      if (this.#entry.type === "LIST") kept.push(chunk);
    }
    await this.#end();
    if (this.#entry.type !== "LIST" || statusCode >= 300) return;
    if (this.#entry.answerBytes > MAX_ANSWER_BYTES) return;
    const body = Buffer.concat(kept);
    this.#options.lists.remember(this.#requestTarget, { status: statusCode, rawHeaders, body });
  }

  #cut(fault: HttpFault): void {
    this.#count(fault);
    if (fault.kind === "truncate") this.#options.request.socket.end();
    else this.#reset();
  }

  async #drip(chunk: Buffer, fault: HttpFault): Promise<void> {
    const { after = 0, delayMs = 0, pieceBytes = DEFAULT_PIECE_BYTES } = fault;
    let offset = 0;
    while (this.#entry.answerBytes < after && offset < chunk.length) {
      this.#count(fault);
      const piece = chunk.subarray(offset, offset + pieceBytes);
      await this.#write(piece);
      await this.#wait(delayMs);
      offset += piece.length;
    }
    await this.#write(chunk.subarray(offset));
  }

  #begin(status: number, rawHeaders: readonly string[]): void {
    const { response } = this.#options;
    this.#entry.status = status;
    response.writeHead(status, [...rawHeaders]);
    response.flushHeaders();
  }

  /** Resolves when the bytes are on their way; throws when the client is gone. */
  async #write(piece: Buffer): Promise<void> {
    const { signal } = this.#over;
    signal.throwIfAborted();
    if (piece.length === 0) return;
    this.#entry.answerBytes += piece.length;
    const { response } = this.#options;
    if (!response.write(piece)) await once(response, "drain", { signal });
  }

  async #end(): Promise<void> {
    this.#options.response.end();
    await pause(this.#options.clock, Infinity, this.#over.signal);
  }

  async #drainRequest(): Promise<void> {
    for await (const chunk of this.#options.request as AsyncIterable<Buffer>) {
      this.#entry.requestBytes += chunk.length;
    }
  }

  async #wait(delayMs: number): Promise<void> {
    const { clock, healed, closed } = this.#options;
    const { signal } = this.#over;
    await pause(clock, delayMs, AbortSignal.any([healed, closed, signal]));
    signal.throwIfAborted();
  }

  #reset(): void {
    resetNow(this.#options.request.socket);
  }

  #count(fault: HttpFault): void {
    if (this.#entry.fault !== undefined) return;
    this.#entry.fault = fault.kind;
    this.#options.onFault(fault);
  }
}

/** Bytes of a body that pass before it is cut: fewer than it has, where that is known. An empty one is never cut. */
function cutAfter(fault: HttpFault, { headers }: IncomingMessage): number {
  const sizeBytes = Number(headers["content-length"] ?? Infinity);
  if (sizeBytes === 0) return Infinity;
  return Math.min(fault.after ?? 0, sizeBytes - 1);
}

/** Resolves also when `decided` is aborted; rejects when the request fails. */
async function drained(server: ClientRequest, decided: AbortSignal): Promise<void> {
  try {
    await once(server, "drain", { signal: decided });
  } catch (error) {
    if (!decided.aborted) throw error;
  }
}
