/** One JSON request to a service that keeps leases. Whatever is no answer becomes `lease/unavailable`. */
import { MillraceError } from "../errors.ts";
import { unavailable } from "./errors.ts";

/** Longest part of an answer that a message quotes. */
const QUOTED = 200;

export interface JsonRequest {
  readonly method: "GET" | "POST" | "PUT";
  readonly url: URL;
  readonly headers?: Readonly<Record<string, string>> | undefined;
  /** Sent as JSON. */
  readonly body?: unknown;
  /** Statuses besides 2xx that are answers and no failures. */
  readonly allow?: readonly number[] | undefined;
  readonly signal?: AbortSignal | undefined;
}

export interface JsonAnswer {
  readonly status: number;
  /** `undefined` when the body is empty or no JSON. */
  readonly value: unknown;
}

/** Rejects with `signal.reason` when aborted. Neither headers nor user info of the URL come into messages. */
export async function requestJson(op: string, request: JsonRequest): Promise<JsonAnswer> {
  const { method, url, headers, body, allow = [], signal } = request;
  const where = `${url.host}${url.pathname}`;
  try {
    const response = await fetch(url, {
      method,
      headers: { ...headers, "content-type": "application/json" },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      ...(signal === undefined ? {} : { signal }),
      redirect: "error",
    });
    const text = await response.text();
    const { status } = response;
    if (!response.ok && !allow.includes(status))
      throw unavailable(op, where, `status ${status}: ${text.slice(0, QUOTED)}`);
    return { status, value: parse(text) };
  } catch (error) {
    if (signal?.aborted === true) throw signal.reason;
    if (error instanceof MillraceError) throw error;
    const cause = error instanceof Error && error.cause instanceof Error ? error.cause : error;
    throw unavailable(op, where, cause instanceof Error ? cause.message : String(cause), error);
  }
}

function parse(text: string): unknown {
  try {
    return text === "" ? undefined : JSON.parse(text);
  } catch {
    // Errors come as plain text; whoever needs JSON sees that there is none.
    return undefined;
  }
}
