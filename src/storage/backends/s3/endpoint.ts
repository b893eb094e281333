/**
 * Endpoints of S3 stores: with or without a scheme, and which hosts are near.
 *
 * Source: benbjohnson/litestream@63225f1 `ensureEndpointScheme`, `isLocalEndpoint`. Here the host is taken out of the URL before
 * it is compared with anything, so that a path in the endpoint (Supabase has one) changes nothing about it.
 */
import { MillraceError } from "../../../errors.ts";

export interface Endpoint {
  /** Without a slash at its end. */
  readonly url: string;
  /** In lower case, an IPv6 address without brackets. */
  readonly host: string;
  readonly isSecure: boolean;
}

/** Reads an endpoint as a user gives it. Throws `storage/misconfigured`, without showing credentials. */
export function parseEndpoint(text: string): Endpoint {
  const trimmed = text.trim();
  const hasScheme = /^[a-z][a-z0-9+.-]*:\/\//i.test(trimmed);
  const parsed = toUrl(hasScheme ? trimmed : `http://${trimmed}`);
  if (parsed === undefined || parsed.hostname === "")
    throw badEndpoint("it cannot be read", "write https://host, or host:port");
  if (parsed.username !== "" || parsed.password !== "") {
    const hint = "give credentials by AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY";
    throw badEndpoint("it holds a user or a password", hint);
  }
  if (parsed.protocol !== "http:" && parsed.protocol !== "https:")
    throw badEndpoint(
      `its scheme is "${parsed.protocol.slice(0, -1)}"`,
      "write http:// or https://",
    );
  if (parsed.search !== "" || parsed.hash !== "")
    throw badEndpoint(
      "it has a query or a fragment",
      "write %26 for & between the replica's settings",
    );
  const host = parsed.hostname.toLowerCase().replace(/^\[|\]$/g, "");
  const isSecure = hasScheme ? parsed.protocol === "https:" : !isNear(host);
  const path = parsed.pathname.replace(/\/+$/, "");
  return {
    url: `${isSecure ? "https" : "http"}://${hostAndPort(parsed, trimmed)}${path}`,
    host,
    isSecure,
  };
}

/** Whether a host is this machine or in a private network, where one speaks HTTP without TLS. */
export function isNear(host: string): boolean {
  if (host === "localhost" || host.endsWith(".localhost") || host.endsWith(".local")) return true;
  if (host.includes(":"))
    return host === "::1" || /^(?:f[cd][0-9a-f]{2}|fe[89ab][0-9a-f]):/.test(host);
  const octets = /^(\d{1,3})\.(\d{1,3})\.\d{1,3}\.\d{1,3}$/.exec(host);
  if (octets === null) return false;
  const [first, second] = [Number(octets[1]), Number(octets[2])];
  if (first === 127 || first === 10) return true;
  return (first === 192 && second === 168) || (first === 172 && second >= 16 && second <= 31);
}

/** The port also where it is the default of the scheme that was assumed while parsing. */
function hostAndPort({ hostname, port }: URL, text: string): string {
  if (port !== "") return `${hostname}:${port}`;
  const written = /^(?:[a-z][a-z0-9+.-]*:\/\/)?(?:\[[^\]]*\]|[^/:]*):(\d+)/i.exec(text)?.[1];
  return written === undefined ? hostname : `${hostname}:${Number(written)}`;
}

function toUrl(text: string): URL | undefined {
  return URL.canParse(text) ? new URL(text) : undefined;
}

function badEndpoint(problem: string, hint: string): MillraceError {
  const op = "open s3 store";
  return new MillraceError("storage/misconfigured", `${op}: the endpoint: ${problem}`, {
    op,
    hint,
  });
}
