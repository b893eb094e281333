/**
 * One connection through a fault proxy: two sockets, what passes between them, and the fault that it meets. Ends and
 * resets pass as well, so that a client cannot tell the proxy from the server.
 */
import { once } from "node:events";
import { connect, type Socket } from "node:net";
import type { Clock } from "../../base/clock.ts";
import { pause } from "./pause.ts";
import type { TcpFault } from "./plan.ts";
import { resetNow } from "./reset.ts";

export interface TcpLinkOptions {
  readonly client: Socket;
  readonly target: { readonly host: string; readonly port: number };
  readonly fault: TcpFault | undefined;
  readonly clock: Clock;
  /** Called once, when the fault takes effect. */
  readonly onFault: (fault: TcpFault) => void;
  readonly onBytes: (direction: Direction, countBytes: number) => void;
}

export type Direction = "up" | "down";

export class TcpLink {
  readonly #options: TcpLinkOptions;
  readonly #client: Socket;
  readonly #server: Socket;
  readonly #healed = new AbortController();
  readonly #closed = new AbortController();
  readonly #passed: Record<Direction, number> = { up: 0, down: 0 };
  #isCounted = false;
  /** Resolves when both sockets are closed. */
  readonly closed: Promise<void>;

  constructor(options: TcpLinkOptions) {
    const { client, target } = options;
    this.#options = options;
    this.#client = client;
    this.#server = connect({ ...target, allowHalfOpen: true, noDelay: true });
    client.setNoDelay(true);
    const sockets = [this.#client, this.#server];
    // Whatever broke one side breaks the other; an error needs a listener, and there is nobody else to tell.
    for (const socket of sockets) socket.on("error", () => this.reset());
    this.closed = Promise.all(
      sockets.map((socket) => new Promise<void>((resolve) => socket.once("close", resolve))),
    ).then(() => this.#closed.abort());
    if (options.fault?.kind === "refuse") {
      this.#count(options.fault);
      this.reset();
      return;
    }
    this.#run("up", client, this.#server);
    this.#run("down", this.#server, client);
  }

  /** Breaks both sides. */
  reset(): void {
    this.#closed.abort();
    for (const socket of [this.#client, this.#server]) resetNow(socket);
  }

  /** Ends the fault: delays are over, a stall becomes a reset. */
  heal(): void {
    this.#healed.abort();
  }

  #run(direction: Direction, from: Socket, to: Socket): void {
    this.#pump(direction, from, to).catch(() => this.reset());
  }

  async #pump(direction: Direction, from: Socket, to: Socket): Promise<void> {
    for await (const chunk of from.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>) {
      const rest = await this.#meetFault(direction, chunk, to);
      await this.#pass(direction, rest, to);
    }
    to.end();
  }

  /** Returns what may pass; does not return when nothing may any more. */
  async #meetFault(direction: Direction, chunk: Buffer, to: Socket): Promise<Buffer> {
    const { fault } = this.#options;
    if (fault === undefined || this.#healed.signal.aborted) return chunk;
    switch (fault.kind) {
      case "latency":
        this.#count(fault);
        await this.#wait(fault.delayMs ?? 0);
        return chunk;
      case "bandwidth":
        this.#count(fault);
        await this.#wait((1000 * chunk.length) / (fault.bytesPerSecond ?? Infinity));
        return chunk;
      case "reset":
      case "stall": {
        if (direction !== (fault.direction ?? "down")) return chunk;
        const left = Math.max(0, (fault.after ?? 0) - this.#passed[direction]);
        if (chunk.length <= left) return chunk;
        await this.#pass(direction, chunk.subarray(0, left), to);
        this.#count(fault);
        if (fault.kind === "stall") await this.#wait(fault.delayMs ?? Infinity);
        throw new Error("injected");
      }
      default:
        return chunk;
    }
  }

  async #pass(direction: Direction, chunk: Buffer, to: Socket): Promise<void> {
    if (chunk.length === 0) return;
    this.#passed[direction] += chunk.length;
    this.#options.onBytes(direction, chunk.length);
    if (!to.write(chunk)) await once(to, "drain", { signal: this.#closed.signal });
  }

  /** Ends early when the fault heals; throws when the connection closes. */
  async #wait(delayMs: number): Promise<void> {
    const signal = AbortSignal.any([this.#healed.signal, this.#closed.signal]);
    await pause(this.#options.clock, delayMs, signal);
    this.#closed.signal.throwIfAborted();
  }

  #count(fault: TcpFault): void {
    if (this.#isCounted) return;
    this.#isCounted = true;
    this.#options.onFault(fault);
  }
}
