/**
 * Which request or connection through a fault proxy fails, and how: drawn from a seed, or any function. What each kind
 * does is said here; `http-exchange.ts` and `tcp-link.ts` do it.
 */
import { assert } from "../../base/assert.ts";
import type { Random } from "../../base/clock.ts";
import { randomFrom } from "../seeded-random.ts";

/**
 *   status       answer with an error status, and forward nothing;
 *   lost-answer  forward, and reset the connection instead of passing the answer on: the caller cannot know the outcome;
 *   cut-request  forward a part of the request's body, then reset both sides;
 *   cut-answer   pass a part of the answer's body on, then reset;
 *   truncate     pass a part of the answer's body on, then end the connection in good order;
 *   drip         pass the beginning of the answer's body on in small pieces with pauses, then the rest;
 *   delay        wait, then forward;
 *   hang         forward nothing and answer nothing, for a time or until the proxy heals, then reset;
 *   stale-list   answer a listing with the oldest answer to the same listing that is remembered.
 */
export type HttpFaultKind =
  | "status"
  | "lost-answer"
  | "cut-request"
  | "cut-answer"
  | "truncate"
  | "drip"
  | "delay"
  | "hang"
  | "stale-list";

export interface HttpFault {
  readonly kind: HttpFaultKind;
  /** For `status`; default 503. */
  readonly status?: number | undefined;
  /** For `status`: sent as Retry-After. */
  readonly retryAfterSeconds?: number | undefined;
  /** Bytes of the body before the cut, at least one fewer than there are; for `drip`: that drip. Default 0. */
  readonly after?: number | undefined;
  /** `delay`: how long. `drip`: between pieces. `hang`: how long, default until the proxy heals. */
  readonly delayMs?: number | undefined;
  /** For `drip`; default 1024. */
  readonly pieceBytes?: number | undefined;
}

/** A request as the plan sees it. */
export interface ProxyRequest {
  readonly method: string;
  readonly path: string;
  readonly query: URLSearchParams;
  readonly isList: boolean;
  /** How many requests with this method and target came before: 0 for the first attempt. */
  readonly attempt: number;
}

export type HttpPlan = (request: ProxyRequest) => HttpFault | undefined;

/**
 *   refuse     reset at once;
 *   reset      reset after some bytes in one direction;
 *   stall      pass nothing on after some bytes in one direction, for a time or until the proxy heals, then reset:
 *              with no bytes, a connection that opens and never answers;
 *   latency    hold every piece of data back for a time;
 *   bandwidth  pass so many bytes on a second, in each direction.
 */
export type TcpFaultKind = "refuse" | "reset" | "stall" | "latency" | "bandwidth";

export interface TcpFault {
  readonly kind: TcpFaultKind;
  /** `up` is from the client to the server. Default `down`. */
  readonly direction?: "up" | "down" | undefined;
  /** For `reset` and `stall`: bytes that pass before; default 0. */
  readonly after?: number | undefined;
  /** `latency`: how long; `stall`: how long, default until the proxy heals. */
  readonly delayMs?: number | undefined;
  /** For `bandwidth`. */
  readonly bytesPerSecond?: number | undefined;
}

/** `index` counts the connections since the proxy was opened, from 0. */
export type TcpPlan = (connection: { readonly index: number }) => TcpFault | undefined;

export type FaultKind = HttpFaultKind | TcpFaultKind;

export const NO_HTTP_FAULTS: HttpPlan = () => undefined;
export const NO_TCP_FAULTS: TcpPlan = () => undefined;

/** Whether a fault of this kind can do anything to such a request. */
export function appliesTo(kind: HttpFaultKind, request: ProxyRequest): boolean {
  const { method, isList } = request;
  if (kind === "stale-list") return isList;
  if (kind === "cut-request") return method === "PUT" || method === "POST";
  if (kind === "cut-answer" || kind === "truncate" || kind === "drip") {
    return isList || method === "GET";
  }
  return true;
}

const HTTP_KINDS: readonly HttpFaultKind[] = [
  "status",
  "lost-answer",
  "cut-request",
  "cut-answer",
  "truncate",
  "drip",
  "delay",
  "hang",
  "stale-list",
];

