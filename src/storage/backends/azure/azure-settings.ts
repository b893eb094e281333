/**
 * Which container is meant and who asks: endpoint and credentials from settings and environment.
 *
 * Source: benbjohnson/litestream@63225f1 `abs.ReplicaClient.Init`: a SAS token goes before an account's key, which goes before
 * the default chain. Here a key without its account is an error; there it is passed over.
 */
import { MillraceError } from "../../../errors.ts";
import type { AzureTarget } from "../../replica-url/target.ts";

export type AzureCredentials =
  | { readonly kind: "sas"; readonly token: string }
  | { readonly kind: "key"; readonly accountName: string; readonly accountKey: string }
  | { readonly kind: "default" };

export interface AzureAccess {
  /** Without query and without a slash at its end. */
  readonly endpoint: string;
  readonly accountName: string | undefined;
  readonly credentials: AzureCredentials;
}

/** Throws `storage/misconfigured`, without showing a secret. */
export function azureAccess(
  { settings }: AzureTarget,
  env: Readonly<Record<string, string | undefined>>,
): AzureAccess {
  const { accountName } = settings;
  const endpoint = azureEndpoint(settings.endpoint, accountName);
  const token = settings.sasToken ?? present(env["LITESTREAM_AZURE_SAS_TOKEN"]);
  if (token !== undefined)
    return { endpoint, accountName, credentials: { kind: "sas", token: sasToken(token) } };
  const accountKey = settings.accountKey ?? present(env["LITESTREAM_AZURE_ACCOUNT_KEY"]);
  if (accountKey === undefined) {
    if (endpoint.startsWith("http:")) {
      const problem =
        "there is neither a SAS token nor an account key, and nothing else may go over plain http";
      const hint = "give account-name and account-key, or use an https endpoint";
      throw misconfigured(problem, hint);
    }
    return { endpoint, accountName, credentials: { kind: "default" } };
  }
  if (accountName === undefined) {
    const hint = "write abs://ACCOUNT@CONTAINER/PATH, or give the setting account-name";
    throw misconfigured("there is an account key, but no account name", hint);
  }
  if (!/^[A-Za-z0-9+/]+={0,2}$/.test(accountKey)) {
    const hint = "copy it as `az storage account keys list` shows it";
    throw misconfigured("the account key is not base64", hint);
  }
  return { endpoint, accountName, credentials: { kind: "key", accountName, accountKey } };
}

function azureEndpoint(setting: string | undefined, accountName: string | undefined): string {
  if (setting === undefined) {
    if (accountName === undefined) {
      const hint =
        "write abs://ACCOUNT@CONTAINER/PATH, or give the setting account-name or endpoint";
      throw misconfigured("the account is not named", hint);
    }
    if (!/^[a-z0-9-]{3,64}$/.test(accountName))
      throw misconfigured(
        "the account name is none",
        "account names have lower-case letters and digits",
      );
    return `https://${accountName}.blob.core.windows.net`;
  }
  const hint =
    "write it as in https://ACCOUNT.blob.core.windows.net; a SAS token is the setting sas-token";
  const url = URL.parse(/^[a-z][a-z0-9+.-]*:\/\//i.test(setting) ? setting : `https://${setting}`);
  if (url === null || !/^https?:$/.test(url.protocol) || url.hostname === "")
    throw misconfigured("the endpoint is no http or https address", hint);
  if (url.username !== "" || url.password !== "" || url.search !== "" || url.hash !== "")
    throw misconfigured("the endpoint has more than host, port and path", hint);
  return url.origin + url.pathname.replace(/\/+$/, "");
}

/** Portals show it with a question mark. */
function sasToken(text: string): string {
  const token = text.replace(/^\?/, "");
  if (/(?:^|&)sig=./.test(token) && !/[\s#?]/.test(token)) return token;
  const hint =
    "copy all of it, as in sv=…&sp=rwdl&sig=…; in a URL's query write %26 for & and %25 for %";
  throw misconfigured("the SAS token has no signature, or more than a token", hint);
}

function present(text: string | undefined): string | undefined {
  return text === "" ? undefined : text;
}

function misconfigured(problem: string, hint: string): MillraceError {
  const op = "open abs store";
  return new MillraceError("storage/misconfigured", `${op}: ${problem}`, { op, hint });
}
