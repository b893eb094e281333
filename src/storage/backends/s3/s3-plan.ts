/**
 * From a replica's settings and the environment to how its store is asked: pure, so that every rule can be tested without a store.
 *
 * Source: benbjohnson/litestream@63225f1 `s3.ReplicaClient.Init`, `NewReplicaClientFromURL`; the names of the environment
 * variables are Amazon's, and Litestream's of its own.
 */
import { MillraceError } from "../../../errors.ts";
import type { OssTarget, S3Target } from "../../replica-url/target.ts";
import { encryptionOf, type Encryption } from "./encryption.ts";
import { parseEndpoint, type Endpoint } from "./endpoint.ts";
import { AWS, providerAt, type Provider } from "./providers.ts";

export const MIB: number = 1024 * 1024;
/** Amazon's limits: the smallest part but the last, the largest one, and how many parts an object may have. */
export const MIN_PART_BYTES: number = 5 * MIB;
export const MAX_PART_BYTES: number = 5 * 1024 * MIB;
export const MAX_PARTS = 10_000;
const MAX_CONCURRENCY = 64;
const DEFAULT_REGION = "us-east-1";
const OSS_DEFAULT_REGION = "cn-hangzhou";

export interface StaticCredentials {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  readonly sessionToken?: string;
}

export interface S3Plan {
  readonly type: "s3" | "oss";
  readonly bucket: string;
  readonly prefix: string;
  /** `undefined` for Amazon's own. */
  readonly endpoint: Endpoint | undefined;
  /** `undefined`: the bucket's is to be looked up. */
  readonly region: string | undefined;
  readonly forcePathStyle: boolean;
  /** `undefined`: the SDK's chain of files and instance services. */
  readonly credentials: StaticCredentials | undefined;
  readonly skipVerify: boolean;
  readonly signPayload: boolean;
  readonly provider: Provider;
  readonly storageClass: string | undefined;
  readonly encryption: Encryption;
  readonly partSizeBytes: number;
  readonly concurrency: number;
  readonly conditionalWrites: boolean;
  /** File with certificates to trust besides those that Node does. */
  readonly caBundlePath: string | undefined;
  /** As it may be shown. */
  readonly where: string;
}

export type Env = Readonly<Record<string, string | undefined>>;
type Settings = S3Target["settings"];

/** Throws `storage/misconfigured`. `readKey` reads a file with an encryption key. */
export function planS3(target: S3Target, env: Env, readKey: (path: string) => string): S3Plan {
  const { settings } = target;
  const custom =
    settings.endpoint ??
    given(env["LITESTREAM_S3_ENDPOINT"]) ??
    given(env["AWS_ENDPOINT_URL_S3"]) ??
    given(env["AWS_ENDPOINT_URL"]);
  const endpoint = custom === undefined ? undefined : parseEndpoint(custom);
  const region =
    settings.region ??
    given(env["AWS_REGION"]) ??
    given(env["AWS_DEFAULT_REGION"]) ??
    (endpoint === undefined ? undefined : DEFAULT_REGION);
  const secretNames = ["AWS_SECRET_ACCESS_KEY", "LITESTREAM_SECRET_ACCESS_KEY"];
  return plan({ target, endpoint, region, env, readKey }, settings, {
    forcePathStyle: settings.forcePathStyle ?? endpoint !== undefined,
    credentials: credentialsOf(settings, env, {
      id: ["AWS_ACCESS_KEY_ID", "LITESTREAM_ACCESS_KEY_ID"],
      secret: secretNames,
      token: ["AWS_SESSION_TOKEN"],
    }),
  });
}

/** The same for OSS, through the endpoint at which it speaks the S3 protocol, virtual hosts only. */
export function planOss(target: OssTarget, env: Env): S3Plan {
  const { settings } = target;
  const region = settings.region ?? OSS_DEFAULT_REGION;
  const endpoint = ossEndpoint(settings.endpoint ?? `https://oss-${region}.aliyuncs.com`);
  const credentials = credentialsOf(settings, env, {
    id: ["OSS_ACCESS_KEY_ID", "ALIBABA_CLOUD_ACCESS_KEY_ID"],
    secret: ["OSS_ACCESS_KEY_SECRET", "ALIBABA_CLOUD_ACCESS_KEY_SECRET"],
    token: ["OSS_SESSION_TOKEN", "ALIBABA_CLOUD_SECURITY_TOKEN"],
  });
  if (credentials === undefined) {
    const hint =
      "set OSS_ACCESS_KEY_ID and OSS_ACCESS_KEY_SECRET, or access-key-id and secret-access-key";
    const message = `open oss store "oss://${target.bucket}": there are no credentials`;
    throw new MillraceError("storage/permission", message, { op: "open oss store", hint });
  }
  const readKey = (): string => "";
  // Whatever the host is called.
  const conditionalWrites = false;
  return plan(
    { target, endpoint, region, env, readKey },
    { ...settings, conditionalWrites },
    {
      forcePathStyle: !endpoint.host.endsWith(".aliyuncs.com"),
      credentials,
    },
  );
}

