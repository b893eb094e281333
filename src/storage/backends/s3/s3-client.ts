/**
 * The SDK's client, set up so that it makes every request once and leaves time to its caller.
 *
 * Source: Amazon S3 API, "Content-MD5" of DeleteObjects and "UNSIGNED-PAYLOAD" of Signature Version 4.
 */
import { createHash } from "node:crypto";
import { rootCertificates } from "node:tls";
import { HeadBucketCommand, S3Client, type S3ClientConfig } from "@aws-sdk/client-s3";
import type { RequestKind, RequestMeter } from "../../meter.ts";
import type { S3Plan } from "./s3-plan.ts";

/** Until a connection stands; what comes after is the caller's to time. */
const CONNECT_TIMEOUT_MS = 5_000;
const MAX_FREE_SOCKETS = 32;
const LOOKUP_REGION = "us-east-1";

const KINDS: Readonly<Record<string, RequestKind>> = {
  GetObjectCommand: "get",
  HeadObjectCommand: "head",
  HeadBucketCommand: "head",
  ListObjectsV2Command: "list",
  DeleteObjectCommand: "delete",
  DeleteObjectsCommand: "delete",
};

interface HttpRequest {
  headers: Record<string, string>;
  readonly body?: unknown;
}

/** `caBundle`: certificates to trust besides those that Node does. */
export function createClient(
  plan: S3Plan,
  meter: RequestMeter,
  caBundle: string | undefined,
): S3Client {
  const client = new S3Client(configOf(plan, meter, caBundle));
  const stack = client.middlewareStack;
  const { headers, contentMd5 } = plan.provider;
  stack.add(
    (next, context) => (args) => {
      meter.request(KINDS[context.commandName ?? ""] ?? "put");
      return next(args);
    },
    { step: "deserialize", priority: "low", name: "millraceMeter" },
  );
  stack.add(
    (next, context) => (args) => {
      const request = args.request as HttpRequest;
      Object.assign(request.headers, headers);
      if (!plan.signPayload && isUpload(context.commandName))
        request.headers["x-amz-content-sha256"] = "UNSIGNED-PAYLOAD";
      if (contentMd5 && context.commandName === "DeleteObjectsCommand") proveByMd5(request);
      return next(args);
    },
    // After the checksums of the SDK, before the signature.
    { step: "build", priority: "low", name: "millraceHeaders" },
  );
  return client;
}

function configOf(plan: S3Plan, meter: RequestMeter, caBundle: string | undefined): S3ClientConfig {
  const { endpoint, region, credentials, forcePathStyle, skipVerify } = plan;
  const agent = { keepAlive: true, maxSockets: Infinity, maxFreeSockets: MAX_FREE_SOCKETS };
  return {
    region: region ?? once(() => lookUpRegion(plan, meter, caBundle)),
    forcePathStyle,
    maxAttempts: 1,
    expectContinueHeader: false,
    followRegionRedirects: false,
    requestChecksumCalculation: endpoint === undefined ? "WHEN_SUPPORTED" : "WHEN_REQUIRED",
    responseChecksumValidation: "WHEN_REQUIRED",
    customUserAgent: "millrace",
    requestHandler: {
      connectionTimeout: CONNECT_TIMEOUT_MS,
      requestTimeout: 0,
      socketTimeout: 0,
      httpAgent: agent,
      httpsAgent: {
        ...agent,
        rejectUnauthorized: !skipVerify,
        ...(caBundle === undefined ? {} : { ca: [...rootCertificates, caBundle] }),
      },
    },
    ...(endpoint === undefined ? {} : { endpoint: endpoint.url }),
    ...(credentials === undefined ? {} : { credentials }),
  };
}

/** Where Amazon has the bucket: any region knows, and says so even to those whom it refuses. */
export async function lookUpRegion(
  plan: S3Plan,
  meter: RequestMeter,
  caBundle: string | undefined,
): Promise<string> {
  const client = createClient({ ...plan, region: LOOKUP_REGION }, meter, caBundle);
  try {
    const { BucketRegion } = await client.send(new HeadBucketCommand({ Bucket: plan.bucket }));
    return BucketRegion ?? LOOKUP_REGION;
  } catch (error) {
    const { $response } = error as { $response?: { headers?: Record<string, string> } };
    // Without an answer nothing is known, and the request that wanted to know fails with this.
    if ($response === undefined) throw error;
    return $response.headers?.["x-amz-bucket-region"] ?? LOOKUP_REGION;
  } finally {
    client.destroy();
  }
}

/** Remembers the first success. */
function once(find: () => Promise<string>): () => Promise<string> {
  let found: Promise<string> | undefined;
  return () => {
    found ??= find().catch((error: unknown) => {
      found = undefined;
      throw error;
    });
    return found;
  };
}

function isUpload(command: string | undefined): boolean {
  return command === "PutObjectCommand" || command === "UploadPartCommand";
}

/** In place of the checksum that the SDK would send and that not every store knows. */
function proveByMd5(request: HttpRequest): void {
  const { body, headers } = request;
  if (typeof body !== "string" && !(body instanceof Uint8Array)) return;
  for (const name of Object.keys(headers)) {
    if (/^x-amz-(?:checksum-|sdk-checksum-algorithm)/i.test(name)) delete headers[name];
  }
  headers["content-md5"] = createHash("md5").update(body).digest("base64");
}
