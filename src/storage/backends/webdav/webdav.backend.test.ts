/** The WebDAV backend against two real servers, which differ, and against answers that a test makes up. */
import assert from "node:assert/strict";
import { createHash, randomUUID } from "node:crypto";
import { createServer, type IncomingMessage, type RequestListener } from "node:http";
import { describe, it } from "node:test";
import type { Logger } from "../../../base/logger.ts";
import { isMillraceError } from "../../../errors.ts";
import { systemClock, systemRandom } from "../../../platform/clock.ts";
import { absence, present, service, type ServiceEntry } from "../../../testing/services.ts";
import type { ConformanceTarget } from "../../conformance/context.ts";
import { storageConformance } from "../../conformance/suite.ts";
import { assertBytes, assertFails, keysOf, pattern, streamOf } from "../../conformance/support.ts";
import type { ObjectStore } from "../../contract.ts";
import type { RemoteContext } from "../../remote/remote-store.ts";
import type { WebdavTarget } from "../../replica-url/target.ts";
import { openWebdavStore } from "./webdav.ts";

type DavService = ServiceEntry<"webdav" | "webdav-apache">;

const rclone = await service("webdav");
const apache = await service("webdav-apache");

const CONTEXT: RemoteContext = { clock: systemClock, random: systemRandom, env: {} };
const SECRET = "no-such-password-77c1";

function targetFor(
  server: Pick<DavService, "url" | "user" | "password">,
  path: string,
  settings: WebdavTarget["settings"] = {},
): WebdavTarget {
  const { hostname: host, port } = new URL(server.url);
  const login = { webdavUsername: server.user, webdavPassword: server.password };
  return { scheme: "webdav", host, port: Number(port), path, settings: { ...login, ...settings } };
}