function plan(
  base: {
    readonly target: S3Target | OssTarget;
    readonly endpoint: Endpoint | undefined;
    readonly region: string | undefined;
    readonly env: Env;
    readonly readKey: (path: string) => string;
  },
  settings: Settings,
  rest: Pick<S3Plan, "forcePathStyle" | "credentials">,
): S3Plan {
  const { target, endpoint, region, env, readKey } = base;
  const { bucket, prefix, scheme } = target;
  const detected = endpoint === undefined ? AWS : providerAt(endpoint.host);
  const contentMd5 = settings.requireContentMd5 ?? detected.contentMd5;
  const place = `${scheme}://${bucket}${prefix === "" ? "" : `/${prefix}`}`;
  return {
    ...rest,
    type: scheme,
    bucket,
    prefix,
    endpoint,
    region,
    skipVerify: settings.skipVerify ?? false,
    signPayload: settings.signPayload ?? true,
    provider: { ...detected, contentMd5 },
    storageClass: settings.storageClass,
    encryption: encryptionOf(settings, endpoint, readKey),
    partSizeBytes: partSizeOf(settings.partSize),
    concurrency: concurrencyOf(settings.concurrency ?? detected.concurrency),
    conditionalWrites: settings.conditionalWrites ?? detected.conditionalWrites,
    caBundlePath: given(env["AWS_CA_BUNDLE"]),
    where: endpoint === undefined ? place : `${place} at ${endpoint.url}`,
  };
}

interface CredentialNames {
  readonly id: readonly string[];
  readonly secret: readonly string[];
  readonly token: readonly string[];
}

/** From the settings, else from the first of the variables that is there at all: an empty one hides those after it. */
function credentialsOf(
  settings: Pick<Settings, "accessKeyId" | "secretAccessKey">,
  env: Env,
  names: CredentialNames,
): StaticCredentials | undefined {
  const { accessKeyId, secretAccessKey } = settings;
  if (accessKeyId !== undefined && secretAccessKey !== undefined)
    return { accessKeyId, secretAccessKey };
  if (accessKeyId !== undefined || secretAccessKey !== undefined) {
    const problem = `${accessKeyId === undefined ? "secret-access-key" : "access-key-id"} is given alone`;
    throw misconfigured(problem, "give access-key-id and secret-access-key together");
  }
  const first = (candidates: readonly string[]): string | undefined =>
    given(candidates.map((name) => env[name]).find((value) => value !== undefined));
  const id = first(names.id);
  const secret = first(names.secret);
  if (id === undefined || secret === undefined) return undefined;
  const sessionToken = first(names.token);
  return {
    accessKeyId: id,
    secretAccessKey: secret,
    ...(sessionToken === undefined ? {} : { sessionToken }),
  };
}

/** Also from the name of the endpoint for OSS's own protocol. */
function ossEndpoint(text: string): Endpoint {
  const endpoint = parseEndpoint(text);
  if (!/^oss-[a-z0-9-]+\.aliyuncs\.com$/.test(endpoint.host)) return endpoint;
  return parseEndpoint(endpoint.url.replace("://", "://s3."));
}

function partSizeOf(partSizeBytes = MIN_PART_BYTES): number {
  if (partSizeBytes >= MIN_PART_BYTES && partSizeBytes <= MAX_PART_BYTES) return partSizeBytes;
  throw misconfigured(`part-size is ${partSizeBytes} bytes`, "write 5MiB to 5GiB");
}

function concurrencyOf(concurrency: number): number {
  if (concurrency >= 1 && concurrency <= MAX_CONCURRENCY) return concurrency;
  throw misconfigured(`concurrency is ${concurrency}`, `write 1 to ${MAX_CONCURRENCY}`);
}

/** A variable that is empty is none. */
function given(value: string | undefined): string | undefined {
  return value === "" ? undefined : value;
}

function misconfigured(problem: string, hint: string): MillraceError {
  const op = "open s3 store";
  return new MillraceError("storage/misconfigured", `${op}: ${problem}`, { op, hint });
}
