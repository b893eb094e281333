/** Replica URLs: one line for each case of the grammar, and that no secret is ever shown. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { isMillraceError, MillraceError } from "../../errors.ts";
import { redactUrl } from "./redact.ts";
import { parseReplicaUrl } from "./replica-url.ts";
import { REPLICA_SCHEMES, type ReplicaSettings } from "./settings.ts";
import type { ReplicaTarget } from "./target.ts";

const FILE_URLS: readonly (readonly [url: string, path: string])[] = [
  ["file:///abs/dir", "/abs/dir"],
  ["file:///abs/dir/", "/abs/dir"],
  ["file:///abs//dir", "/abs/dir"],
  ["file:///abs/./dir/../other", "/abs/other"],
  ["file:///../../abs", "/abs"],
  ["file://a/b", "/a/b"],
  ["file://localhost/b", "/localhost/b"],
  ["file:/abs", "/abs"],
  ["FILE:///Abs", "/Abs"],
  ["file:///with space", "/with space"],
  ["file:///with%20space", "/with space"],
  ["file:///with%2520space", "/with%20space"],
  ["file:///a%2Fb", "/a/b"],
  ["file:///a+b&c=d;e", "/a+b&c=d;e"],
  ["file:///what%3F%23", "/what?#"],
  ["file:///caf%C3%A9/café", "/café/café"],
  ["file:///data/app.db@2", "/data/app.db@2"],
];

/** Source: the examples of Litestream's documentation, its tests of `ParseReplicaURL` and `ParseHost`. */
const NETWORK_URLS: readonly (readonly [url: string, target: ReplicaTarget])[] = [
  ["s3://bucket", s3("bucket", "")],
  ["s3://bucket/", s3("bucket", "")],
  ["s3://bucket//a/./b/", s3("bucket", "a/b")],
  ["S3://Bucket/my%20db", s3("Bucket", "my db")],
  [
    "s3://b/p?endpoint=localhost:9000&forcePathStyle=true&skip-verify=1",
    s3("b", "p", { endpoint: "localhost:9000", forcePathStyle: true, skipVerify: true }),
  ],
  [
    "s3://b/p?force-path-style=false&signPayload=no",
    s3("b", "p", { forcePathStyle: false, signPayload: false }),
  ],
  [
    "s3://b/p?skip-verify&part-size=8MiB&concurrency=3",
    s3("b", "p", { skipVerify: true, partSize: 8_388_608, concurrency: 3 }),
  ],
  [
    "s3://b/p?requireContentMD5=f&sseCustomerKeyMD5=a%3D%3D",
    s3("b", "p", { requireContentMd5: false, sseCustomerKeyMd5: "a==" }),
  ],
  ["s3://b/p?endpoint=http://[::1]:9000", s3("b", "p", { endpoint: "http://[::1]:9000" })],
  [
    "s3://b.10.0.0.1:9000/p",
    s3("b", "p", { endpoint: "http://10.0.0.1:9000", region: "us-east-1", forcePathStyle: true }),
  ],
  [
    "s3://b.localhost:9000/p",
    s3("b", "p", { endpoint: "http://localhost:9000", region: "us-east-1", forcePathStyle: true }),
  ],
  ["s3://my.b.s3.amazonaws.com/p", s3("my.b", "p")],
  ["s3://b.s3.us-west-2.amazonaws.com/p", s3("b", "p", { region: "us-west-2" })],
  ["s3://b.s3-us-west-2.amazonaws.com/p", s3("b", "p", { region: "us-west-2" })],
  [
    "s3://b.nyc3.digitaloceanspaces.com/p",
    s3("b", "p", {
      endpoint: "https://nyc3.digitaloceanspaces.com",
      region: "nyc3",
      forcePathStyle: false,
    }),
  ],
  [
    "s3://b.s3.us-west-000.backblazeb2.com/p",
    s3("b", "p", {
      endpoint: "https://s3.us-west-000.backblazeb2.com",
      region: "us-west-000",
      forcePathStyle: true,
    }),
  ],
  [
    "s3://b.s3.filebase.com/p",
    s3("b", "p", {
      endpoint: "https://s3.filebase.com",
      region: "us-east-1",
      forcePathStyle: true,
    }),
  ],
  [
    "s3://b.s3.fr-par.scw.cloud/p?region=x",
    s3("b", "p", { endpoint: "https://s3.fr-par.scw.cloud", region: "x", forcePathStyle: false }),
  ],
  [
    "s3://arn:aws:s3:us-east-1:123456789012:accesspoint/ap/a/b",
    s3("arn:aws:s3:us-east-1:123456789012:accesspoint/ap", "a/b", { region: "us-east-1" }),
  ],
  ["oss://b/p", { scheme: "oss", bucket: "b", prefix: "p", settings: {} }],
  [
    "oss://b.oss-cn-shanghai-internal.aliyuncs.com/p",
    { scheme: "oss", bucket: "b", prefix: "p", settings: { region: "cn-shanghai" } },
  ],
  ["gs://b/p/q", { scheme: "gs", bucket: "b", prefix: "p/q", settings: {} }],
  ["abs://c/p", { scheme: "abs", container: "c", prefix: "p", settings: {} }],
  [
    "abs://acc@c/p",
    { scheme: "abs", container: "c", prefix: "p", settings: { accountName: "acc" } },
  ],
  ["sftp://u:p%40w@host/a", sftp("/a", { user: "u", password: "p@w" })],
  [
    "sftp://u@host:2222/a?keyPath=/k&concurrent-writes=false",
    { ...sftp("/a", { user: "u", keyPath: "/k", concurrentWrites: false }), port: 2222 },
  ],
  ["sftp://[fe80::1]:2222/a", { ...sftp("/a"), host: "fe80::1", port: 2222 }],
  ["sftp://host/~/a/b", sftp("a/b")],
  ["sftp://host/~", sftp(".")],
  [
    "webdavs://u:p@host/dav/x",
    {
      scheme: "webdavs",
      host: "host",
      port: undefined,
      path: "/dav/x",
      settings: { webdavUsername: "u", webdavPassword: "p" },
    },
  ],
  ["webdav://host:8080", { scheme: "webdav", host: "host", port: 8080, path: "/", settings: {} }],
  ["nats://host/bucket", nats("")],
  ["nats://u:p@host/bucket/a/b", nats("a/b", { username: "u", password: "p" })],
  [
    "nats://tok@host/bucket?tls=true&root-cas=/a,/b&timeout=5s",
    nats("", { token: "tok", tls: true, rootCas: ["/a", "/b"], timeout: 5000 }),
  ],
];

