/** Two WebDAV servers, because they differ in conditions, moves and ranges: rclone, and Apache with mod_dav. */
import { mkdirSync, writeFileSync } from "node:fs";
import { createHash } from "node:crypto";
import { join } from "node:path";
import { canMakeAccounts, giveTo, makeAccount } from "./account.ts";
import { request, secret } from "./http.ts";
import { HOST, type Server } from "./server.ts";
import { APACHE, RCLONE } from "./versions.ts";

const USER = "millrace";
const APACHE_MODULES = "/usr/lib/apache2/modules";

export const rclone: Server<"webdav"> = {
  name: "webdav",
  recipe: RCLONE,
  async prepare({ directory, freePort }) {
    const port = await freePort();
    const password = secret();
    const data = join(directory, "data");
    mkdirSync(data);
    const url = `http://${HOST}:${port}/`;
    return {
      args: [
        "serve",
        "webdav",
        data,
        "--addr",
        `${HOST}:${port}`,
        "--config",
        join(directory, "rclone.conf"),
      ],
      env: { RCLONE_USER: USER, RCLONE_PASS: password },
      port,
      service: { url, user: USER, password },
      ready: () => collectionIsThere(url, password),
    };
  },
};

/** Started by root its workers run as another user, so what they serve lies where that user can reach it. */
export const apache: Server<"webdav-apache"> = {
  name: "webdav-apache",
  recipe: APACHE,
  async prepare({ directory, freePort, sharedDirectory }) {
    const port = await freePort();
    const password = secret();
    const shared = sharedDirectory();
    const data = join(shared, "data");
    mkdirSync(data);
    const users = join(shared, "users");
    const hash = createHash("sha1").update(password).digest("base64");
    writeFileSync(users, `${USER}:{SHA}${hash}\n`);
    const account = canMakeAccounts() ? makeAccount(directory, port, shared) : undefined;
    if (account !== undefined) giveTo(account, [shared, data, users]);
    const config = join(directory, "apache.conf");
    writeFileSync(
      config,
      apacheConfig({ directory, shared, data, users, port, user: account?.user }),
    );
    const url = `http://${HOST}:${port}/`;
    return {
      args: ["-D", "FOREGROUND", "-f", config],
      port,
      service: { url, user: USER, password },
      ready: () => collectionIsThere(url, password),
    };
  },
};

interface ApachePlaces {
  readonly directory: string;
  readonly shared: string;
  readonly data: string;
  readonly users: string;
  readonly port: number;
  /** Of the workers; undefined where they run as whoever starts them. */
  readonly user: string | undefined;
}

function apacheConfig({ directory, shared, data, users, port, user }: ApachePlaces): string {
  const authentication = ["authn_core", "authn_file", "authz_core", "authz_user", "auth_basic"];
  const modules = ["mpm_event", ...authentication, "dav", "dav_fs"];
  return [
    `ServerRoot "${directory}"`,
    `ServerName ${HOST}`,
    `Listen ${HOST}:${port}`,
    `PidFile "${join(directory, "apache.pid")}"`,
    `DefaultRuntimeDir "${directory}"`,
    `ErrorLog "${join(directory, "error.log")}"`,
    ...modules.map((name) => `LoadModule ${name}_module ${APACHE_MODULES}/mod_${name}.so`),
    ...(user === undefined ? [] : [`User ${user}`, `Group ${user}`]),
    `DocumentRoot "${data}"`,
    `DavLockDB "${join(shared, "locks")}"`,
    `<Directory "${data}">`,
    "  Dav On",
    "  AuthType Basic",
    "  AuthName millrace",
    `  AuthUserFile "${users}"`,
    "  Require valid-user",
    "</Directory>",
    "",
  ].join("\n");
}

async function collectionIsThere(url: string, password: string): Promise<void> {
  const credentials = Buffer.from(`${USER}:${password}`).toString("base64");
  const headers = { authorization: `Basic ${credentials}`, depth: "1" };
  await request(url, { method: "PROPFIND", headers });
}
