/** Settings of encryption: what becomes of them, and which contradict each other. */
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { describe, it } from "node:test";
import { isMillraceError } from "../../../errors.ts";
import type { SettingsOf } from "../../replica-url/settings.ts";
import { encryptionOf } from "./encryption.ts";
import { parseEndpoint } from "./endpoint.ts";

const BYTES = Buffer.alloc(32, 7);
const KEY = BYTES.toString("base64");
const MD5 = createHash("md5").update(BYTES).digest("base64");
const CONTENT = { SSECustomerAlgorithm: "AES256", SSECustomerKey: KEY, SSECustomerKeyMD5: MD5 };

function noFile(): string {
  return assert.fail("no file is read");
}

describe("encryptionOf()", () => {
  it("is none without settings", () => {
    assert.deepEqual(encryptionOf({}, undefined, noFile), { content: {}, creation: {} });
  });

  it("derives the digest of a customer's key, given or in a file", () => {
    const given = encryptionOf({ sseCustomerKey: KEY }, undefined, noFile);
    assert.deepEqual(given, { content: CONTENT, creation: {} });
    const read = (path: string): string => (path === "~/key" ? `${KEY}\n` : noFile());
    const file = {
      sseCustomerKeyPath: "~/key",
      sseCustomerKeyMd5: MD5,
      sseCustomerAlgorithm: "AES256",
    };
    assert.deepEqual(encryptionOf(file, undefined, read), given);
  });

  it("sends a key of the key service with what creates an object only", () => {
    assert.deepEqual(encryptionOf({ sseKmsKeyId: "id" }, undefined, noFile), {
      content: {},
      creation: { ServerSideEncryption: "aws:kms", SSEKMSKeyId: "id" },
    });
  });

  it("sends no key without TLS beyond private networks", () => {
    const at = (endpoint: string): unknown =>
      encryptionOf({ sseCustomerKey: KEY }, parseEndpoint(endpoint), noFile);
    for (const endpoint of ["http://127.0.0.1:9000", "http://10.1.2.3", "https://a.example"])
      assert.ok(at(endpoint));
    assert.throws(
      () => at("http://a.example"),
      (error) => isMillraceError(error, "storage/misconfigured"),
    );
  });

  const refused: Readonly<Record<string, SettingsOf<"s3">>> = {
    "a key of the wrong length": { sseCustomerKey: Buffer.alloc(31, 7).toString("base64") },
    "a key that is not base64": { sseCustomerKey: "7".repeat(32) },
    "two kinds of keys": { sseCustomerKey: KEY, sseKmsKeyId: "id" },
    "two keys": { sseCustomerKey: KEY, sseCustomerKeyPath: "/key" },
    "an algorithm that does not exist": { sseCustomerKey: KEY, sseCustomerAlgorithm: "DES" },
    "the digest of another key": { sseCustomerKey: KEY, sseCustomerKeyMd5: "x" },
    "an algorithm without a key": { sseCustomerAlgorithm: "AES256" },
    "a digest without a key": { sseCustomerKeyMd5: MD5, sseKmsKeyId: "id" },
  };
  for (const [what, settings] of Object.entries(refused)) {
    it(`refuses ${what}, and shows no key`, () => {
      assert.throws(
        () => encryptionOf(settings, undefined, noFile),
        (error) =>
          isMillraceError(error, "storage/misconfigured") &&
          error.hint !== undefined &&
          !error.message.includes(settings.sseCustomerKey ?? KEY),
      );
    });
  }
});
