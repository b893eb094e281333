/** What S3 stores and the way to them say, as our errors. Credentials and keys that a server repeats are taken out. */
import { isMillraceError, MillraceError, type ErrorCode } from "../../../errors.ts";
import {
  failureError,
  httpError,
  networkError,
  retryAfterMs,
  type Failure,
  type FailureKind,
} from "../../remote/failures.ts";
import type { S3Plan } from "./s3-plan.ts";

/** What a request was about. */
export interface Request {
  /** As in `put object`. */
  readonly op: string;
  readonly key?: string | undefined;
  /** What an answer of 412 means for it. */
  readonly condition?: "storage/exists" | "storage/precondition-failed" | undefined;
}

/** The parts of the SDK's errors that matter here; none of them is always there. */
interface ServiceError {
  readonly name?: unknown;
  readonly message?: unknown;
  readonly $metadata?: { readonly httpStatusCode?: unknown };
  readonly $response?: {
    readonly statusCode?: unknown;
    readonly headers?: Readonly<Record<string, string | undefined>>;
  };
  /** Of `AuthorizationHeaderMalformed`. */
  readonly Region?: unknown;
}

const CREDENTIALS: FailureKind = {
  code: "storage/permission",
  hint: "check AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or the settings access-key-id and secret-access-key",
};
const ELSEWHERE: FailureKind = {
  code: "storage/misconfigured",
  hint: "check endpoint, bucket and credentials of the replica",
};
const PASSING: FailureKind = { code: "storage/unavailable" };
const THROTTLED: FailureKind = { code: "storage/throttled" };

/** Codes that say more than the status they come with. */
const KINDS: Readonly<Record<string, FailureKind>> = {
  InvalidAccessKeyId: CREDENTIALS,
  SignatureDoesNotMatch: CREDENTIALS,
  InvalidToken: CREDENTIALS,
  // VersityGW's, with a status of 404.
  XAdminUserNotFound: CREDENTIALS,
  ExpiredToken: {
    code: "storage/permission",
    hint: "the temporary credentials are over: renew them",
  },
  RequestTimeTooSkewed: { code: "storage/permission", hint: "set the clock of this machine" },
  AccessDenied: {
    code: "storage/permission",
    hint: "check what the credentials are allowed to do there: reading needs s3:GetObject and s3:ListBucket, writing s3:PutObject and s3:DeleteObject too",
  },
  InvalidObjectState: {
    code: "storage/unsupported",
    hint: "the object is in an archive: restore it to a storage class that can be read at once",
  },
  NotImplemented: {
    code: "storage/unsupported",
    hint: "if the store has no conditional writes, say so by the setting conditional-writes=false",
  },
  InvalidBucketName: { code: "storage/misconfigured", hint: "check the bucket's name" },
  SlowDown: THROTTLED,
  TooManyRequests: THROTTLED,
  RequestLimitExceeded: THROTTLED,
  // Two conditional writes at once: this one was not made.
  ConditionalRequestConflict: THROTTLED,
  OperationAborted: THROTTLED,
  // Statuses of 400, but nothing that stays so: the bytes did not arrive, or not in time.
  RequestTimeout: PASSING,
  IncompleteBody: PASSING,
  BadDigest: PASSING,
  XAmzContentSHA256Mismatch: PASSING,
  InternalError: PASSING,
  NoSuchUpload: PASSING,
};

/** Codes, or none, with which a status of 404 means that the object is not there. */
const ABSENT: ReadonlySet<string | undefined> = new Set(["NoSuchKey", "NotFound", undefined]);

/** Answers of a region that does not have the bucket. */
const OTHER_REGION: ReadonlySet<string> = new Set([
  "PermanentRedirect",
  "TemporaryRedirect",
  "AuthorizationHeaderMalformed",
  "IllegalLocationConstraintException",
]);

export class S3Errors {
  readonly #plan: S3Plan;
  readonly #secrets: readonly string[];

  constructor(plan: S3Plan) {
    this.#plan = plan;
    const { credentials, encryption } = plan;
    const secrets = [
      credentials?.secretAccessKey,
      credentials?.sessionToken,
      credentials?.accessKeyId,
      encryption.content.SSECustomerKey,
    ];
    this.#secrets = secrets.filter((secret) => secret !== undefined && secret !== "") as string[];
  }

  /** Errors of ours and aborts pass through. */
  translate(error: unknown, request: Request): unknown {
    if (isMillraceError(error) || !(error instanceof Error) || error.name === "AbortError")
      return error;
    const failure = this.#failure(request, error);
    const status = statusOf(error);
    if (status !== undefined) return this.#answered(error, status, request, failure);
    return networkError(failure) ?? this.#unanswered(error, failure);
  }

  /** The error for one key of a request for many. */
  ofKey(code: string, text: string, request: Request): MillraceError {
    const status = code === "AccessDenied" ? 403 : code === "SlowDown" ? 503 : 500;
    const failure = this.#failure(request, undefined);
    return httpError({ ...failure, status, code, text: this.#clean(text), kind: KINDS[code] });
  }

  /** Throws `storage/unsupported` unless the store says that it used the customer's key, where there is one. */
  requireEncrypted(
    answer: { readonly SSECustomerAlgorithm?: string | undefined },
    request: Request,
  ): void {
    const wanted = this.#plan.encryption.content.SSECustomerAlgorithm;
    if (wanted === undefined || answer.SSECustomerAlgorithm === wanted) return;
    throw failureError("storage/unsupported", this.#failure(request, undefined), {
      found: "the store did not encrypt with the key that it was sent",
      hint: "use a store that has SSE-C, or leave sse-customer-key out; what was written so far is not encrypted",
    });
  }

  /** An answer that is none of this protocol's. */
  malformed(found: string, request: Request): MillraceError {
    return failureError("storage/misconfigured", this.#failure(request, undefined), {
      found,
      hint: "check that the endpoint is that of an S3 store",
    });
  }