function s3(bucket: string, prefix: string, settings: ReplicaSettings = {}): ReplicaTarget {
  return { scheme: "s3", bucket, prefix, settings };
}

function sftp(path: string, settings: ReplicaSettings = {}): ReplicaTarget & { scheme: "sftp" } {
  return { scheme: "sftp", host: "host", port: 22, path, settings };
}

function nats(prefix: string, settings: ReplicaSettings = {}): ReplicaTarget {
  return { scheme: "nats", host: "host", port: 4222, bucket: "bucket", prefix, settings };
}

const INVALID: readonly (readonly [url: string, hint: RegExp])[] = [
  ["", /file:\/\/\/path/],
  [" ", /file:\/\/\/path/],
  ["/backups/app", /did you mean "file:\/\/\/backups\/app"/],
  ["/back ups/../app", /did you mean "file:\/\/\/app"/],
  ["backups/app", /did you mean "file:\/\/\/absolute\/path"/],
  ["./app", /did you mean/],
  ["file:relative", /file:\/\/\/absolute\/path/],
  ["file:", /absolute/],
  ["file:///", /absolute/],
  ["file:///..", /absolute/],
  ["file:///100%", /%25/],
  ["file:///bad%zz", /%25/],
  ["file:///bad%ff", /%25/],
  ["file:///a?b=c", /%3F/],
  ["file:///a#b", /%23/],
  ["ftp://host/path", /sftp:\/\/user@host/],
  ["gcs://bucket/path", /gs/],
  ["C:\\backups", /file:\/\/\/path/],
  ["s3:bucket", /two slashes/],
  ["s3://", /no bucket/],
  ["s3:///path", /no bucket/],
  ["s3://b/p?regoin=x", /did you mean "region"/],
  ["s3://b/p?region=x&region=y", /"region" is there twice/],
  ["s3://b/p?region=", /"region" wants a value/],
  ["s3://b/p?forcePathStyle=maybe", /wants true or false/],
  ["s3://b/p?part-size=big", /wants a size/],
  ["s3://b/p?concurrency=x", /wants a whole number/],
  ["s3://b/p#x", /fragment/],
  ["s3://key:secret@b/p", /access-key-id/],
  ["s3://localhost:9000/b/p", /endpoint=http/],
  ["s3://1.2.3.4:9000/b/p", /endpoint=http/],
  ["s3://arn:aws:sns:us-east-1:1:topic/p", /access points/],
  ["s3://arn:aws:s3:us-east-1:1:accesspoint", /access point/],
  ["oss://", /no bucket/],
  ["gs://", /no bucket/],
  ["gs://u@b/p", /GOOGLE_APPLICATION_CREDENTIALS/],
  ["gs://b/p?region=x", /endpoint/],
  ["abs://", /no container/],
  ["abs://acc:key@c/p", /account-key/],
  ["sftp://host", /no directory/],
  ["sftp:///a", /no host/],
  ["sftp://host:0/a", /host and port/],
  ["sftp://host:99999/a", /host and port/],
  ["sftp://user:pa/ss@host/a", /host and port/],
  ["sftp://fe80::1/a", /IPv6/],
  ["webdav:///a", /no host/],
  ["nats://host", /no bucket/],
  ["nats://host/", /no bucket/],
  ["memory:a/b", /./],
  ["memory:a?b", /./],
];

