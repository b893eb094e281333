/** How a replica is named, and what a replica URL names once it is understood: one form for each kind of store. */
import type { ReplicaSettings, SettingsOf } from "./settings.ts";

/** A replica as a caller or a configuration names it. */
export interface ReplicaLocation {
  /** May hold credentials: shown only through `redactUrl`. */
  readonly url: string;
  /** Go before what the URL says. */
  readonly settings?: ReplicaSettings | undefined;
}

export interface FileTarget {
  readonly scheme: "file";
  /** Absolute, clean, decoded. */
  readonly path: string;
}

export interface MemoryTarget {
  readonly scheme: "memory";
  /** Empty for a store of its own. */
  readonly name: string;
}

/** Where the objects are inside of a bucket or container: decoded, without slashes at its ends, empty for all of it. */
interface Prefixed {
  readonly prefix: string;
}

export interface S3Target extends Prefixed {
  readonly scheme: "s3";
  /** Name, or the ARN of an access point. */
  readonly bucket: string;
  readonly settings: SettingsOf<"s3">;
}

export interface OssTarget extends Prefixed {
  readonly scheme: "oss";
  readonly bucket: string;
  readonly settings: SettingsOf<"oss">;
}

export interface GcsTarget extends Prefixed {
  readonly scheme: "gs";
  readonly bucket: string;
  readonly settings: SettingsOf<"gs">;
}

export interface AzureTarget extends Prefixed {
  readonly scheme: "abs";
  readonly container: string;
  readonly settings: SettingsOf<"abs">;
}

export interface SftpTarget {
  readonly scheme: "sftp";
  readonly host: string;
  readonly port: number;
  /** Absolute (`/…`), or relative to the login directory; clean, decoded. */
  readonly path: string;
  readonly settings: SettingsOf<"sftp">;
}

export interface WebdavTarget {
  /** `webdavs` is over TLS. */
  readonly scheme: "webdav" | "webdavs";
  readonly host: string;
  /** `undefined` for the protocol's own. */
  readonly port: number | undefined;
  /** Absolute, clean, decoded. */
  readonly path: string;
  readonly settings: SettingsOf<"webdav">;
}

export interface NatsTarget extends Prefixed {
  readonly scheme: "nats";
  readonly host: string;
  readonly port: number;
  /** The object store. Litestream keeps one database in each, at its root; a prefix makes room for several. */
  readonly bucket: string;
  readonly settings: SettingsOf<"nats">;
}

export type ReplicaTarget =
  | FileTarget
  | MemoryTarget
  | S3Target
  | OssTarget
  | GcsTarget
  | AzureTarget
  | SftpTarget
  | WebdavTarget
  | NatsTarget;
