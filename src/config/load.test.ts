import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { isMillraceError, type MillraceError } from "../errors.ts";
import type { Config } from "./contract.ts";
import { parseConfig } from "./load.ts";

const NO_LEASE_KEYS = { lease: "auto", leaseTtlMs: undefined };
const CONTEXT = { source: "test.yml", env: {}, pid: 4711, cwd: "/srv", home: "/home-of-x" };

function parse(text: string, env: Record<string, string> | undefined = {}): Config {
  return parseConfig(text, { ...CONTEXT, env });
}

function refusal(text: string): MillraceError {
  try {
    parse(text);
  } catch (error) {
    if (isMillraceError(error, "config/invalid")) return error;
    throw error;
  }
  return assert.fail(`accepted: ${text}`);
}

function database(lines: string): string {
  return `dbs:\n  - path: /data/app.db\n    replica:\n      url: file:///backup\n${lines}`;
}

describe("parseConfig()", () => {
  it("fills in every default", () => {
    assert.deepEqual(parse(database("")), {
      databases: [
        {
          path: "/data/app.db",
          metaDir: undefined,
          replica: { url: "file:///backup", syncIntervalMs: 1000, ...NO_LEASE_KEYS },
          monitorIntervalMs: 1000,
          checkpointIntervalMs: 60_000,
          checkpointPages: 750,
          truncatePages: 121_359,
          maxSyncWalBytes: 67_108_864,
          busyTimeoutMs: 1000,
          pageFormat: "block",
        },
      ],
      exec: undefined,
      logging: { level: "info", type: "text", stderr: false },
      shutdownSyncTimeoutMs: 30_000,
    });
  });

  it("reads every key", () => {
    const config = parse(`
exec: node app.js
shutdown-sync-timeout: 5s
sync-interval: 2s
logging: { level: WARNING, type: json, stderr: yes }
dbs:
  - path: sqlite://~/a.db
    meta-path: meta
    monitor-interval: 250ms
    checkpoint-interval: 0
    min-checkpoint-page-count: 10
    truncate-page-n: 0
    max-sync-wal-bytes: 0
    busy-timeout: 1m30s
    page-format: frame
    replicas:
      - { type: file, path: "my backup", name: old }
  - path: b.db
    replica: { url: "memory:x", sync-interval: 20ms }
`);
    assert.deepEqual(config.logging, { level: "warn", type: "json", stderr: true });
    assert.deepEqual([config.exec, config.shutdownSyncTimeoutMs], ["node app.js", 5000]);
    assert.deepEqual(config.databases[0], {
      path: "/home-of-x/a.db",
      metaDir: "/srv/meta",
      replica: { url: "file:///srv/my%20backup", syncIntervalMs: 2000, ...NO_LEASE_KEYS },
      monitorIntervalMs: 250,
      checkpointIntervalMs: 0,
      checkpointPages: 10,
      truncatePages: 121_359,
      maxSyncWalBytes: Number.MAX_SAFE_INTEGER,
      busyTimeoutMs: 90_000,
      pageFormat: "frame",
    });
    assert.deepEqual(config.databases[1]?.replica, {
      url: "memory:x",
      syncIntervalMs: 20,
      ...NO_LEASE_KEYS,
    });
  });

  it("accepts a file that says nothing", () => {
    for (const text of ["", "# nothing\n", "{}"]) assert.deepEqual(parse(text).databases, []);
  });

  it("expands variables, unless told not to", () => {
    const text = database("exec: echo $A ${B} $$A $UNSET. $PID");
    assert.equal(parse(text, { A: "one", B: "two" }).exec, "echo one two $A . 4711");
    assert.equal(
      parseConfig(text, { ...CONTEXT, env: undefined }).exec,
      "echo $A ${B} $$A $UNSET. $PID",
    );
  });

  it("refuses bare numbers as durations and says why [T8]", () => {
    const { message } = refusal(database("    monitor-interval: 10\n"));
    assert.equal(
      message,
      'read config "test.yml": line 5: dbs[0].monitor-interval: a duration needs a unit: ' +
        'write "10s" for seconds or "10ms" for milliseconds (got 10)',
    );
  });

  it("names the line and the nearest key for an unknown one", () => {
    const { message } = refusal(database("    chekpoint-interval: 1s\n"));
    assert.match(message, /line 5: unknown key "dbs\[0\]\.chekpoint-interval" in a database/);
    assert.match(message, /did you mean "checkpoint-interval"\?/);
    assert.match(refusal("dbz: []").message, /line 1: unknown key "dbz".*did you mean "dbs"\?/);
  });

  it("says which of Litestream's keys this version does not have", () => {
    const { message } = refusal(`
addr: ":9090"
levels: [{ interval: 30s }]
dbs:
  - path: a.db
    restore-if-db-not-exists: true
    replica: { url: "file:///b", retention: 1h, auto-recover: true }
`);
    for (const wanted of [
      'line 2: "addr" is not supported in this version',
      'line 3: "levels" is not supported in this version',
      'line 6: "dbs[0].restore-if-db-not-exists" is not supported in this version',
      'line 7: unknown key "dbs[0].replica.retention" in a replica',
      'line 7: "dbs[0].replica.auto-recover" is not supported in this version',
    ]) {
      assert.ok(message.includes(wanted), `${wanted} in ${message}`);
    }
  });

  for (const [what, text, wanted] of [
    ["broken YAML", "dbs: [", /line \d/],
    ["a scalar", "hello", /wanted keys and values/],
    ["a list of the wrong kind", "dbs: 5", /line 1: dbs: wanted a list of databases/],
    ["a database without a path", "dbs: [{replica: {url: 'file:///b'}}]", /needs a "path"/],
    ["a database without a replica", "dbs: [{path: a}]", /needs a "replica"/],
    ["a replica without a place", "dbs: [{path: a, replica: {}}]", /needs a "url" or a "path"/],
    [
      "a URL as a path",
      "dbs: [{path: a, replica: {path: 's3://b'}}]",
      /is a URL: write it as "url"/,
    ],
    [
      "both a URL and a path",
      "dbs: [{path: a, replica: {path: b, url: 'file:///c'}}]",
      /not together with "url"/,
    ],
    [
      "two replicas",
      "dbs: [{path: a, replicas: [{url: 'file:///c'}, {url: 'file:///d'}]}]",
      /wanted exactly one replica \(got 2\)/,
    ],
    ["a type that does not exist", "dbs: [{path: a, replica: {type: s4}}]", /wanted one of file,/],
    ["a bucket that is missing", "dbs: [{path: a, replica: {type: s3}}]", /needs a "bucket"/],
    ["a host that is missing", "dbs: [{path: a, replica: {type: sftp}}]", /needs a "host"/],
    [
      "a bucket beside a URL",
      "dbs: [{path: a, replica: {url: 's3://b/c', bucket: d}}]",
      /replica\.bucket: not together with "url"/,
    ],
    [
      "a setting of another store",
      "dbs: [{path: a, replica: {url: 's3://b/c', sas-token: d}}]",
      /replica\.sas-token: s3 replicas have no such setting/,
    ],
    [
      "a size that is none",
      "dbs: [{path: a, replica: {url: 's3://b/c', part-size: big}}]",
      /part-size: wanted a size such as "5MB"/,
    ],
    [
      "a URL that cannot be read, without its secrets",
      "dbs: [{path: a, replica: {url: 's3://key:S3CR3T@b/c'}}]",
      /replica\.url: (?!.*S3CR3T).*a user does not belong before the bucket/,
    ],
    [
      "the same database twice",
      "dbs: [{path: a, replica: {path: b}}, {path: ./a, replica: {path: c}}]",
      /dbs\[1\]\.path: the same database as dbs\[0\]/,
    ],
    [
      "two databases in one replica",
      "dbs: [{path: a, replica: {path: b}}, {path: c, replica: {path: b}}]",
      /the same replica as dbs\[0\]: each database needs its own/,
    ],
    ["an unknown log type", "logging: {type: pretty}", /wanted one of text, json \(got "pretty"\)/],
    ["an unknown level", "logging: {level: loud}", /wanted one of trace, debug/],
    ["a blank command", 'exec: "  "', /exec: the command is empty/],
    ["a negative duration", "shutdown-sync-timeout: -1s", /must not be negative/],
    ["a zero interval", "sync-interval: 0s", /must be greater than zero/],
    ["a text as a flag", "logging: {stderr: maybe}", /wanted true or false/],
    ["no duration at all", "sync-interval: soon", /wanted a duration such as "1s"/],
  ] as const) {
    it(`refuses ${what}`, () => {
      assert.match(refusal(text).message, wanted);
    });
  }

  it("reports every problem at once", () => {
    const { message } = refusal("sync-interval: 5\nexcec: x\nlogging: {level: loud}\n");
    assert.equal(message.split("\n").length, 4);
  });
});

