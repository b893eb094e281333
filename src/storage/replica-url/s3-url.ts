/**
 * `s3:` and `oss:` URLs: a bucket, an access point, or the host name under which a provider has the bucket.
 *
 * Source: benbjohnson/litestream@63225f1 `s3.ParseHost`, `ParseReplicaURL` (access points), `oss.ParseHost`.
 */
import type { UrlParts } from "./parts.ts";
import { invalidUrl } from "./redact.ts";
import type { SettingsOf } from "./settings.ts";
import type { OssTarget, S3Target } from "./target.ts";

/** What a host name says, besides the bucket. Settings given in any other way go before it. */
type HostSettings = Pick<SettingsOf<"s3">, "endpoint" | "region" | "forcePathStyle">;

interface HostForm {
  /** Groups: `bucket` and, where the host has one, `region`. */
  readonly pattern: RegExp;
  readonly settings: (region: string | undefined) => HostSettings;
}

const HOST_FORMS: readonly HostForm[] = [
  {
    pattern: /^(?<bucket>.+)\.s3(?:[.-](?<region>[a-z0-9-]+))?\.amazonaws\.com$/i,
    settings: (region) => (region === undefined ? {} : { region }),
  },
  {
    pattern: /^(?<bucket>[^.]+)\.(?<region>[^.]+)\.digitaloceanspaces\.com$/i,
    settings: (region = "") => ({
      endpoint: `https://${region}.digitaloceanspaces.com`,
      region,
      forcePathStyle: false,
    }),
  },
  {
    pattern: /^(?<bucket>.+)\.s3\.(?<region>[^.]+)\.backblazeb2\.com$/i,
    settings: (region = "") => ({
      endpoint: `https://s3.${region}.backblazeb2.com`,
      region,
      forcePathStyle: true,
    }),
  },
  {
    pattern: /^(?<bucket>.+)\.s3\.filebase\.com$/i,
    settings: () => ({
      endpoint: "https://s3.filebase.com",
      region: "us-east-1",
      forcePathStyle: true,
    }),
  },
  {
    pattern: /^(?<bucket>.+)\.s3\.(?<region>[^.]+)\.scw\.cloud$/i,
    settings: (region = "") => ({
      endpoint: `https://s3.${region}.scw.cloud`,
      region,
      forcePathStyle: false,
    }),
  },
];

const ARN = /^arn:[^:/]*:s3[^:/]*:(?<region>[^:/]*):[^:/]*:accesspoint$/;

export function parseS3Url(parts: UrlParts): S3Target {
  const { url, authority, path, settings } = parts;
  refuseUser(parts);
  if (authority === "") throw invalidUrl(url, "it names no bucket", "write s3://bucket/path");
  const arn = ARN.exec(authority);
  if (arn !== null) {
    const [name = "", ...prefix] = path.slice(1).split("/");
    if (name === "") throw invalidUrl(url, "the ARN names no access point");
    const region = arn.groups?.["region"] ?? "";
    return {
      scheme: "s3",
      bucket: `${authority}/${name}`,
      prefix: prefix.join("/"),
      settings: { ...(region === "" ? {} : { region }), ...settings },
    };
  }
  if (authority.startsWith("arn:"))
    throw invalidUrl(url, "of ARNs only those of access points name a bucket");
  const { bucket, found } = readHost(parts);
  return { scheme: "s3", bucket, prefix: path.slice(1), settings: { ...found, ...settings } };
}

function readHost({ url, authority }: UrlParts): { bucket: string; found: HostSettings } {
  if (authority.includes(":") && !authority.includes(".com")) {
    const dot = authority.indexOf(".");
    const bucket = authority.slice(0, dot);
    const host = authority.slice(dot + 1);
    const isAddress = /^\d{1,3}(?:\.\d{1,3}){3}:/.test(authority);
    if (dot <= 0 || isAddress || !/^[^:]+:\d{1,5}$/.test(host)) {
      throw invalidUrl(
        url,
        "the host names no bucket",
        "write s3://bucket/path?endpoint=http://host:port",
      );
    }
    return {
      bucket,
      found: { endpoint: `http://${host}`, region: "us-east-1", forcePathStyle: true },
    };
  }
  for (const { pattern, settings } of HOST_FORMS) {
    const groups = pattern.exec(authority)?.groups;
    if (groups !== undefined)
      return { bucket: groups["bucket"] ?? "", found: settings(groups["region"]) };
  }
  return { bucket: authority, found: {} };
}

const OSS_HOST = /^(?<bucket>.+)\.oss-(?<region>[a-z0-9-]+?)(?:-internal)?\.aliyuncs\.com$/i;

export function parseOssUrl(parts: UrlParts): OssTarget {
  const { url, authority, path, settings } = parts;
  refuseUser(parts);
  if (authority === "") throw invalidUrl(url, "it names no bucket", "write oss://bucket/path");
  const groups = OSS_HOST.exec(authority)?.groups;
  const region = groups?.["region"];
  return {
    scheme: "oss",
    bucket: groups?.["bucket"] ?? authority,
    prefix: path.slice(1),
    settings: { ...(region === undefined ? {} : { region }), ...settings },
  };
}

function refuseUser({ url, user }: UrlParts): void {
  if (user === undefined) return;
  throw invalidUrl(
    url,
    "a user does not belong before the bucket",
    "give credentials by the settings access-key-id and secret-access-key, or by AWS_ACCESS_KEY_ID and " +
      "AWS_SECRET_ACCESS_KEY",
  );
}
