/** Who keeps a lease, as a configuration says it. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { MillraceError } from "../errors.ts";
import { parseLease, type LeaseChoice } from "./lease-url.ts";

const NO_LOGIN = { user: undefined, password: undefined, token: undefined };

const CHOICES: readonly (readonly [text: string, choice: LeaseChoice])[] = [
  ["auto", { kind: "auto" }],
  ["none", { kind: "none" }],
  [
    "consul://localhost/millrace/shop",
    {
      kind: "consul",
      endpoint: "http://localhost:8500",
      key: "millrace/shop",
      token: undefined,
    },
  ],
  [
    "consul://t%40ken@host:8501/k?tls",
    { kind: "consul", endpoint: "https://host:8501", key: "k", token: "t@ken" },
  ],
  ["etcd://[::1]/k/", { kind: "etcd", endpoint: "http://[::1]:2379", key: "k", token: undefined }],
  ["nats://h/k", { kind: "nats", server: "nats://h:4222", key: "k", ...NO_LOGIN }],
  [
    "nats://u:p@h/k?tls=true",
    { kind: "nats", server: "tls://h:4222", key: "k", ...NO_LOGIN, user: "u", password: "p" },
  ],
  [
    "nats://tok@h/k",
    { kind: "nats", server: "nats://h:4222", key: "k", ...NO_LOGIN, token: "tok" },
  ],
  ["file:///run/my%20lock", { kind: "file", path: "/run/my lock" }],
];

describe("parseLease()", () => {
  for (const [text, choice] of CHOICES) {
    it(`reads ${text}`, () => assert.deepEqual(parseLease(text), choice));
  }

  const INVALID: readonly (readonly [text: string, found: RegExp])[] = [
    ["", /neither a word nor a URL/],
    ["yes", /neither a word nor a URL/],
    ["s3://bucket", /by "s3"/],
    ["consul:///key", /no host|neither/],
    ["etcd://host", /no key/],
    ["etcd://user:S3CR3T@host/key", /password is not used/],
    ["etcd://S3CR3T@host/key?S3CR3T=1", /parameter/],
  ];
  for (const [text, found] of INVALID) {
    it(`refuses ${JSON.stringify(text)}`, () => {
      assert.throws(
        () => parseLease(text),
        (error) => {
          assert.ok(error instanceof MillraceError && error.code === "config/invalid");
          assert.match(error.message, found);
          return !`${error.message} ${error.hint}`.includes("S3CR3T");
        },
      );
    });
  }
});
