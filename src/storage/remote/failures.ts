/**
 * What goes wrong between here and a store, translated once for all stores that are asked over a network.
 *
 * Whether a request may have had an effect decides who may repeat it: `storage/throttled` never had one; of
 * `storage/unavailable` only what says `details.sent === false`.
 */
import { foreignCode, MillraceError, type ErrorCode } from "../../errors.ts";

export interface Failure {
  /** As in `put object`. */
  readonly op: string;
  readonly key?: string | undefined;
  /** What was asked, as it may be shown: `s3://bucket at http://127.0.0.1:9000`. */
  readonly where: string;
  readonly cause?: unknown;
}

export interface HttpFailure extends Failure {
  readonly status: number;
  /** The service's own code and text. */
  readonly code?: string | undefined;
  readonly text?: string | undefined;
  /** From `Retry-After`. */
  readonly retryAfterMs?: number | undefined;
  /** What it is, where the service's own code says more than the status. */
  readonly kind?: FailureKind | undefined;
}

export interface FailureKind {
  readonly code: ErrorCode;
  readonly hint?: string | undefined;
}

/** Longest text of a service that is repeated in a message. */
const MAX_TEXT_CHARS = 300;

/** The error for an answer that reports a failure. What a status means for a condition, the backend decides before. */
export function httpError(failure: HttpFailure): MillraceError {
  const { status, code, text = "", retryAfterMs } = failure;
  const { kind = kindOf(status) } = failure;
  const said = [code, text.slice(0, MAX_TEXT_CHARS).replace(/\s+/g, " ").trim()].filter(Boolean);
  const found = `the store answered ${status}${said.length > 0 ? ` (${said.join(": ")})` : ""}`;
  return failureError(kind.code, failure, {
    found,
    hint: kind.hint,
    details: { status, code, ...(retryAfterMs === undefined ? {} : { retryAfterMs }) },
  });
}

function kindOf(status: number): FailureKind {
  if (status === 401 || status === 403) {
    const hint =
      "check the credentials, what they are allowed to do there, and the clock of this machine";
    return { code: "storage/permission", hint };
  }
  if (status === 404 || status === 410) return { code: "storage/not-found" };
  if (status === 429 || status === 503) return { code: "storage/throttled" };
  if (status === 408 || status >= 500) return { code: "storage/unavailable" };
  return { code: "storage/misconfigured", hint: "check endpoint, region and path of the replica" };
}

/** Milliseconds that a `Retry-After` header asks for, where it does so in seconds. */
export function retryAfterMs(header: string | null | undefined): number | undefined {
  return typeof header === "string" && /^\d{1,6}$/.test(header) ? Number(header) * 1000 : undefined;
}

/** Before a connection stood: nothing was sent. */
const NOT_CONNECTED: Readonly<Record<string, string>> = {
  ECONNREFUSED: "nothing listens there",
  ENOTFOUND: "the host name is not known",
  EAI_AGAIN: "the host name cannot be looked up just now",
  EHOSTUNREACH: "the host cannot be reached",
  ENETUNREACH: "the network cannot be reached",
  UND_ERR_CONNECT_TIMEOUT: "the host does not answer",
};

/** While it stood. */
const DISCONNECTED: Readonly<Record<string, string>> = {
  ECONNRESET: "the connection was reset",
  ECONNABORTED: "the connection was reset",
  EPIPE: "the connection was closed",
  ETIMEDOUT: "the connection timed out",
  ERR_STREAM_PREMATURE_CLOSE: "the connection was closed",
  UND_ERR_SOCKET: "the connection was closed",
  UND_ERR_HEADERS_TIMEOUT: "no answer came in time",
  UND_ERR_BODY_TIMEOUT: "no answer came in time",
  HPE_INVALID_CONSTANT: "the answer is not HTTP",
};

const CERTIFICATE =
  /^(?:CERT_|ERR_TLS_|ERR_SSL_|DEPTH_ZERO_|SELF_SIGNED_|UNABLE_TO_|HOSTNAME_MISMATCH|EPROTO)/;

/** The error for a connection that failed, or `undefined` when `cause` says nothing of that kind. */
export function networkError(failure: Failure): MillraceError | undefined {
  for (const error of causes(failure.cause)) {
    const code = foreignCode(error) ?? "";
    const details = { code };
    const notConnected = NOT_CONNECTED[code];
    if (notConnected !== undefined) {
      return failureError("storage/unavailable", failure, {
        found: notConnected,
        hint: "check the endpoint of the replica, and whether the store runs",
        details: { ...details, sent: false },
      });
    }
    const disconnected = DISCONNECTED[code];
    if (disconnected !== undefined)
      return failureError("storage/unavailable", failure, { found: disconnected, details });
    if (CERTIFICATE.test(code)) {
      return failureError("storage/misconfigured", failure, {
        found: `the secure connection failed (${code})`,
        hint: "check that the endpoint speaks TLS, and that its certificate is known here: NODE_EXTRA_CA_CERTS names a file with more",
        details: { ...details, sent: false },
      });
    }
  }
  return undefined;
}

/** An error and what caused it, the outermost first. */
function* causes(error: unknown): Generator<unknown, void, void> {
  let current = error;
  for (let depth = 0; depth < 8 && current instanceof Error; depth += 1) {
    yield current;
    if (current instanceof AggregateError) yield* current.errors;
    current = current.cause;
  }
}

/** A failure in the common form of messages: operation, object, place, what was found. */
export function failureError(
  code: ErrorCode,
  { op, key, where, cause }: Failure,
  options: {
    readonly found: string;
    readonly hint?: string | undefined;
    readonly details?: Readonly<Record<string, unknown>> | undefined;
  },
): MillraceError {
  const object = key === undefined ? "" : ` "${key}"`;
  return new MillraceError(code, `${op}${object} in ${where}: ${options.found}`, {
    op,
    hint: options.hint,
    details: { where, ...(key === undefined ? {} : { key }), ...options.details },
    cause,
  });
}
