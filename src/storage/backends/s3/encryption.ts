/**
 * Encryption by the store: with a key of the customer's that comes with every request (SSE-C), or with one of the key service (SSE-KMS).
 *
 * Source: benbjohnson/litestream@63225f1 `ReplicaClient.validateSSEConfig`; Amazon S3 API, "Using server-side encryption with
 * customer-provided keys".
 */
import { createHash } from "node:crypto";
import { MillraceError } from "../../../errors.ts";
import type { SettingsOf } from "../../replica-url/settings.ts";
import { isNear, type Endpoint } from "./endpoint.ts";

const KEY_BYTES = 32;

/** Parameters of requests. */
export interface Encryption {
  /** For those that read or write content, parts included. Holds the key. */
  readonly content: {
    readonly SSECustomerAlgorithm?: "AES256";
    /** Base64. */
    readonly SSECustomerKey?: string;
    readonly SSECustomerKeyMD5?: string;
  };
  /** For those that create an object, besides the others. */
  readonly creation: {
    readonly ServerSideEncryption?: "aws:kms";
    readonly SSEKMSKeyId?: string;
  };
}

type EncryptionSettings = Pick<
  SettingsOf<"s3">,
  | "sseCustomerAlgorithm"
  | "sseCustomerKey"
  | "sseCustomerKeyMd5"
  | "sseCustomerKeyPath"
  | "sseKmsKeyId"
>;

/** `readKey` reads the file that a setting names. Throws `storage/misconfigured`, never showing the key. */
export function encryptionOf(
  settings: EncryptionSettings,
  endpoint: Endpoint | undefined,
  readKey: (path: string) => string,
): Encryption {
  const { sseCustomerAlgorithm, sseCustomerKey, sseCustomerKeyMd5, sseCustomerKeyPath } = settings;
  const { sseKmsKeyId } = settings;
  const isCustomer = sseCustomerKey !== undefined || sseCustomerKeyPath !== undefined;
  if (!isCustomer) {
    if (sseCustomerAlgorithm !== undefined || sseCustomerKeyMd5 !== undefined)
      throw misconfigured("sse-customer settings without a key", "give sse-customer-key too");
    if (sseKmsKeyId === undefined) return { content: {}, creation: {} };
    return {
      content: {},
      creation: { ServerSideEncryption: "aws:kms", SSEKMSKeyId: sseKmsKeyId },
    };
  }
  if (sseKmsKeyId !== undefined) {
    const problem = "sse-customer-key and sse-kms-key-id exclude each other";
    throw misconfigured(problem, "keep one of them");
  }
  if (sseCustomerKey !== undefined && sseCustomerKeyPath !== undefined) {
    const problem = "sse-customer-key and sse-customer-key-path exclude each other";
    throw misconfigured(problem, "keep one of them");
  }
  if ((sseCustomerAlgorithm ?? "AES256") !== "AES256")
    throw misconfigured("the only sse-customer-algorithm is AES256", "leave it out");
  if (endpoint !== undefined && !endpoint.isSecure && !isNear(endpoint.host)) {
    const problem = "an sse-customer-key would go to the store without TLS";
    throw misconfigured(problem, "use an https:// endpoint");
  }
  const text = sseCustomerKey ?? readKey(sseCustomerKeyPath ?? "");
  const md5 = md5OfKey(text.trim());
  if (sseCustomerKeyMd5 !== undefined && sseCustomerKeyMd5 !== md5)
    throw misconfigured("sse-customer-key-md5 is not that of the key", "leave it out");
  return {
    content: {
      SSECustomerAlgorithm: "AES256",
      SSECustomerKey: text.trim(),
      SSECustomerKeyMD5: md5,
    },
    creation: {},
  };
}

function md5OfKey(text: string): string {
  const key = Buffer.from(text, "base64");
  if (key.length !== KEY_BYTES || key.toString("base64") !== text) {
    const problem = `the sse-customer-key is not ${KEY_BYTES} bytes in base64`;
    throw misconfigured(problem, "make one by: openssl rand -base64 32");
  }
  return createHash("md5").update(key).digest("base64");
}

function misconfigured(problem: string, hint: string): MillraceError {
  const op = "open s3 store";
  return new MillraceError("storage/misconfigured", `${op}: ${problem}`, { op, hint });
}
