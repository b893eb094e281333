/**
 * What Google Cloud Storage answers when it refuses, translated once. Its JSON API reports errors as JSON, its XML API, which
 * serves the contents of objects, as XML; proxies and emulators as anything.
 */
import type { MillraceError } from "../../../errors.ts";
import {
  failureError,
  httpError,
  networkError,
  retryAfterMs,
  type Failure,
  type FailureKind,
} from "../../remote/failures.ts";

/** What of a refusal's body is read. */
const MAX_BODY_CHARS = 8192;

/** What a request wanted to be so. */
export type Condition = "absent" | "match" | undefined;

export interface Refusal {
  readonly status: number;
  readonly headers: Headers;
  readonly body: string;
  readonly condition: Condition;
  readonly bucket: string;
  /** Whether the request names nothing but the bucket, so that whatever is missing is the bucket. */
  readonly isBucketRequest: boolean;
}

/** The error for an answer that is none of success. */
export function refusalError(failure: Failure, refusal: Refusal): MillraceError {
  const { status, headers, body, condition, bucket } = refusal;
  const { code, text } = parseRefusal(body.slice(0, MAX_BODY_CHARS));
  if (status === 412 && condition === "absent")
    return failureError("storage/exists", failure, { found: "the object is already there" });
  if (condition === "match" && (status === 412 || (status === 404 && !refusal.isBucketRequest))) {
    const found = "another version of the object is there, or none";
    return failureError("storage/precondition-failed", failure, { found });
  }
  const isBucket =
    refusal.isBucketRequest || code === "NoSuchBucket" || /bucket does not exist/i.test(text);
  if (status === 404 && isBucket) {
    return failureError("storage/no-bucket", failure, {
      found: `there is no bucket "${bucket}"`,
      hint: `create it, for instance with: gcloud storage buckets create gs://${bucket}`,
    });
  }
  return httpError({
    ...failure,
    status,
    code,
    text,
    retryAfterMs: retryAfterMs(headers.get("retry-after")),
    kind: kindOf(status, code),
  });
}

/** Where this service is more exact than HTTP. */
function kindOf(status: number, code: string | undefined): FailureKind | undefined {
  if (status === 403 && /rateLimitExceeded/i.test(code ?? "")) return { code: "storage/throttled" };
  // It may have happened: only 429 promises that it did not.
  if (status === 503) return { code: "storage/unavailable" };
  // A session of an upload that the service gave up.
  if (status === 410) return { code: "storage/unavailable" };
  return undefined;
}

/** The error for a request that got no answer, or not all of it; the signal's reason when that ended it. */
export function requestError(failure: Failure, signal: AbortSignal): unknown {
  if (signal.aborted) return signal.reason;
  const { cause } = failure;
  const found = `the request failed: ${cause instanceof Error ? cause.message : String(cause)}`;
  return networkError(failure) ?? failureError("storage/unavailable", failure, { found });
}

/** The error when there is nothing to sign in with, or signing in failed: the store was not asked. */
export function credentialError(failure: Failure): MillraceError {
  const { cause } = failure;
  const network = networkError(failure);
  if (network !== undefined) {
    const found = "signing in to Google Cloud failed for want of a connection";
    const hint = "check the connection to oauth2.googleapis.com or to the metadata server";
    return failureError(network.code, failure, { found, hint, details: { sent: false } });
  }
  // A parser's message shows a piece of what it read, which may be a key.
  const said =
    cause instanceof Error && !(cause instanceof SyntaxError) && !cause.message.includes("JSON")
      ? cause.message.split("\n", 1)[0]?.slice(0, 300)
      : "the file with credentials cannot be read";
  return failureError(
    "storage/permission",
    { ...failure, cause: undefined },
    {
      found: `there are no usable Google Cloud credentials: ${said}`,
      hint: "name a service account's key file in GOOGLE_APPLICATION_CREDENTIALS, or run: gcloud auth application-default login",
    },
  );
}

function parseRefusal(body: string): {
  readonly code: string | undefined;
  readonly text: string;
} {
  const xml = /<Code>([^<]*)<\/Code>/.exec(body);
  if (xml !== null) {
    const message = /<Message>([^<]*)<\/Message>/.exec(body)?.[1] ?? "";
    return { code: xml[1], text: message };
  }
  try {
    const { error } = JSON.parse(body) as {
      error?: { message?: unknown; errors?: readonly { reason?: unknown }[] };
    };
    const reason = error?.errors?.[0]?.reason;
    return {
      code: typeof reason === "string" ? reason : undefined,
      text: typeof error?.message === "string" ? error.message : "",
    };
  } catch {
    // Not JSON: a page of some proxy, shown as the text that it is.
    return { code: undefined, text: body };
  }
}
