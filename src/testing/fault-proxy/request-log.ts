/**
 * What went through a fault proxy, request by request: what the client asked and was told, and what the server answered,
 * which is not the same where an answer was lost. Several proxies may write into one log, each under its own name, so
 * that it tells who did what when.
 */
import { assert } from "../../base/assert.ts";
import type { HttpFaultKind } from "./plan.ts";

/** Enough for an hour at a hundred a second; a log that is full ends the test that filled it. */
const MAX_REQUESTS = 500_000;

export interface LoggedRequest {
  /** Name of the proxy that it came through. */
  readonly via: string;
  /** The method, or `LIST`. */
  readonly type: string;
  readonly method: string;
  /** As in the request line, still encoded. */
  readonly path: string;
  readonly query: URLSearchParams;
  /** Target of a WebDAV MOVE or COPY. */
  readonly destination: string | undefined;
  /** What the client was told; `undefined` when the connection was broken before. */
  readonly status: number | undefined;
  /** What the server answered; `undefined` when nothing was forwarded, or nothing came back. */
  readonly serverStatus: number | undefined;
  /** Bytes of the bodies that passed the proxy. */
  readonly requestBytes: number;
  readonly answerBytes: number;
  /** The body as it came, of requests that the proxy was asked to keep it of. */
  readonly requestBody: Buffer | undefined;
  /** Monotonic; the end is when the last byte was passed on, or the connection broke. */
  readonly startMs: number;
  /** When the server's answer began to come, before anything of it was passed on. */
  readonly answeredMs: number | undefined;
  readonly endMs: number | undefined;
  readonly fault: HttpFaultKind | undefined;
}

/** A request while it runs. */
export type OpenRequest = { -readonly [Key in keyof LoggedRequest]: LoggedRequest[Key] };

export class RequestLog {
  readonly #requests: OpenRequest[] = [];

  /** In order of their beginnings. */
  get requests(): readonly LoggedRequest[] {
    return this.#requests;
  }

  get count(): number {
    return this.#requests.length;
  }

  add(request: OpenRequest): void {
    assert(this.#requests.length < MAX_REQUESTS, "the request log is full");
    this.#requests.push(request);
  }

  /** Requests by type, from the `from`-th on. */
  countByType(from = 0): Readonly<Record<string, number>> {
    const counts: Record<string, number> = {};
    for (const { type } of this.#requests.slice(from)) counts[type] = (counts[type] ?? 0) + 1;
    return counts;
  }

  /**
   * Objects that were written again although they were there. `written` names the object that a request creates, and
   * `removed` the one it deletes; only what the server accepted counts.
   */
  overwritten(
    written: (request: LoggedRequest) => string | undefined,
    removed: (request: LoggedRequest) => string | undefined = removedByDelete,
  ): string[] {
    const present = new Set<string>();
    const twice = new Set<string>();
    // By end: that is when the server had decided.
    const done = this.#requests
      .filter(({ serverStatus = 0 }) => serverStatus >= 200 && serverStatus < 300)
      .toSorted((a, b) => (a.endMs ?? Infinity) - (b.endMs ?? Infinity));
    for (const request of done) {
      const gone = removed(request);
      if (gone !== undefined) present.delete(gone);
      const key = written(request);
      if (key === undefined) continue;
      if (present.has(key)) twice.add(key);
      present.add(key);
    }
    return [...twice];
  }

  /** Times at which requests that change something came through both proxies: pairs of `via` whose requests overlap. */
  concurrentWriters(): string[] {
    const writes = this.#requests.filter(({ type }) => !READING.includes(type));
    const pairs = new Set<string>();
    let open: LoggedRequest[] = [];
    for (const request of writes) {
      open = open.filter(({ endMs = Infinity }) => endMs > request.startMs);
      for (const other of open) {
        if (other.via !== request.via) pairs.add(`${other.via} and ${request.via}`);
      }
      open.push(request);
    }
    return [...pairs];
  }
}

const READING: readonly string[] = ["GET", "HEAD", "LIST", "OPTIONS", "PROPFIND"];

function removedByDelete({ method, path }: LoggedRequest): string | undefined {
  return method === "DELETE" ? path : undefined;
}

/** One line for people; query values are left out, because signatures may be among them. */
export function describeRequest(request: LoggedRequest): string {
  const { via, type, path, status, serverStatus, fault, startMs, endMs } = request;
  const keys = [...new Set(request.query.keys())].join("&");
  const told = status === serverStatus ? `${status}` : `${serverStatus} told as ${status}`;
  const tookMs = endMs === undefined ? "running" : `${Math.round(endMs - startMs)} ms`;
  const sizes = `${request.requestBytes} bytes up, ${request.answerBytes} down`;
  const why = fault === undefined ? "" : ` (${fault})`;
  return `${via} ${type} ${path}${keys === "" ? "" : `?${keys}`}: ${told}, ${sizes}, ${tookMs}${why}`;
}
