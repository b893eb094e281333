/**
 * From settings to what the NATS library connects with. The first complete way of these counts: jwt with seed, a file with
 * credentials, a file with an nkey seed, user with password, token.
 *
 * Source: benbjohnson/litestream@63225f1 `nats.ReplicaClient.options`, whose order and defaults these are.
 */
import {
  type Authenticator,
  credsAuthenticator,
  jwtAuthenticator,
  nkeyAuthenticator,
  nkeys,
  type NodeConnectionOptions,
  tokenAuthenticator,
  usernamePasswordAuthenticator,
} from "@nats-io/transport-node";
import { MillraceError } from "../../../errors.ts";
import { nodeFiles } from "../../../platform/files.ts";
import type { NatsTarget } from "../../replica-url/target.ts";

/** How long a connection, and each answer, may take. */
const DEFAULT_TIMEOUT_MS = 10_000;
/** A connection whose pings stay unanswered for twice this long is given up. */
const PING_INTERVAL_MS = 10_000;
const MAX_PINGS_OUT = 2;
/** An address of IP version 4 or 6. */
const ADDRESS = /^\d{1,3}(?:\.\d{1,3}){3}$|:/;

type Settings = NatsTarget["settings"];

export function timeoutOf({ timeout }: Settings): number {
  return timeout === undefined || timeout === 0 ? DEFAULT_TIMEOUT_MS : timeout;
}

/** Reads the files that settings name. Throws `storage/misconfigured`. */
export function connectionOptions(target: NatsTarget): NodeConnectionOptions {
  const { host, port, settings } = target;
  const authenticator = authenticatorOf(settings);
  const tls = tlsOf(target);
  return {
    servers: host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`,
    name: "millrace",
    timeout: timeoutOf(settings),
    pingInterval: PING_INTERVAL_MS,
    maxPingOut: MAX_PINGS_OUT,
    // A lost connection fails what is under way at once, and nothing is sent twice: the next call opens another.
    reconnect: false,
    ignoreClusterUpdates: true,
    noAsyncTraces: true,
    ...(authenticator === undefined ? {} : { authenticator }),
    ...(tls === undefined ? {} : { tls }),
  };
}

function authenticatorOf(settings: Settings): Authenticator | undefined {
  const { jwt, seed, creds, nkey, username, password, token } = settings;
  if ((jwt === undefined) !== (seed === undefined))
    throw misconfigured("jwt and seed belong together", "give both, or a file with creds");
  if (jwt !== undefined && seed !== undefined)
    return jwtAuthenticator(jwt, seedBytes("the setting seed", seed));
  if (creds !== undefined) {
    const text = readText("creds", creds);
    const [, found] = /-+BEGIN USER NKEY SEED-+\s*(\S+)\s/.exec(text) ?? [];
    if (!/-+BEGIN NATS USER JWT-+\s*\S+\s/.test(text) || found === undefined) {
      const hint = "name a file as `nsc generate creds` writes it";
      throw misconfigured(`"${creds}" holds no credentials of a NATS user`, hint);
    }
    seedBytes(`the file "${creds}"`, found);
    return credsAuthenticator(new TextEncoder().encode(text));
  }
  if (nkey !== undefined)
    return nkeyAuthenticator(seedBytes(`the file "${nkey}"`, readText("nkey", nkey).trim()));
  if (username !== undefined) return usernamePasswordAuthenticator(username, password);
  if (password !== undefined)
    throw misconfigured("a password without a username", "give the setting username as well");
  return token === undefined ? undefined : tokenAuthenticator(token);
}

function tlsOf({ host, settings }: NatsTarget): NodeConnectionOptions["tls"] {
  const { tls, rootCas = [], clientCert, clientKey } = settings;
  if ((clientCert === undefined) !== (clientKey === undefined))
    throw misconfigured("client-cert and client-key belong together", "give both or none");
  const isAsked = tls === true || rootCas.length > 0 || clientCert !== undefined;
  if (!isAsked) return undefined;
  if (tls === false) {
    const hint = "leave tls out, or the certificates";
    throw misconfigured("certificates are named, and tls is switched off", hint);
  }
  // Against which a certificate is checked that is for an address; a name is the library's own matter.
  const address = ADDRESS.test(host) ? { host } : {};
  const ca = rootCas.map((path) => readText("root-cas", path)).join("\n");
  return {
    ...address,
    ...(ca === "" ? {} : { ca }),
    ...(clientCert === undefined ? {} : { cert: readText("client-cert", clientCert) }),
    ...(clientKey === undefined ? {} : { key: readText("client-key", clientKey) }),
  };
}

/** Refuses early what the library would stumble over while it connects. */
function seedBytes(where: string, seed: string): Uint8Array {
  try {
    // Overwrites what it was given.
    nkeys.fromSeed(new TextEncoder().encode(seed)).clear();
  } catch {
    // The reason is left out on purpose: it is about the secret.
    throw misconfigured(`${where} holds no nkey seed`, "a user's seed begins with SU");
  }
  return new TextEncoder().encode(seed);
}

function readText(setting: string, path: string): string {
  const bytes = nodeFiles.readFile(`read ${setting}`, path);
  if (bytes === undefined) {
    const hint = `check the setting ${setting}`;
    throw misconfigured(`there is no file "${path}"`, hint);
  }
  return new TextDecoder().decode(bytes);
}

function misconfigured(found: string, hint: string): MillraceError {
  return new MillraceError("storage/misconfigured", `open nats store: ${found}`, {
    op: "open nats store",
    hint,
  });
}
