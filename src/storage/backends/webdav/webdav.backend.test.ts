/** The WebDAV backend against two real servers, which differ: rclone, and Apache with mod_dav. */
import { randomUUID } from "node:crypto";
import { systemClock, systemRandom } from "../../../platform/clock.ts";
import { absence, present, service, type ServiceEntry } from "../../../testing/services.ts";
import type { ConformanceTarget } from "../../conformance/context.ts";
import { storageConformance } from "../../conformance/suite.ts";
import type { ObjectStore } from "../../contract.ts";
import type { RemoteContext } from "../../remote/remote-store.ts";
import type { WebdavTarget } from "../../replica-url/target.ts";
import { openWebdavStore } from "./webdav.ts";

type Server = ServiceEntry<"webdav" | "webdav-apache">;

const rclone = await service("webdav");
const apache = await service("webdav-apache");

const CONTEXT: RemoteContext = { clock: systemClock, random: systemRandom, env: {} };

function targetFor(
  server: Server,
  path: string,
  settings: WebdavTarget["settings"] = {},
): WebdavTarget {
  const { hostname: host, port } = new URL(server.url);
  const login = { webdavUsername: server.user, webdavPassword: server.password };
  return { scheme: "webdav", host, port: Number(port), path, settings: { ...login, ...settings } };
}

/** A collection of its own, removed whole afterwards. */
function place(server: Server): ConformanceTarget {
  const path = `/test-${randomUUID()}`;
  return {
    connect: (): Promise<ObjectStore> => openWebdavStore(targetFor(server, `${path}/a b`), CONTEXT),
    async [Symbol.asyncDispose]() {
      const login = Buffer.from(`${server.user}:${server.password}`).toString("base64");
      const headers = { authorization: `Basic ${login}` };
      await fetch(new URL(`${path}/`, server.url), { method: "DELETE", headers });
    },
  };
}

storageConformance("webdav", async () => place(present(rclone)), { unavailable: absence(rclone) });
storageConformance("webdav-apache", async () => place(present(apache)), {
  unavailable: absence(apache),
});
