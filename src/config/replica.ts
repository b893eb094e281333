/**
 * Where a replica is and with which settings, from its own keys and the top-level ones.
 *
 * Its own keys go before top-level ones, and both before what its URL says. A top-level key concerns those replicas whose
 * store has such a setting; bucket, host and webdav-url only those without a URL.
 *
 * Source: benbjohnson/litestream@63225f1 `ReplicaConfig`, `ReplicaSettings.SetDefaults`, which leaves some settings out.
 */
import { pathToFileURL } from "node:url";
import { withoutUndefined } from "../base/objects.ts";
import { MillraceError } from "../errors.ts";
import { parseLease } from "../lease/lease-url.ts";
import { parseReplicaUrl } from "../storage/replica-url/replica-url.ts";
import {
  SETTING_KINDS,
  settingKey,
  STORE_SETTINGS,
  type ReplicaScheme,
  type ReplicaSettings,
  type SettingKind,
} from "../storage/replica-url/settings.ts";
import type { ReplicaConfig } from "./contract.ts";
import { DEFAULT_SYNC_INTERVAL_MS } from "./defaults.ts";
import type { Place } from "./document.ts";
import { PLACE_KEYS } from "./keys.ts";
import { expandPath, type PathContext } from "./paths.ts";
import type { ReplicaEntry, StoreEntry } from "./schema.ts";

export interface ReplicaContext {
  readonly place: Place;
  readonly context: PathContext;
  readonly complain: (place: Place, message: string) => void;
}

/** `undefined` after a complaint. `defaults` are the top-level keys. */
export function buildReplica(
  entry: ReplicaEntry,
  defaults: StoreEntry,
  { place, context, complain }: ReplicaContext,
): ReplicaConfig | undefined {
  const complainOf = (key: string, message: string): undefined => {
    complain([...place, key], message);
    return undefined;
  };
  const { url: written } = entry;
  if (written !== undefined) {
    const second = ["path", ...PLACE_KEYS].find((key) => entry[key] !== undefined);
    if (second !== undefined) return complainOf(second, 'not together with "url"');
  }
  const scheme = written === undefined ? (entry.type ?? "file") : schemeOf(written);
  const location = { ...pick(defaults, PLACE_KEYS), ...entry };
  const url = written ?? composeUrl(scheme ?? "file", location, { place, context, complain });
  if (url === undefined) return undefined;
  const settings =
    scheme === undefined ? {} : settingsOf(scheme, entry, defaults, { complainOf, context });
  try {
    parseReplicaUrl({ url, settings });
  } catch (error) {
    if (!(error instanceof MillraceError)) throw error;
    const hint = error.hint === undefined ? "" : ` (${error.hint})`;
    return complainOf(written === undefined ? "path" : "url", `${error.message}${hint}`);
  }
  const lease = entry.lease ?? defaults.lease ?? "auto";
  if (!isLease(lease, complainOf)) return undefined;
  const syncIntervalMs =
    entry["sync-interval"] ?? defaults["sync-interval"] ?? DEFAULT_SYNC_INTERVAL_MS;
  return {
    url,
    ...(Object.keys(settings).length === 0 ? {} : { settings }),
    syncIntervalMs,
    lease,
    leaseTtlMs: entry["lease-ttl"] ?? defaults["lease-ttl"],
  };
}

function isLease(text: string, complainOf: (key: string, message: string) => undefined): boolean {
  try {
    parseLease(text);
    return true;
  } catch (error) {
    if (!(error instanceof MillraceError)) throw error;
    complainOf("lease", `${error.message} (${error.hint ?? ""})`);
    return false;
  }
}

function schemeOf(url: string): ReplicaScheme | undefined {
  const scheme = url.slice(0, Math.max(0, url.indexOf(":"))).toLowerCase();
  return Object.hasOwn(STORE_SETTINGS, scheme) ? (scheme as ReplicaScheme) : undefined;
}

function settingsOf(
  scheme: ReplicaScheme,
  entry: ReplicaEntry,
  defaults: StoreEntry,
  options: {
    readonly complainOf: (key: string, message: string) => void;
    readonly context: PathContext;
  },
): ReplicaSettings {
  const table: Readonly<Record<string, SettingKind>> = STORE_SETTINGS[scheme];
  const own = new Set(Object.keys(table).map(settingKey));
  const foreign = [...SETTING_KINDS.keys()].find(
    (key) => entry[key] !== undefined && !own.has(key),
  );
  if (foreign !== undefined) options.complainOf(foreign, `${scheme} replicas have no such setting`);
  const values = Object.entries(table).map(([name, kind]) => {
    const key = settingKey(name);
    const value = entry[key] ?? defaults[key];
    return [name, isPathKind(kind) ? expanded(value, options.context) : value];
  });
  return withoutUndefined(Object.fromEntries(values) as ReplicaSettings);
}

function isPathKind(kind: SettingKind): boolean {
  return kind === "file" || kind === "files";
}

function expanded(value: unknown, context: PathContext): unknown {
  if (Array.isArray(value)) return value.map((path) => expandPath(String(path), context));
  return typeof value === "string" ? expandPath(value, context) : value;
}

function pick(entry: StoreEntry, keys: readonly string[]): StoreEntry {
  return Object.fromEntries(keys.map((key) => [key, entry[key]]));
}

/** The URL that says the same as `type`, `bucket`, `host` and `path`. */
function composeUrl(
  scheme: ReplicaScheme,
  entry: ReplicaEntry,
  { place, context, complain }: ReplicaContext,
): string | undefined {
  const { bucket, host, path = "" } = entry;
  const missing = (key: string): undefined => {
    complain(place, `a replica of type "${scheme}" needs a "${key}", or a "url"`);
    return undefined;
  };
  if (/^\w+:\/\//.test(path)) {
    complain([...place, "path"], `"${path}" is a URL: write it as "url"`);
    return undefined;
  }
  const tail = path.split("/").map(encodeURIComponent).join("/").replace(/^\/+/, "");
  switch (scheme) {
    case "file":
      if (path !== "") return pathToFileURL(expandPath(path, context)).href;
      complain(place, 'a replica needs a "url" or a "path"');
      return undefined;
    case "memory":
      return `memory:${tail}`;
    case "s3":
    case "oss":
    case "gs":
    case "abs":
      return bucket === undefined ? missing("bucket") : `${scheme}://${bucket}/${tail}`;
    case "sftp":
      if (host === undefined) return missing("host");
      // Without a slash a path begins in the login directory.
      return `sftp://${host}${path.startsWith("/") ? "/" : "/~/"}${tail}`;
    case "webdav":
    case "webdavs": {
      const base = entry["webdav-url"];
      if (base === undefined) return missing("webdav-url");
      const match = /^http(s?):\/\/(.+?)\/*$/i.exec(base);
      if (match !== null) return `webdav${match[1]?.toLowerCase()}://${match[2]}/${tail}`;
      complain([...place, "webdav-url"], "wanted an address that begins with http:// or https://");
      return undefined;
    }
    default:
      if (host === undefined) return missing("host");
      return bucket === undefined ? missing("bucket") : `nats://${host}/${bucket}/${tail}`;
  }
}
