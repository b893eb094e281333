/**
 * The settings of each kind of store: one table for URLs, configuration files and the library.
 *
 * A setting is `partSize` in code, `part-size` in a configuration file, and either in a URL's query, in any case: names are
 * compared without hyphens, underscores and case, which covers every spelling that Litestream has for them.
 *
 * Source: benbjohnson/litestream@63225f1 `ReplicaSettings`, `ParseReplicaURL` and the URL factories of its clients, which
 * disagree about which of them know which setting; here all are known everywhere.
 */
import { parseDuration } from "../../base/duration.ts";
import { nearestName } from "../../base/nearest.ts";
import { parseSize } from "../../base/size.ts";

/** `size` is bytes, `duration` milliseconds, `file` a path, `files` several, separated by commas in a URL. */
export type SettingKind = "text" | "flag" | "count" | "size" | "duration" | "file" | "files";

type SettingTable = Readonly<Record<string, SettingKind>>;

const FILE = {} as const;

const S3 = {
  accessKeyId: "text",
  secretAccessKey: "text",
  region: "text",
  /** With or without a scheme. */
  endpoint: "text",
  forcePathStyle: "flag",
  /** Sign what is sent, not only its envelope. */
  signPayload: "flag",
  requireContentMd5: "flag",
  /** Do not check the server's certificate. */
  skipVerify: "flag",
  storageClass: "text",
  partSize: "size",
  concurrency: "count",
  /** Whether the store has conditional writes; by default what is known of its provider. */
  conditionalWrites: "flag",
  sseCustomerAlgorithm: "text",
  sseCustomerKey: "text",
  sseCustomerKeyMd5: "text",
  /** Holds `sseCustomerKey`. */
  sseCustomerKeyPath: "file",
  sseKmsKeyId: "text",
} as const;

const OSS = {
  accessKeyId: "text",
  secretAccessKey: "text",
  region: "text",
  endpoint: "text",
  partSize: "size",
  concurrency: "count",
} as const;

const GS = {
  /** For emulators and private endpoints. */
  endpoint: "text",
} as const;

const ABS = {
  accountName: "text",
  accountKey: "text",
  sasToken: "text",
  endpoint: "text",
} as const;

const SFTP = {
  user: "text",
  password: "text",
  /** A private key. */
  keyPath: "file",
  /** The server's key as in an authorized_keys file. */
  hostKey: "text",
  concurrentWrites: "flag",
} as const;

const WEBDAV = {
  webdavUsername: "text",
  webdavPassword: "text",
} as const;

const NATS = {
  jwt: "text",
  seed: "text",
  /** Credentials. */
  creds: "file",
  /** An nkey seed. */
  nkey: "file",
  username: "text",
  password: "text",
  token: "text",
  tls: "flag",
  rootCas: "files",
  clientCert: "file",
  clientKey: "file",
  /** -1 for ever. */
  maxReconnects: "count",
  reconnectWait: "duration",
  timeout: "duration",
} as const;

interface StoreSettings {
  readonly file: typeof FILE;
  readonly memory: typeof FILE;
  readonly s3: typeof S3;
  readonly oss: typeof OSS;
  readonly gs: typeof GS;
  readonly abs: typeof ABS;
  readonly sftp: typeof SFTP;
  readonly webdav: typeof WEBDAV;
  readonly webdavs: typeof WEBDAV;
  readonly nats: typeof NATS;
}

export type ReplicaScheme = keyof StoreSettings;

/** Which settings each scheme has. */
export const STORE_SETTINGS: StoreSettings & Readonly<Record<ReplicaScheme, SettingTable>> = {
  file: FILE,
  memory: FILE,
  s3: S3,
  oss: OSS,
  gs: GS,
  abs: ABS,
  sftp: SFTP,
  webdav: WEBDAV,
  webdavs: WEBDAV,
  nats: NATS,
};

export const REPLICA_SCHEMES = Object.keys(STORE_SETTINGS) as readonly ReplicaScheme[];

interface Values {
  readonly text: string;
  readonly flag: boolean;
  readonly count: number;
  readonly size: number;
  readonly duration: number;
  readonly file: string;
  readonly files: readonly string[];
}

type ValuesOf<Table extends SettingTable> = {
  readonly [Name in keyof Table]?: Values[Table[Name]] | undefined;
};

/** The settings of one scheme, those that were given. */
export type SettingsOf<Scheme extends ReplicaScheme> = ValuesOf<StoreSettings[Scheme]>;

/** Settings of any scheme, as a configuration or a caller gives them. */
export type ReplicaSettings = ValuesOf<
  typeof S3 & typeof OSS & typeof GS & typeof ABS & typeof SFTP & typeof WEBDAV & typeof NATS
>;

/** A setting's name as configuration files have it. */
export function settingKey(name: string): string {
  return name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
}

/** Every setting of every store by its key in configuration files. Of two stores' with one name, both are of one kind. */
export const SETTING_KINDS: ReadonlyMap<string, SettingKind> = new Map(
  REPLICA_SCHEMES.flatMap((scheme) =>
    Object.entries<SettingKind>(STORE_SETTINGS[scheme]).map(([name, kind]) => [
      settingKey(name),
      kind,
    ]),
  ),
);

/** The scheme's setting that is meant by `spelling`. */
export function findSetting(scheme: ReplicaScheme, spelling: string): string | undefined {
  const wanted = bare(spelling);
  return Object.keys(STORE_SETTINGS[scheme]).find((name) => bare(name) === wanted);
}

/** "Did you mean" for a name that `findSetting` did not find, as a hint. */
export function settingHint(scheme: ReplicaScheme, spelling: string): string {
  const keys = Object.keys(STORE_SETTINGS[scheme]).map(settingKey);
  if (keys.length === 0) return "write the URL without a query";
  const nearest = nearestName(spelling, keys);
  return nearest === undefined ? `known are ${keys.join(", ")}` : `did you mean "${nearest}"?`;
}

/** The value that `text` stands for in a URL, or what was wanted instead. */
export function parseSetting(
  kind: SettingKind,
  text: string,
): { readonly value: Values[SettingKind] } | { readonly wanted: string } {
  if (kind === "files") return { value: text.split(",").filter((item) => item !== "") };
  if (kind === "flag") {
    const word = text.toLowerCase();
    if (TRUE.has(word)) return { value: true };
    return FALSE.has(word) ? { value: false } : { wanted: "true or false" };
  }
  if (kind === "count") {
    const value = /^-?\d{1,15}$/.test(text) ? Number(text) : undefined;
    return value === undefined ? { wanted: "a whole number" } : { value };
  }
  if (kind === "text" || kind === "file")
    return text === "" ? { wanted: "a value" } : { value: text };
  const value = kind === "size" ? parseSize(text) : parseDuration(text);
  const example = kind === "size" ? 'a size such as "5MB"' : 'a duration such as "10s"';
  return value === undefined || value < 0 ? { wanted: example } : { value };
}

const TRUE: ReadonlySet<string> = new Set(["true", "1", "t", "yes", "y", "on"]);
const FALSE: ReadonlySet<string> = new Set(["false", "0", "f", "no", "n", "off"]);

function bare(name: string): string {
  return name.replace(/[-_]/g, "").toLowerCase();
}
