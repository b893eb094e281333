/** What answers and broken connections are called. */
import assert from "node:assert/strict";
import http from "node:http";
import { once } from "node:events";
import type { AddressInfo } from "node:net";
import net from "node:net";
import { describe, it } from "node:test";
import type { ErrorCode, MillraceError } from "../../errors.ts";
import { httpError, networkError } from "./failures.ts";

const CALL = { op: "put object", key: "ltx/0/a", where: "s3://bucket" };

describe("httpError()", () => {
  const STATUSES: readonly (readonly [status: number, code: ErrorCode])[] = [
    [400, "storage/misconfigured"],
    [401, "storage/permission"],
    [403, "storage/permission"],
    [404, "storage/not-found"],
    [408, "storage/unavailable"],
    [429, "storage/throttled"],
    [500, "storage/unavailable"],
    [502, "storage/unavailable"],
    [503, "storage/throttled"],
    [507, "storage/unavailable"],
  ];
  for (const [status, code] of STATUSES) {
    it(`calls ${status} ${code}`, () => {
      const error = httpError({ ...CALL, status, code: "Why", text: "because\n of this" });
      assert.equal(error.code, code);
      assert.equal(
        error.message,
        `put object "ltx/0/a" in s3://bucket: the store answered ${status} (Why: because of this)`,
      );
      assert.equal(error.details["status"], status);
    });
  }

  it("keeps how long to wait, and cuts long texts", () => {
    const text = "x".repeat(100_000);
    const error = httpError({ ...CALL, status: 429, text, retryAfterMs: 1500 });
    assert.equal(error.details["retryAfterMs"], 1500);
    assert.ok(error.message.length < 500);
  });
});

describe("networkError()", () => {
  async function failure(url: string): Promise<MillraceError> {
    const cause = await fetch(url).then(
      () => assert.fail("it answered"),
      (error: unknown) => error,
    );
    return networkError({ ...CALL, cause }) ?? assert.fail(String(cause));
  }

  async function listening(server: net.Server): Promise<number> {
    await once(server.listen(0, "127.0.0.1"), "listening");
    return (server.address() as AddressInfo).port;
  }

  it("knows a port where nothing listens, and that nothing was sent", async () => {
    const server = net.createServer();
    const port = await listening(server);
    server.close();
    await once(server, "close");
    const error = await failure(`http://127.0.0.1:${port}/`);
    assert.equal(error.code, "storage/unavailable");
    assert.equal(error.details["sent"], false);
    assert.match(error.message, /in s3:\/\/bucket: nothing listens there$/);
    assert.match(error.hint ?? "", /endpoint/);
  });

  it("knows a host that has no name", async () => {
    const error = await failure("http://no-such-host.invalid/");
    assert.equal(error.code, "storage/unavailable");
    assert.equal(error.details["sent"], false);
  });

  it("knows a connection that was cut, and cannot tell what was done", async () => {
    const server = net.createServer((socket) => {
      socket.on("data", () => socket.resetAndDestroy());
    });
    const error = await failure(`http://127.0.0.1:${await listening(server)}/`);
    server.close();
    assert.equal(error.code, "storage/unavailable");
    assert.notEqual(error.details["sent"], false);
  });

  it("knows a server that speaks no TLS", async () => {
    const server = http.createServer((_, response) => response.end());
    const error = await failure(`https://127.0.0.1:${await listening(server)}/`);
    server.close();
    assert.equal(error.code, "storage/misconfigured");
    assert.match(error.hint ?? "", /TLS/);
  });

  it("leaves other errors to others", () => {
    assert.equal(networkError({ ...CALL, cause: new Error("x") }), undefined);
    assert.equal(networkError({ ...CALL, cause: new TypeError("fetch failed") }), undefined);
    assert.equal(networkError(CALL), undefined);
  });
});