function failure(url: string): MillraceError {
  try {
    parseReplicaUrl({ url });
  } catch (error) {
    assert.ok(error instanceof MillraceError);
    return error;
  }
  return assert.fail(`${url} is accepted`);
}

describe("parseReplicaUrl()", () => {
  for (const [url, path] of FILE_URLS) {
    it(`reads ${url} as ${path}`, () => {
      assert.deepEqual(parseReplicaUrl({ url }), { scheme: "file", path });
    });
  }

  it("reads memory URLs", () => {
    assert.deepEqual(parseReplicaUrl({ url: "memory:" }), { scheme: "memory", name: "" });
    assert.deepEqual(parseReplicaUrl({ url: "memory:test-1" }), {
      scheme: "memory",
      name: "test-1",
    });
    assert.deepEqual(parseReplicaUrl({ url: "memory://test-1" }), {
      scheme: "memory",
      name: "test-1",
    });
  });

  for (const [url, hint] of INVALID) {
    it(`refuses ${JSON.stringify(url)}`, () => {
      const error = failure(url);
      assert.equal(error.code, "url/invalid");
      assert.match(`${error.hint} ${error.message}`, hint);
      assert.equal(error.exitCode, 2);
    });
  }

  for (const [url, target] of NETWORK_URLS) {
    it(`reads ${url}`, () => assert.deepEqual(parseReplicaUrl({ url }), target));
  }

  it("lets settings go before what the URL says, and keeps the rest", () => {
    const url = "s3://bucket/db?endpoint=http://a:1&region=eu";
    const settings: ReplicaSettings = { endpoint: "http://b:2", partSize: 5e6, region: undefined };
    const target = parseReplicaUrl({ url, settings });
    assert.deepEqual("settings" in target && target.settings, {
      endpoint: "http://b:2",
      region: "eu",
      partSize: 5_000_000,
    });
  });

  it("refuses settings that the scheme does not have", () => {
    for (const url of ["file:///a", "memory:a", "gs://bucket/a", "sftp://host/a"]) {
      assert.throws(
        () => parseReplicaUrl({ url, settings: { accountKey: "S3CR3T" } }),
        (error) => isMillraceError(error, "url/invalid") && !error.message.includes("S3CR3T"),
      );
    }
  });

  it("refuses a NUL in a path", () => {
    assert.equal(failure("file:///a%00b").code, "url/invalid");
  });

  it("names an unknown scheme and the known ones", () => {
    const error = failure("s4://bucket/path");
    assert.match(error.message, /unknown scheme "s4"/);
    for (const scheme of REPLICA_SCHEMES) assert.ok(error.hint?.includes(scheme));
  });
});

describe("redactUrl()", () => {
  const CASES: readonly (readonly [url: string, shown: string])[] = [
    ["sftp://user:secret@host/path", "sftp://***@host/path"],
    ["sftp://user:sec@ret/word@host/path", "sftp://***@host/path"],
    ["sftp://user:sec@ret/w?rd@host/path", "sftp://***"],
    ["s3://bucket/path?secret=a@b", "s3://***"],
    ["s3://bucket/path?secret=x&b=y", "s3://bucket/path?***"],
    ["s3://key:secret@bucket/path?sse=secret#secret", "s3://***@bucket/path?***"],
    ["user:secret@host/path", "***@host/path"],
    ["user:secret@", "***@"],
    ["file:///a/b", "file:///a/b"],
    ["nats://secret@host", "nats://***@host"],
  ];

  for (const [url, shown] of CASES) {
    it(`shows ${shown}`, () => assert.equal(redactUrl(url), shown));
  }
});

describe("errors about URLs", () => {
  it("never show user, password or query values", () => {
    const secrets = ["AKIASECRET", "S3CR3T", "hunter2@ssap/w0rd"];
    const forms = (secret: string): string[] => [
      `${secret}:${secret}@host/path`,
      `x:${secret}@host/path`,
      `/path/${secret}@host`,
      `s3://${secret}:${secret}@bucket/path`,
      `s3://bucket/path?key=${secret}`,
      `unknown://${secret}:${secret}@host/path`,
      `unknown://host/path?token=${secret}`,
      `unknown://host/path#${secret}`,
      `file://user:${secret}@host/path?x`,
      `file:///path?password=${secret}`,
      `file:///path%zz?${secret}`,
      `memory:a?${secret}`,
      `path/without/scheme?token=${secret}`,
      `/path/without/scheme?token=${secret}`,
      `/path/without/scheme#${secret}`,
      `AKIA:${secret}@`,
    ];
    for (const secret of secrets) {
      for (const url of forms(secret)) {
        const error = failure(url);
        assert.ok(isMillraceError(error, "url/invalid"));
        const shown = JSON.stringify([error.message, error.hint, error.details, String(error)]);
        for (const part of secret.split(/[@/]/)) {
          assert.ok(!shown.toLowerCase().includes(part.toLowerCase()), `${url} gives ${shown}`);
        }
      }
    }
  });
});
