/** A chain of trust for a NATS server of a test's own: an operator, a system account, an account with JetStream, a user. */
import { createHash } from "node:crypto";

interface KeyPair {
  getPublicKey(): string;
  getSeed(): Uint8Array;
  sign(input: Uint8Array): Uint8Array;
}

/** What `nkeys` of the NATS library has. */
export interface KeyMaker {
  createOperator(): KeyPair;
  createAccount(): KeyPair;
  createUser(): KeyPair;
}

export interface NatsAccounts {
  /** Lines of the server's configuration. */
  readonly configuration: string;
  readonly userJwt: string;
  readonly userSeed: string;
  /** A file with credentials, as `nsc` writes it. */
  readonly creds: string;
}

const UNLIMITED = -1;

export function natsAccounts(nkeys: KeyMaker): NatsAccounts {
  const operator = nkeys.createOperator();
  const system = nkeys.createAccount();
  const account = nkeys.createAccount();
  const user = nkeys.createUser();
  const counts = { subs: UNLIMITED, conn: UNLIMITED, leaf: UNLIMITED, data: UNLIMITED };
  const limits = { ...counts, payload: UNLIMITED, imports: UNLIMITED, exports: UNLIMITED };
  const jetstream = { mem_storage: UNLIMITED, disk_storage: UNLIMITED, streams: UNLIMITED };
  const accountLimits = { ...limits, ...jetstream, consumer: UNLIMITED };
  const userLimits = { subs: UNLIMITED, data: UNLIMITED, payload: UNLIMITED };
  const operatorJwt = sign(operator, operator, "operator", {});
  const systemJwt = sign(operator, system, "account", { limits });
  const accountJwt = sign(operator, account, "account", { limits: accountLimits });
  const userJwt = sign(account, user, "user", userLimits);
  const userSeed = new TextDecoder().decode(user.getSeed());
  return {
    configuration: [
      `operator: ${operatorJwt}`,
      `system_account: ${system.getPublicKey()}`,
      "resolver: MEMORY",
      "resolver_preload: {",
      `${system.getPublicKey()}: ${systemJwt}`,
      `${account.getPublicKey()}: ${accountJwt}`,
      "}",
    ].join("\n"),
    userJwt,
    userSeed,
    creds: [
      "-----BEGIN NATS USER JWT-----",
      userJwt,
      "------END NATS USER JWT------",
      "",
      "-----BEGIN USER NKEY SEED-----",
      userSeed,
      "------END USER NKEY SEED------",
      "",
    ].join("\n"),
  };
}

function sign(
  issuer: KeyPair,
  subject: KeyPair,
  type: string,
  facts: Readonly<Record<string, unknown>>,
): string {
  const claims = {
    iat: 1_700_000_000,
    iss: issuer.getPublicKey(),
    name: type,
    sub: subject.getPublicKey(),
    nats: { ...facts, type, version: 2 },
  };
  const jti = createHash("sha256").update(JSON.stringify(claims)).digest("hex");
  const parts = [
    { typ: "JWT", alg: "ed25519-nkey" },
    { jti, ...claims },
  ];
  const text = parts
    .map((part) => Buffer.from(JSON.stringify(part)).toString("base64url"))
    .join(".");
  const signature = Buffer.from(issuer.sign(new TextEncoder().encode(text))).toString("base64url");
  return `${text}.${signature}`;
}