const ERROR_STATUSES: readonly number[] = [500, 503, 429];

export interface SeededHttpOptions {
  readonly seed: number;
  /** Probability that a request is broken, from 0 to 1. */
  readonly rate: number;
  /** Default: all. */
  readonly kinds?: readonly HttpFaultKind[] | undefined;
  /** Attempts after which a request is left alone, so that retries end; default 5. */
  readonly maxAttempts?: number | undefined;
  /** Bound of `after`; default 10,000. */
  readonly maxAfter?: number | undefined;
  /** Bound of the length of a delay, of a hang, and of all pauses of a drip; default 200. */
  readonly maxDelayMs?: number | undefined;
  /** What a request is called, so that the same work under another bucket or prefix meets the same faults. Default its path. */
  readonly nameOf?: ((request: ProxyRequest) => string) | undefined;
}

/** Random faults that depend on the seed, the method, the name and the attempt alone. */
export function seededHttpFaults(options: SeededHttpOptions): HttpPlan {
  const { seed, rate, kinds = HTTP_KINDS, maxAttempts = 5, maxDelayMs = 200 } = options;
  const nameOf = options.nameOf ?? ((request) => request.path);
  assert(rate >= 0 && rate <= 1, `fault rate ${rate} is not between 0 and 1`);
  return (request) => {
    if (request.attempt >= maxAttempts) return undefined;
    const { method, attempt } = request;
    const random = randomFrom(`${seed} ${method} ${attempt} ${nameOf(request)}`);
    if (random() >= rate) return undefined;
    const kind = pick(
      kinds.filter((candidate) => appliesTo(candidate, request)),
      random,
    );
    if (kind === undefined) return undefined;
    const after = Math.floor(random() * (options.maxAfter ?? 10_000));
    const delayMs = 1 + Math.floor(random() * maxDelayMs);
    if (kind === "status") {
      return {
        kind,
        status: pick(ERROR_STATUSES, random),
        retryAfterSeconds: pick([0, 1], random),
      };
    }
    // Eight pieces, so that the pauses together are as long as a delay.
    if (kind === "drip") return { kind, after, delayMs: delayMs / 8, pieceBytes: after / 8 + 1 };
    return { kind, after, delayMs };
  };
}

const TCP_KINDS: readonly TcpFaultKind[] = ["refuse", "reset", "stall", "latency", "bandwidth"];

export interface SeededTcpOptions {
  readonly seed: number;
  /** Probability that a connection is broken, from 0 to 1. */
  readonly rate: number;
  /** Default: all. */
  readonly kinds?: readonly TcpFaultKind[] | undefined;
  /** Bound of `after`; default 100,000. */
  readonly maxAfter?: number | undefined;
  /** Bound of a latency; a stall is ten times as long at most. Default 50. */
  readonly maxDelayMs?: number | undefined;
  /** Bound of a bandwidth, a tenth of which is the least; default 1,000,000. */
  readonly maxBytesPerSecond?: number | undefined;
}

/** Random faults that depend on the seed and on the number of the connection alone. */
export function seededTcpFaults(options: SeededTcpOptions): TcpPlan {
  const { seed, rate, kinds = TCP_KINDS, maxAfter = 100_000, maxDelayMs = 50 } = options;
  const { maxBytesPerSecond = 1_000_000 } = options;
  assert(rate >= 0 && rate <= 1, `fault rate ${rate} is not between 0 and 1`);
  return ({ index }) => {
    const random = randomFrom(`${seed} connection ${index}`);
    if (random() >= rate) return undefined;
    const kind = pick(kinds, random);
    if (kind === undefined) return undefined;
    const delayMs = 1 + Math.floor(random() * maxDelayMs * (kind === "stall" ? 10 : 1));
    return {
      kind,
      direction: random() < 0.5 ? "up" : "down",
      after: Math.floor(random() * maxAfter),
      delayMs,
      bytesPerSecond: Math.ceil(maxBytesPerSecond * (0.1 + 0.9 * random())),
    };
  };
}

function pick<T>(values: readonly T[], random: Random): T | undefined {
  return values[Math.floor(random() * values.length)];
}
