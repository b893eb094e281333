/**
 * How a configuration says who keeps the lease of a destination: the destination itself, nobody, or a service beside it.
 *
 * A URL may hold a token or a password; errors show neither.
 */
import { MillraceError } from "../errors.ts";

export type LeaseChoice =
  /** The destination's own store, where it can; else nobody, which is logged. */
  | { readonly kind: "auto" }
  /** Nobody: somebody else sees to it that one process writes. */
  | { readonly kind: "none" }
  | {
      readonly kind: "consul" | "etcd";
      readonly endpoint: string;
      readonly key: string;
      readonly token: string | undefined;
    }
  | {
      readonly kind: "nats";
      readonly server: string;
      readonly key: string;
      readonly user: string | undefined;
      readonly password: string | undefined;
      readonly token: string | undefined;
    }
  | { readonly kind: "file"; /** Absolute. */ readonly path: string };

const PORTS = { consul: "8500", etcd: "2379", nats: "4222" } as const;
const HINT =
  'write auto, none, consul://host/key, etcd://host/key, nats://host/key or file:///path; "?tls" for TLS';

/** Throws `config/invalid`. */
export function parseLease(text: string): LeaseChoice {
  if (text === "auto" || text === "none") return { kind: text };
  const url = URL.parse(text);
  const scheme = url?.protocol.slice(0, -1);
  if (url === null || scheme === undefined) throw invalid("it is neither a word nor a URL");
  if (scheme === "file") return { kind: "file", path: decodeURIComponent(url.pathname) };
  if (scheme !== "consul" && scheme !== "etcd" && scheme !== "nats")
    throw invalid(`nothing is known that keeps leases by "${scheme}"`);
  const key = decodeURIComponent(url.pathname).replace(/^\/+|\/+$/g, "");
  if (url.hostname === "") throw invalid("it names no host");
  if (key === "") throw invalid("it names no key");
  const host = `${url.hostname}:${url.port === "" ? PORTS[scheme] : url.port}`;
  const user = decoded(url.username);
  const password = decoded(url.password);
  const isTls = hasTls(url);
  if (scheme === "nats") {
    const isToken = password === undefined;
    return {
      kind: scheme,
      server: `${isTls ? "tls" : "nats"}://${host}`,
      key,
      user: isToken ? undefined : user,
      password,
      token: isToken ? user : undefined,
    };
  }
  if (password !== undefined) throw invalid("a password is not used here", "write token@host");
  return { kind: scheme, endpoint: `http${isTls ? "s" : ""}://${host}`, key, token: user };
}

function hasTls({ searchParams }: URL): boolean {
  const [unknown] = [...searchParams.keys()].filter((name) => name !== "tls");
  if (unknown !== undefined) throw invalid("it has a parameter that is not known");
  const value = searchParams.get("tls") ?? "false";
  return value === "" || value === "true";
}

function decoded(part: string): string | undefined {
  return part === "" ? undefined : decodeURIComponent(part);
}

function invalid(found: string, hint = HINT): MillraceError {
  return new MillraceError("config/invalid", `read lease: ${found}`, { op: "read lease", hint });
}
