/** Replica URLs: one line for each case of the grammar, and that no secret is ever shown. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import * as fc from "fast-check";
import { isMillraceError, MillraceError } from "../errors.ts";
import { formatReplicaUrl, LATER_SCHEMES, parseReplicaUrl, redactUrl } from "./replica-url.ts";

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
  ["ftp://host/path", /file:\/\/\/path, memory:name/],
  ["gcs://bucket/path", /gs/],
  ["C:\\backups", /file:\/\/\/path/],
  ["memory:a/b", /./],
  ["memory:a?b", /./],
];

function failure(url: string): MillraceError {
  try {
    parseReplicaUrl(url);
  } catch (error) {
    assert.ok(error instanceof MillraceError);
    return error;
  }
  return assert.fail(`${url} is accepted`);
}

describe("parseReplicaUrl()", () => {
  for (const [url, path] of FILE_URLS) {
    it(`reads ${url} as ${path}`, () => {
      assert.deepEqual(parseReplicaUrl(url), { scheme: "file", path });
    });
  }

  it("reads memory URLs", () => {
    assert.deepEqual(parseReplicaUrl("memory:"), { scheme: "memory", name: "" });
    assert.deepEqual(parseReplicaUrl("memory:test-1"), { scheme: "memory", name: "test-1" });
    assert.deepEqual(parseReplicaUrl("memory://test-1"), { scheme: "memory", name: "test-1" });
  });

  for (const [url, hint] of INVALID) {
    it(`refuses ${JSON.stringify(url)}`, () => {
      const error = failure(url);
      assert.equal(error.code, "url/invalid");
      assert.match(`${error.hint} ${error.message}`, hint);
      assert.equal(error.exitCode, 2);
    });
  }

  it("refuses a NUL in a path", () => {
    assert.equal(failure("file:///a%00b").code, "url/invalid");
  });

  for (const scheme of LATER_SCHEMES) {
    it(`says that ${scheme} comes in a later version`, () => {
      const error = failure(`${scheme}://bucket/path?region=x`);
      assert.equal(error.code, "url/unsupported");
      assert.match(error.message, new RegExp(`"${scheme}:…": not in this version`));
    });
  }

  it("names an unknown scheme and the known ones", () => {
    const error = failure("s4://bucket/path");
    assert.match(error.message, /unknown scheme "s4"/);
    for (const scheme of ["file", "memory", ...LATER_SCHEMES])
      assert.ok(error.hint?.includes(scheme));
  });

  it("gives back what formatReplicaUrl() wrote", () => {
    const name = fc.string({ unit: "grapheme", minLength: 1, maxLength: 12 }).filter(isName);
    fc.assert(
      fc.property(fc.array(name, { minLength: 1, maxLength: 4 }), (names) => {
        const url = { scheme: "file", path: `/${names.join("/")}` } as const;
        assert.deepEqual(parseReplicaUrl(formatReplicaUrl(url)), url);
      }),
    );
    const memory = { scheme: "memory", name: "a.b" } as const;
    assert.deepEqual(parseReplicaUrl(formatReplicaUrl(memory)), memory);
  });
});

function isName(text: string): boolean {
  return text !== "." && text !== ".." && !text.includes("/") && !text.includes("\0");
}

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
        assert.ok(isMillraceError(error, "url/invalid", "url/unsupported"));
        const shown = JSON.stringify([error.message, error.hint, error.details, String(error)]);
        for (const part of secret.split(/[@/]/)) {
          assert.ok(!shown.toLowerCase().includes(part.toLowerCase()), `${url} gives ${shown}`);
        }
      }
    }
  });
});
