/** What NATS and JetStream say when something fails, translated once. */
import { JetStreamApiError, JetStreamError } from "@nats-io/jetstream";
import { errors } from "@nats-io/transport-node";
import { MillraceError, type ErrorCode } from "../../../errors.ts";
import { failureError, networkError, type Failure } from "../../remote/failures.ts";

/** Codes of JetStream's error answers, those that are told apart. */
export const API_ERROR = {
  accountDisabled: 10035,
  noMessage: 10037,
  notEnabledForAccount: 10039,
  noMemory: 10028,
  noStorage: 10047,
  accountStorage: 10002,
  accountStreams: 10027,
  tooLarge: 10054,
  streamNotFound: 10059,
  wrongLastSequence: 10071,
  notEnabled: 10076,
  storeFailed: 10077,
  sealed: 10109,
  purgeDenied: 10110,
  rollupDenied: 10111,
  wrongLastSequenceUnknown: 10164,
} as const;

/** Room may be made at any time, so a full store is one that is away for now. */
const FULL: ReadonlySet<number> = new Set([
  API_ERROR.noMemory,
  API_ERROR.noStorage,
  API_ERROR.accountStorage,
  API_ERROR.storeFailed,
]);
const DISABLED: ReadonlySet<number> = new Set([
  API_ERROR.accountDisabled,
  API_ERROR.notEnabledForAccount,
  API_ERROR.notEnabled,
]);
const DENIED: ReadonlySet<number> = new Set([
  API_ERROR.sealed,
  API_ERROR.purgeDenied,
  API_ERROR.rollupDenied,
]);

const JETSTREAM_HINT = "start nats-server with JetStream (-js), and enable it for the account";

/** Whether `error` says that another version than the expected one is there. */
export function isWrongSequence(error: unknown): boolean {
  return (
    error instanceof JetStreamApiError &&
    (error.code === API_ERROR.wrongLastSequence ||
      error.code === API_ERROR.wrongLastSequenceUnknown)
  );
}

/** Whether nobody answered a request at all: no such stream, no JetStream, or a cluster that is choosing a leader. */
export function isUnanswered(error: unknown): boolean {
  for (let at = error; at instanceof Error; at = at.cause)
    if (at instanceof errors.NoRespondersError) return true;
  return false;
}

export function noBucket(bucket: string, failure: Failure): MillraceError {
  return failureError("storage/no-bucket", failure, {
    found: `there is no object store "${bucket}"`,
    hint: `create it: nats object add ${bucket}`,
  });
}

export interface NatsFailure extends Failure {
  /** Whatever came of the request, nobody sees it: there is no object yet that it would be part of. */
  readonly isInvisible?: boolean | undefined;
}

/** Translates what a connected server, or its absence, made of a request. Errors of ours pass through. */
export function natsError(bucket: string, failure: NatsFailure): MillraceError {
  const error = translate(bucket, failure);
  if (failure.isInvisible !== true || error.code !== "storage/unavailable") return error;
  const { code, message, op, hint, cause } = error;
  return new MillraceError(code, message, {
    op,
    hint,
    details: { ...error.details, sent: false },
    cause,
  });
}

function translate(bucket: string, failure: Failure): MillraceError {
  const { cause } = failure;
  if (cause instanceof MillraceError) return cause;
  for (let at = cause; at instanceof Error; at = at.cause) {
    if (at instanceof errors.PermissionViolationError) return forbidden(failure, at);
    if (at instanceof JetStreamApiError) return apiError(at, bucket, failure);
  }
  if (isUnanswered(cause))
    return of("storage/unavailable", "JetStream does not answer", JETSTREAM_HINT);
  if (cause instanceof errors.TimeoutError)
    return of("storage/unavailable", "no answer came in time");
  const network = networkError(failure);
  if (network !== undefined) return network;
  const text = cause instanceof Error ? cause.message : String(cause);
  if (cause instanceof JetStreamError) return of("storage/unavailable", text);
  return of("storage/unavailable", `the connection failed (${text})`);

  function of(code: ErrorCode, found: string, hint?: string): MillraceError {
    return failureError(code, failure, { found, hint });
  }
}

/** Translates why no connection came to stand: nothing was asked yet. */
export function connectError(failure: Failure): MillraceError {
  const { cause } = failure;
  if (cause instanceof MillraceError) return cause;
  const text = cause instanceof Error ? cause.message : String(cause);
  const details = { sent: false };
  const isRefused =
    cause instanceof errors.AuthorizationError ||
    cause instanceof errors.UserAuthenticationExpiredError;
  const network = isRefused ? undefined : networkError(failure);
  if (network !== undefined) return network;
  if (isRefused || /authorization|authentication/i.test(text)) {
    return failureError("storage/permission", failure, {
      found: "the server refused the credentials",
      hint: "check user and password, token, or the files with credentials that the replica names",
    });
  }
  if (/'?tls'?/i.test(text) && !(cause instanceof errors.TimeoutError)) {
    return failureError("storage/misconfigured", failure, {
      found: `the secure connection failed (${text})`,
      hint: "check whether the server speaks TLS, and the settings tls, root-cas, client-cert and client-key",
      details,
    });
  }
  const found =
    cause instanceof errors.TimeoutError ? "the host does not answer" : `no connection (${text})`;
  const hint = "check host and port of the replica, and whether the server runs";
  return failureError("storage/unavailable", failure, { found, hint, details });
}

function forbidden(
  failure: Failure,
  { operation, subject }: InstanceType<typeof errors.PermissionViolationError>,
): MillraceError {
  return failureError("storage/permission", failure, {
    found: `the user may not ${operation === "publish" ? "publish to" : "subscribe to"} "${subject}"`,
    hint: "docs/stores/nats.md lists the subjects that a user needs",
  });
}

function apiError(error: JetStreamApiError, bucket: string, failure: Failure): MillraceError {
  const { code, status, message } = error;
  const details = { code, status };
  if (code === API_ERROR.streamNotFound) return noBucket(bucket, failure);
  if (FULL.has(code)) {
    const hint =
      "make room: delete what is not needed, or raise the limits of the bucket or the account";
    return of("storage/unavailable", `the object store is full (${message})`, hint, {
      sent: false,
    });
  }
  if (DISABLED.has(code)) return of("storage/misconfigured", message, JETSTREAM_HINT);
  if (DENIED.has(code)) {
    const hint =
      "use an object store that is neither sealed nor without deletes, purges and rollups";
    return of("storage/permission", message, hint);
  }
  if (code === API_ERROR.tooLarge)
    return of("storage/misconfigured", message, "raise the largest message size of the bucket");
  if (status >= 500) return of("storage/unavailable", message);
  return of("storage/misconfigured", `JetStream refused the request (${message})`);

  function of(
    kind: ErrorCode,
    found: string,
    hint?: string,
    more: Readonly<Record<string, unknown>> = {},
  ): MillraceError {
    return failureError(kind, failure, { found, hint, details: { ...details, ...more } });
  }
}
