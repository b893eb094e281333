/** Endpoints: what users write for them, and which hosts are near. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { isMillraceError } from "../../../errors.ts";
import { isNear, parseEndpoint } from "./endpoint.ts";

const READ: readonly (readonly [text: string, url: string, host: string])[] = [
  ["https://s3.example.com", "https://s3.example.com", "s3.example.com"],
  ["http://S3.Example.com:9000/", "http://s3.example.com:9000", "s3.example.com"],
  ["s3.example.com", "https://s3.example.com", "s3.example.com"],
  ["s3.example.com:80", "https://s3.example.com:80", "s3.example.com"],
  ["s3.example.com:9000", "https://s3.example.com:9000", "s3.example.com"],
  ["localhost:9000", "http://localhost:9000", "localhost"],
  ["127.0.0.1:9000", "http://127.0.0.1:9000", "127.0.0.1"],
  ["192.168.1.20:9000", "http://192.168.1.20:9000", "192.168.1.20"],
  ["172.31.0.1", "http://172.31.0.1", "172.31.0.1"],
  ["172.200.0.1", "https://172.200.0.1", "172.200.0.1"],
  ["8.8.8.8:443", "https://8.8.8.8:443", "8.8.8.8"],
  ["[::1]:9000", "http://[::1]:9000", "::1"],
  ["https://[2001:db8::1]:9000", "https://[2001:db8::1]:9000", "2001:db8::1"],
  ["[2001:db8::1]", "https://[2001:db8::1]", "2001:db8::1"],
  ["minio.local", "http://minio.local", "minio.local"],
  ["abc.supabase.co/storage/v1/s3", "https://abc.supabase.co/storage/v1/s3", "abc.supabase.co"],
  ["https://localhost/base/", "https://localhost/base", "localhost"],
];

const REFUSED: readonly string[] = [
  "",
  "https://",
  "ftp://host",
  "https://id:hunter2@host",
  "id:hunter2@host:9000",
  "https://host?a=hunter2",
  "https://host#hunter2",
  "::1",
  "host:99999",
];

describe("parseEndpoint()", () => {
  for (const [text, url, host] of READ) {
    it(`reads "${text}"`, () => {
      const found = parseEndpoint(text);
      assert.deepEqual([found.url, found.host], [url, host]);
      assert.equal(found.isSecure, url.startsWith("https:"));
    });
  }

  for (const text of REFUSED) {
    it(`refuses "${text}", and shows none of it`, () => {
      assert.throws(
        () => parseEndpoint(text),
        (error) =>
          isMillraceError(error, "storage/misconfigured") &&
          error.hint !== undefined &&
          !error.message.includes("hunter2"),
      );
    });
  }
});

describe("isNear()", () => {
  const near = ["localhost", "a.localhost", "b.local", "127.9.9.9", "10.0.0.1", "192.168.0.1"];
  const alsoNear = ["172.16.0.1", "172.31.255.255", "::1", "fd00::1", "fe80::1"];
  const far = ["172.15.0.1", "172.32.0.1", "192.169.0.1", "11.0.0.1", "example.com", "2001:db8::1"];
  const alsoFar = ["local", "10.example.com", "localhost.example.com", "fc.example.com"];

  it("knows this machine and private networks", () => {
    for (const host of [...near, ...alsoNear]) assert.ok(isNear(host), host);
    for (const host of [...far, ...alsoFar]) assert.ok(!isNear(host), host);
  });
});
