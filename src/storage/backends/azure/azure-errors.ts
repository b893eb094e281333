/** What Azure Blob Storage answers when it refuses, translated once. */
import { isRestError, type RestError } from "@azure/storage-blob";
import { isMillraceError } from "../../../errors.ts";
import {
  failureError,
  httpError,
  networkError,
  retryAfterMs,
  type Failure,
  type FailureKind,
} from "../../remote/failures.ts";

/** What a request wanted to be so. */
export type Condition = "absent" | "match" | undefined;

export interface AzureFailure extends Failure {
  readonly container: string;
  readonly accountName: string | undefined;
  readonly condition?: Condition;
}

/** The error for a call that failed; the signal's reason when that ended it; our own errors as they are. */
export function azureError(failure: AzureFailure, signal: AbortSignal): unknown {
  const { cause } = failure;
  if (signal.aborted) return signal.reason;
  if (isMillraceError(cause)) return cause;
  // The library's own error knows its request, whose address holds a SAS token.
  const known = { ...failure, cause: plainCause(cause) };
  if (isRestError(cause) && cause.statusCode !== undefined) return refusalError(known, cause);
  if (cause instanceof Error && /Authentication|CredentialUnavailable/.test(cause.name)) {
    return failureError("storage/permission", known, {
      found: `there are no usable Azure credentials: ${said(cause)}`,
      hint: "give a SAS token or an account key (LITESTREAM_AZURE_SAS_TOKEN, LITESTREAM_AZURE_ACCOUNT_KEY), or sign in with: az login",
    });
  }
  const found = `the request failed: ${said(cause)}`;
  return networkError(known) ?? failureError("storage/unavailable", known, { found });
}

function refusalError(failure: AzureFailure, error: RestError): unknown {
  const { condition, container, accountName } = failure;
  const status = error.statusCode ?? 0;
  const code = codeOf(error);
  if (code === "ContainerNotFound" || code === "ContainerBeingDeleted") {
    const account = accountName === undefined ? "" : ` --account-name ${accountName}`;
    return failureError("storage/no-bucket", failure, {
      found: `there is no container "${container}"`,
      hint: `create it, for instance with: az storage container create --name ${container}${account}`,
    });
  }
  if (condition === "absent" && (status === 412 || code === "BlobAlreadyExists"))
    return failureError("storage/exists", failure, { found: "the object is already there" });
  if (condition === "match" && (status === 412 || status === 404)) {
    const found = "another version of the object is there, or none";
    return failureError("storage/precondition-failed", failure, { found });
  }
  if (code === "InvalidBlockList") {
    const found = "another upload of the same object dropped the blocks of this one";
    return failureError("storage/unavailable", failure, { found, details: { sent: false } });
  }
  const headers = error.response?.headers;
  return httpError({
    ...failure,
    status,
    code,
    text: said(error),
    retryAfterMs: retryAfterMs(headers?.get("retry-after")),
    kind: kindOf(status, code),
  });
}

/** Where this service is more exact than HTTP. */
function kindOf(status: number, code: string | undefined): FailureKind | undefined {
  // Only a server that says that it is busy promises that nothing happened.
  if (status === 503 && code !== "ServerBusy") return { code: "storage/unavailable" };
  if (status === 400 && code === "InvalidHeaderValue") {
    const hint =
      "the store may be older than the requests: Azurite wants --skipApiVersionCheck then";
    return { code: "storage/misconfigured", hint };
  }
  return undefined;
}

/** Answers to HEAD have no body, only a header. */
function codeOf(error: RestError): string | undefined {
  const header = error.response?.headers.get("x-ms-error-code");
  if (header !== undefined) return header;
  return error.code === undefined || error.code === "REQUEST_SEND_ERROR" ? undefined : error.code;
}

/** The first line: what follows are ids of requests and texts to sign. */
function said(error: unknown): string {
  const text = error instanceof Error ? error.message : String(error);
  return withoutSignature(text.split(/\r?\n/, 1)[0] ?? "");
}

function withoutSignature(text: string): string {
  return text.replace(/\bsig=[^&\s"']*/gi, "sig=***");
}

function plainCause(error: unknown): unknown {
  if (!(error instanceof Error)) return error;
  const code = "code" in error && typeof error.code === "string" ? error.code : undefined;
  const plain = new Error(said(error));
  plain.name = error.name;
  return Object.assign(plain, code === undefined ? {} : { code });
}
