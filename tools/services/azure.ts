/** Azure Blob Storage: Azurite's blob service, with an account of its own. */
import { join } from "node:path";
import { azureAuthorization, BUCKET, request, secret } from "./http.ts";
import { HOST, type Server } from "./server.ts";
import { AZURITE } from "./versions.ts";

const ACCOUNT = "millracetest";
const API_VERSION = "2025-01-05";

export const azurite: Server<"azure"> = {
  name: "azure",
  recipe: AZURITE,
  async prepare({ directory, freePort }) {
    const port = await freePort();
    const endpoint = `http://${HOST}:${port}/${ACCOUNT}`;
    const accountKey = Buffer.from(secret(32), "hex").toString("base64");
    const listen = ["--blobHost", HOST, "--blobPort", String(port)];
    const flags = ["--silent", "--disableTelemetry", "--skipApiVersionCheck"];
    return {
      args: [...listen, ...flags, "--location", join(directory, "data")],
      env: { AZURITE_ACCOUNTS: `${ACCOUNT}:${accountKey}` },
      isScript: true,
      port,
      service: { endpoint, accountName: ACCOUNT, accountKey, container: BUCKET },
      ready: () => createContainer(endpoint, accountKey),
    };
  },
};

async function createContainer(endpoint: string, key: string): Promise<void> {
  const url = new URL(`${endpoint}/${BUCKET}?restype=container`);
  const headers = { "x-ms-date": new Date().toUTCString(), "x-ms-version": API_VERSION };
  const authorization = azureAuthorization({ name: ACCOUNT, key }, "PUT", url, headers);
  await request(url.href, { method: "PUT", headers: { ...headers, authorization }, accept: [409] });
}