describe("replicas in a configuration", () => {
  function replica(yaml: string, top = ""): Config["databases"][number]["replica"] {
    const [database] = parse(`${top}\ndbs: [{ path: a, replica: ${yaml} }]`).databases;
    return database?.replica ?? assert.fail("no database");
  }

  const PLACES: readonly (readonly [yaml: string, url: string])[] = [
    ["{ type: s3, bucket: b, path: my db/x }", "s3://b/my%20db/x"],
    ["{ type: s3, bucket: b }", "s3://b/"],
    ["{ type: gs, bucket: b, path: /x }", "gs://b/x"],
    ["{ type: abs, bucket: c, path: x }", "abs://c/x"],
    ["{ type: oss, bucket: b, path: x }", "oss://b/x"],
    ["{ type: sftp, host: 'h:2222', path: /x }", "sftp://h:2222/x"],
    ["{ type: sftp, host: h, path: x }", "sftp://h/~/x"],
    ["{ type: webdav, webdav-url: 'https://h:8443/dav/', path: x }", "webdavs://h:8443/dav/x"],
    ["{ type: nats, host: 'h:4222', bucket: b, path: x }", "nats://h:4222/b/x"],
  ];
  for (const [yaml, url] of PLACES) {
    it(`reads ${yaml} as ${url}`, () => assert.equal(replica(yaml).url, url));
  }

  it("have settings, with paths made absolute", () => {
    const { settings } = replica(
      "{ url: 's3://b/c', part-size: 8MiB, force-path-style: yes, sse-customer-key-path: ~/key }",
    );
    assert.deepEqual(settings, {
      partSize: 8_388_608,
      forcePathStyle: true,
      sseCustomerKeyPath: "/home-of-x/key",
    });
    assert.deepEqual(
      replica("{ url: 'nats://h/b', root-cas: [a.pem, /b.pem], max-reconnects: -1 }").settings,
      { rootCas: ["/srv/a.pem", "/b.pem"], maxReconnects: -1 },
    );
  });

  it("take top-level settings that concern their store [T11]", () => {
    const top = "access-key-id: k\nsas-token: s\npart-size: 6MB\nbucket: shared\nhost: h";
    assert.deepEqual(replica("{ url: 's3://own/x', access-key-id: o }", top), {
      url: "s3://own/x",
      settings: { accessKeyId: "o", partSize: 6_000_000 },
      syncIntervalMs: 1000,
      ...NO_LEASE_KEYS,
    });
    assert.equal(replica("{ type: s3, path: x }", top).url, "s3://shared/x");
    assert.deepEqual(replica("{ url: 'file:///x' }", top), {
      url: "file:///x",
      syncIntervalMs: 1000,
      ...NO_LEASE_KEYS,
    });
  });

  it("say who keeps their lease", () => {
    const own = replica("{ url: 's3://b/c', lease: none, lease-ttl: 10s }", "lease: etcd://h/k");
    assert.deepEqual([own.lease, own.leaseTtlMs], ["none", 10_000]);
    const shared = replica("{ url: 's3://b/c' }", "lease: etcd://h/k\nlease-ttl: 20s");
    assert.deepEqual([shared.lease, shared.leaseTtlMs], ["etcd://h/k", 20_000]);
    assert.match(
      refusal("dbs: [{path: a, replica: {url: 's3://b/c', lease: maybe}}]").message,
      /replica\.lease: read lease: it is neither a word nor a URL \(write auto, none/,
    );
  });
});
