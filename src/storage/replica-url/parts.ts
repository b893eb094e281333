/** A network URL taken apart: user, host, port, path and the settings in its query. */
import { assert } from "../../base/assert.ts";
import { withoutUndefined } from "../../base/objects.ts";
import type { MillraceError } from "../../errors.ts";
import { cleanPath, decodePart } from "./paths.ts";
import { invalidUrl } from "./redact.ts";
import {
  findSetting,
  parseSetting,
  settingHint,
  settingKey,
  STORE_SETTINGS,
  type ReplicaScheme,
  type ReplicaSettings,
  type SettingKind,
} from "./settings.ts";

export interface UrlParts {
  readonly url: string;
  readonly user: string | undefined;
  readonly password: string | undefined;
  /** Host with its port, as written. */
  readonly authority: string;
  /** Absolute, clean, decoded. */
  readonly path: string;
  /** From the query, and over them what the caller gave. */
  readonly settings: ReplicaSettings;
}

const FORM = /^\/\/([^/?#]*)([^?#]*)(?:\?([^#]*))?(#.*)?$/s;

/** `rest` is what follows `scheme:`. Throws `url/invalid`. */
export function splitUrl(
  url: string,
  scheme: ReplicaScheme,
  rest: string,
  settings: ReplicaSettings,
): UrlParts {
  const match = FORM.exec(rest);
  if (match === null) throw invalidUrl(url, "two slashes are missing", `write ${scheme}://…`);
  const [, whole = "", path = "", query = "", fragment] = match;
  if (fragment !== undefined)
    throw invalidUrl(url, "it has a fragment", "write %23 for # in a path or a password");
  const at = whole.lastIndexOf("@");
  const userinfo = at < 0 ? undefined : whole.slice(0, at);
  const colon = userinfo?.indexOf(":") ?? -1;
  const decode = (part: string): string => decodePart(url, part);
  return {
    url,
    user:
      userinfo === undefined ? undefined : decode(colon < 0 ? userinfo : userinfo.slice(0, colon)),
    password: userinfo === undefined || colon < 0 ? undefined : decode(userinfo.slice(colon + 1)),
    authority: decode(whole.slice(at + 1)),
    path: cleanPath(decode(path)),
    settings: { ...querySettings(url, scheme, query), ...withoutUndefined(settings) },
  };
}

/** Settings in a query. An empty query is none. */
function querySettings(url: string, scheme: ReplicaScheme, query: string): ReplicaSettings {
  const found: Record<string, unknown> = {};
  const table: Readonly<Record<string, SettingKind>> = STORE_SETTINGS[scheme];
  for (const part of query.split("&")) {
    if (part === "") continue;
    const equals = part.indexOf("=");
    const decode = (text: string): string => decodePart(url, text);
    const spelling = decode(equals < 0 ? part : part.slice(0, equals));
    const name = findSetting(scheme, spelling);
    // Without a value it may be a secret that lost its name.
    if (name === undefined) throw unknownSetting(url, scheme, equals < 0 ? "" : spelling);
    if (name in found) throw invalidUrl(url, `the setting "${settingKey(name)}" is there twice`);
    const kind = table[name];
    assert(kind !== undefined, "a setting that was found has a kind");
    // A flag without a value is on, as in `?skip-verify`.
    const text = equals < 0 && kind === "flag" ? "true" : decode(part.slice(equals + 1));
    const parsed = equals < 0 && kind !== "flag" ? { wanted: "a value" } : parseSetting(kind, text);
    if ("wanted" in parsed)
      throw invalidUrl(url, `the setting "${settingKey(name)}" wants ${parsed.wanted}`);
    found[name] = parsed.value;
  }
  return found;
}

/** Throws `url/invalid` for settings that the scheme does not have. */
export function refuseSettings(
  url: string,
  scheme: ReplicaScheme,
  settings: ReplicaSettings,
): void {
  for (const name of Object.keys(withoutUndefined(settings))) {
    if (findSetting(scheme, name) !== name) throw unknownSetting(url, scheme, name);
  }
}

function unknownSetting(url: string, scheme: ReplicaScheme, spelling: string): MillraceError {
  const name = /^[a-z][a-z0-9_-]{0,40}$/i.test(spelling) ? ` "${spelling}"` : "";
  return invalidUrl(
    url,
    `${scheme} replicas have no setting${name}`,
    settingHint(scheme, spelling),
  );
}

/** A host name or address and a port. Brackets of an IPv6 address are taken off. */
export function splitAuthority(
  { url, authority }: UrlParts,
  defaultPort: number | undefined,
): { readonly host: string; readonly port: number | undefined } {
  const match = /^(?:\[([0-9a-f:.%]+)\]|([^:[\]]+))(?::(\d{1,5}))?$/i.exec(authority);
  const host = match?.[1] ?? match?.[2];
  const port = match?.[3] === undefined ? defaultPort : Number(match[3]);
  if (host === undefined || port === 0 || (port ?? 0) > 65_535) {
    const problem = authority === "" ? "it names no host" : "the host and port cannot be read";
    throw invalidUrl(url, problem, "write host, host:port or [IPv6 address]:port");
  }
  return { host, port };
}