  #answered(
    error: ServiceError,
    status: number,
    request: Request,
    failure: Failure,
  ): MillraceError {
    const { bucket, type } = this.#plan;
    const code = String(error.name);
    const text = this.#clean(String(error.message ?? ""));
    const headers = error.$response?.headers ?? {};
    if (code === "NoSuchBucket") {
      const name = type === "oss" ? "ossutil mb oss" : "aws s3 mb s3";
      const hint = `check the bucket's name, or create it, for example by: ${name}://${bucket}`;
      return failureError("storage/no-bucket", failure, { found: "there is no such bucket", hint });
    }
    const { condition } = request;
    const isRefused =
      status === 412 || (status === 404 && condition === "storage/precondition-failed");
    if (isRefused && condition !== undefined) {
      const found =
        condition === "storage/exists"
          ? "the object exists already"
          : "the object is not the expected version";
      return failureError(condition, failure, { found });
    }
    if (isHttpRedirect(status) || OTHER_REGION.has(code)) return this.#elsewhere(error, failure);
    if (code.startsWith("SyntaxError") || code === "TypeError")
      return this.malformed(`the answer with status ${status} cannot be understood`, request);
    const said = /^(?:Unknown|UnknownError|Error)$/.test(code) ? undefined : code;
    const isObject = request.key !== undefined && ABSENT.has(said);
    const kind = KINDS[code] ?? (status === 404 && !isObject ? ELSEWHERE : undefined);
    const wait = retryAfterMs(headers["retry-after"]);
    return httpError({ ...failure, status, code: said, text, retryAfterMs: wait, kind });
  }

  #elsewhere(error: ServiceError, failure: Failure): MillraceError {
    const { region } = this.#plan;
    const named = error.$response?.headers?.["x-amz-bucket-region"] ?? error.Region;
    const right = typeof named === "string" && /^[a-z0-9-]{1,40}$/i.test(named) ? named : undefined;
    const asked = region === undefined ? "" : `, not in "${region}"`;
    return failureError("storage/misconfigured", failure, {
      found:
        right === undefined
          ? "the bucket is in another region or at another endpoint"
          : `the bucket is in the region "${right}"${asked}`,
      hint:
        right === undefined
          ? "check the settings region and endpoint"
          : `set region=${right}, or AWS_REGION`,
      details: { region: right },
    });
  }

  #unanswered(error: Error, failure: Failure): MillraceError {
    const isConnecting = /did not establish a connection/.test(error.message);
    if (error.name === "TimeoutError") {
      return failureError("storage/unavailable", failure, {
        found: isConnecting ? "the host does not answer" : "no answer came in time",
        hint: "check the endpoint of the replica, and whether the store runs",
        details: isConnecting ? { sent: false } : {},
      });
    }
    if (error.name === "CredentialsProviderError" || error.name === "TokenProviderError") {
      return failureError("storage/permission", failure, {
        found: `there are no credentials (${this.#clean(error.message)})`,
        hint: CREDENTIALS.hint,
        details: { sent: false },
      });
    }
    return failureError("storage/misconfigured", failure, {
      found: `the request failed (${error.name}: ${this.#clean(error.message)})`,
      hint: "check endpoint, region and settings of the replica",
    });
  }

  #failure({ op, key }: Request, error: Error | undefined): Failure {
    const cause = error === undefined ? undefined : this.#bare(error);
    return { op, key, where: this.#plan.where, cause };
  }

  /** A copy without what hangs on the SDK's errors: answers, and with them the requests with their headers. */
  #bare(error: Error): Error {
    const code: unknown = Reflect.get(error, "code");
    const inner = error instanceof AggregateError ? error.errors : [error.cause];
    const cause: unknown = inner.find((candidate) => candidate instanceof Error);
    const bare = new Error(this.#clean(error.message), {
      cause: cause instanceof Error ? this.#bare(cause) : undefined,
    });
    bare.name = error.name;
    return typeof code === "string" ? Object.assign(bare, { code }) : bare;
  }

  #clean(text: string): string {
    return this.#secrets.reduce((rest, secret) => rest.replaceAll(secret, "***"), text);
  }
}

/** The same failure, of a request that showed nothing to anybody, so that even a conditional write may be made again. */
export function withoutEffect(error: unknown): unknown {
  if (!isMillraceError(error, "storage/unavailable")) return error;
  const { code, message, op, hint, cause } = error;
  const details = { ...error.details, sent: false };
  return new MillraceError(code satisfies ErrorCode, message, { op, hint, details, cause });
}

/** The status of the answer that an error reports; `undefined` when none came. */
export function statusOf(error: unknown): number | undefined {
  if (!(error instanceof Error)) return undefined;
  const { $metadata, $response }: ServiceError = error;
  const status = $metadata?.httpStatusCode ?? $response?.statusCode;
  return typeof status === "number" ? status : undefined;
}

function isHttpRedirect(status: number): boolean {
  return status >= 300 && status < 400 && status !== 304;
}
