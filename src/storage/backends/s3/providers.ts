/**
 * What is special about the providers of S3 stores, found by the host of the endpoint.
 *
 * Source: benbjohnson/litestream@63225f1 `detectProvider` and its uses. Not here, because it is so for everybody: requests are signed
 * with their payload, custom endpoints get path style, no checksums that they do not require and no chunked trailers.
 */

export interface Provider {
  readonly name: string;
  /** What DeleteObjects proves its body with: `Content-MD5`, or else CRC-32. */
  readonly contentMd5: boolean;
  /** Parts of an upload in flight. */
  readonly concurrency: number;
  /** On every request. */
  readonly headers: Readonly<Record<string, string>>;
  /** Puts and completed uploads heed `If-None-Match: *` and `If-Match`. */
  readonly conditionalWrites: boolean;
}

const DEFAULTS = {
  contentMd5: true,
  concurrency: 5,
  headers: {},
  conditionalWrites: true,
} as const;

export const AWS: Provider = { ...DEFAULTS, name: "AWS", contentMd5: false };

const ANY: Provider = { ...DEFAULTS, name: "custom" };

interface Known extends Partial<Provider> {
  readonly name: string;
  readonly host: RegExp;
}

/**
 * Without conditional writes: B2 refuses them, GCS and OSS have others of their own, of Filebase and Supabase nothing is known.
 * A store that ignores the condition would overwrite, so that what is not known counts as missing.
 */
const KNOWN: readonly Known[] = [
  {
    name: "Tigris",
    host: /^(?:fly\.storage\.tigris\.dev|t3\.storage\.dev)$/,
    contentMd5: false,
    headers: { "x-tigris-consistent": "true" },
  },
  { name: "Cloudflare R2", host: /\.r2\.cloudflarestorage\.com$/, concurrency: 2 },
  { name: "Backblaze B2", host: /\.backblazeb2\.com$/, conditionalWrites: false },
  { name: "DigitalOcean", host: /\.digitaloceanspaces\.com$/ },
  { name: "Scaleway", host: /\.scw\.cloud$/ },
  { name: "Hetzner", host: /\.your-objectstorage\.com$/ },
  { name: "Wasabi", host: /(?:^|\.)wasabisys\.com$/, conditionalWrites: false },
  { name: "Filebase", host: /^s3\.filebase\.com$/, conditionalWrites: false },
  { name: "Supabase", host: /\.supabase\.co$/, conditionalWrites: false },
  {
    name: "Google Cloud Storage",
    host: /^(?:[a-z0-9]+-)*storage(?:-[a-z0-9]+)*\.(?:[a-z0-9-]+\.)*googleapis\.com$/,
    conditionalWrites: false,
  },
  { name: "Alibaba Cloud OSS", host: /\.aliyuncs\.com$/, conditionalWrites: false },
  { name: "AWS", host: /\.amazonaws\.com(?:\.cn)?$/, contentMd5: false },
];

/** The provider at an endpoint's host, given in lower case. */
export function providerAt(host: string): Provider {
  const known = KNOWN.find((candidate) => candidate.host.test(host));
  return known === undefined ? ANY : { ...DEFAULTS, ...known };
}