/** A collection of its own, removed whole afterwards. */
function place(server: DavService): ConformanceTarget {
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

const SERVERS = { webdav: rclone, "webdav-apache": apache } as const;

for (const [name, found] of Object.entries(SERVERS)) {
  const unavailable = absence(found);
  storageConformance(name, async () => place(present(found)), { unavailable });

  describe(name, { skip: unavailable ?? false }, () => {
    it("tells that a password is refused, once and without it", async () => {
      const settings = { webdavPassword: SECRET };
      await using store = await openWebdavStore(targetFor(present(found), "/x", settings), CONTEXT);
      for (const action of [() => store.head("a"), () => store.put("a", pattern(1))]) {
        const error = await action().catch((thrown: unknown) => thrown);
        assert.ok(isMillraceError(error, "storage/permission"), String(error));
        const shown = JSON.stringify([
          error.message,
          error.hint,
          error.details,
          String(error.cause),
        ]);
        assert.ok(!shown.includes(SECRET) && !shown.includes(btoa(SECRET)), shown);
      }
      assert.equal(store.usage?.()?.retries, 0);
    });

    it("makes two requests for an upload, and one to see what came of it", async () => {
      await using target = place(present(found));
      await using store = await target.connect();
      await store.put("d/a", pattern(10));
      const before = store.usage?.()?.requests;
      await store.put("d/b", streamOf([pattern(10)]));
      const after = store.usage?.()?.requests;
      assert.equal((after?.put ?? 0) - (before?.put ?? 0), 2);
      assert.equal((after?.head ?? 0) - (before?.head ?? 0), 1);
    });

    it("does not delete a collection in an object's place", async () => {
      await using target = place(present(found));
      await using store = await target.connect();
      await store.put("d/a", pattern(10));
      await store.delete(["d"]);
      assert.deepEqual(await keysOf(store), ["d/a"]);
      await assertFails("storage/invalid-key", () => store.put("d/a/b", pattern(1)));
    });
  });
}

describe("webdav capabilities", () => {
  const absent = [rclone, apache].filter((found) => typeof found === "string").join(", ");
  const skip = absent === "" ? false : absent;
  it(
    "have conditional creates where moves are atomic, and not where they are not",
    { skip },
    async () => {
      assert.ok(typeof rclone !== "string" && typeof apache !== "string");
      for (const [server, isAtomic] of [
        [rclone, true],
        [apache, false],
      ] as const) {
        await using store = await openWebdavStore(targetFor(server, "/x"), CONTEXT);
        assert.equal(store.capabilities.conditionalCreate, isAtomic);
      }
    },
  );

  it("promise nothing, and say so, when the server does not answer", async () => {
    const warnings: string[] = [];
    const log: Logger = { log: (_level, message) => void warnings.push(message), with: () => log };
    const nobody = { url: "http://127.0.0.1:9/", user: "u", password: SECRET };
    await using store = await openWebdavStore(targetFor(nobody, "/x"), { ...CONTEXT, log });
    assert.equal(store.capabilities.conditionalCreate, false);
    assert.match(warnings.join(), /^webdav:\/\/127\.0\.0\.1:9\/x did not say/);
    await assertFails("storage/unavailable", () => store.head("a"));
  });
});

/** A server whose answers are the test's. */
async function withServer(
  listener: RequestListener,
  run: (store: ObjectStore) => Promise<void>,
): Promise<void> {
  const server = createServer(listener);
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  try {
    const address = server.address();
    assert.ok(typeof address === "object" && address !== null);
    const url = `http://127.0.0.1:${address.port}/`;
    const target = targetFor({ url, user: "user", password: SECRET }, "/base");
    await using store = await openWebdavStore(target, CONTEXT);
    await run(store);
  } finally {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  }
}

function multistatus(hrefs: readonly string[]): string {
  const responses = hrefs.map((href) => {
    const type = href.endsWith("/") ? "<D:collection/>" : "";
    const props = `<D:resourcetype>${type}</D:resourcetype><D:getcontentlength>1000</D:getcontentlength><D:getetag>"e"</D:getetag>`;
    return `<D:response><D:href>${href}</D:href><D:propstat><D:prop>${props}</D:prop><D:status>HTTP/1.1 200 OK</D:status></D:propstat></D:response>`;
  });
  return `<?xml version="1.0"?><D:multistatus xmlns:D="DAV:">${responses.join("")}</D:multistatus>`;
}

async function drain(request: IncomingMessage): Promise<void> {
  for await (const _ of request);
}

describe("webdav answers", () => {
  it("of a whole object to a request for a part are cut", async () => {
    const whole = pattern(1_000);
    await withServer(
      (request, response) => {
        if (request.method === "GET") response.writeHead(200, { etag: '"e"' }).end(whole);
        else response.writeHead(207).end(multistatus(["/base/a"]));
      },
      async (store) => {
        const body = await store.get("a", { offset: 100, sizeBytes: 50 });
        assert.equal(body.info.sizeBytes, 1_000);
        assertBytes(await body.bytes(), whole.slice(100, 150));
      },
    );
  });

  it("have their hrefs decoded once, with or without a host", async () => {
    const hrefs = [
      "/base/",
      "http://other/base/a%2520b",
      "/base/c%2526d",
      "/base/e&amp;f",
      "/base/.tmp",
    ];
    await withServer(
      (_request, response) => response.writeHead(207).end(multistatus(hrefs)),
      async (store) => assert.deepEqual(await keysOf(store), ["a%20b", "c%26d", "e&f"]),
    );
  });

  it("of something else than WebDAV are told as such", async () => {
    await withServer(
      (_request, response) => response.writeHead(200).end("<html>hello</html>"),
      async (store) => {
        const error = await store.head("a").catch((thrown: unknown) => thrown);
        assert.ok(isMillraceError(error, "storage/misconfigured"), String(error));
        assert.match(error.message, /does not speak WebDAV/);
      },
    );
  });

  it("asking for Digest get it, before a body is sent", async () => {
    const bodies: string[] = [];
    const md5 = (text: string): string => createHash("md5").update(text).digest("hex");
    const isRight = (request: IncomingMessage): boolean => {
      const field = (name: string): string =>
        new RegExp(`${name}="?([^",]+)`).exec(request.headers.authorization ?? "")?.[1] ?? "";
      const secret = md5(`user:r:${SECRET}`);
      const asked = md5(`${request.method}:${field("uri")}`);
      const parts = [secret, field("nonce"), field("nc"), field("cnonce"), "auth", asked];
      return field("response") === md5(parts.join(":"));
    };
    await withServer(
      (request, response) => {
        void (async (): Promise<void> => {
          if (!isRight(request)) {
            const challenge = 'Digest realm="r", nonce="n", qop="auth", algorithm=MD5';
            response.writeHead(401, { "www-authenticate": challenge }).end();
            return;
          }
          if (request.method === "PUT") bodies.push(request.headers["content-length"] ?? "chunked");
          await drain(request);
          if (request.method === "PROPFIND") response.writeHead(207).end(multistatus(["/base/a"]));
          else response.writeHead(201).end();
        })();
      },
      async (store) => {
        await store.put("a", streamOf([pattern(500), pattern(500)]));
      },
    );
    assert.deepEqual(bodies, ["1000"]);
  });
});
