/** Readiness over HTTP, and the two ways of signing a request that the object stores want. */
import { createHash, createHmac, randomBytes } from "node:crypto";
import type { S3Service } from "../../src/testing/services.ts";

const REQUEST_TIMEOUT_MS = 2_000;

/** The bucket (or container) that every object store has after its start. */
export const BUCKET = "millrace";

/** A name or password of its own for each start. */
export function secret(countBytes = 20): string {
  return randomBytes(countBytes).toString("hex");
}

export interface RequestOptions {
  readonly method?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string;
  /** Statuses besides 2xx that are as good. */
  readonly accept?: readonly number[];
}

/** The body of an answer; throws for every other status, and after two seconds. */
export async function request(url: string, options: RequestOptions = {}): Promise<string> {
  const { accept = [], ...init } = options;
  const response = await fetch(url, { ...init, signal: AbortSignal.timeout(REQUEST_TIMEOUT_MS) });
  const text = await response.text();
  if (!response.ok && !accept.includes(response.status))
    throw new Error(`${init.method ?? "GET"} ${url}: status ${response.status}: ${text.trim()}`);
  return text;
}

/** Creates a bucket by an S3 request with a version 4 signature; one that exists is fine. */
export async function createS3Bucket(service: S3Service): Promise<void> {
  const url = new URL(`/${service.bucket}`, service.endpoint);
  const time = new Date().toISOString().replace(/[-:]|\.\d+/g, "");
  const payload = sha256("");
  const headers = { host: url.host, "x-amz-content-sha256": payload, "x-amz-date": time };
  const names = Object.keys(headers).join(";");
  const lines = Object.entries(headers).map(([name, value]) => `${name}:${value}\n`);
  const canonical = ["PUT", url.pathname, "", lines.join(""), names, payload].join("\n");
  const scope = [time.slice(0, 8), service.region, "s3", "aws4_request"];
  const text = ["AWS4-HMAC-SHA256", time, scope.join("/"), sha256(canonical)].join("\n");
  const key = scope.reduce<string | Buffer>(hmac, `AWS4${service.secretAccessKey}`);
  const authorization =
    `AWS4-HMAC-SHA256 Credential=${service.accessKeyId}/${scope.join("/")}, ` +
    `SignedHeaders=${names}, Signature=${hmac(key, text).toString("hex")}`;
  const { host: _, ...sent } = headers;
  await request(url.href, { method: "PUT", headers: { ...sent, authorization }, accept: [409] });
}

/** The `Authorization` of an Azure request without a body: shared key, path-style endpoint. */
export function azureAuthorization(
  account: { readonly name: string; readonly key: string },
  method: string,
  url: URL,
  headers: Readonly<Record<string, string>>,
): string {
  // Between the method and the x-ms headers stand eleven standard headers, none of which is sent.
  const own = Object.entries(headers).map(([name, value]) => `${name}:${value}`);
  const query = [...url.searchParams].map(([name, value]) => `${name}:${value}`);
  const resource = `/${account.name}${url.pathname}`;
  const text = [method, ...Array<string>(11).fill(""), ...own, resource, ...query].join("\n");
  const signature = hmac(Buffer.from(account.key, "base64"), text).toString("base64");
  return `SharedKey ${account.name}:${signature}`;
}

function sha256(text: string): string {
  return createHash("sha256").update(text).digest("hex");
}

function hmac(key: string | Buffer, text: string): Buffer {
  return createHmac("sha256", key).update(text).digest();
}
