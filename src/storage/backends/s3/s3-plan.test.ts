/** Plans: from URLs, settings and the environment to how a store is asked. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { isMillraceError } from "../../../errors.ts";
import { parseReplicaUrl } from "../../replica-url/replica-url.ts";
import type { ReplicaSettings } from "../../replica-url/settings.ts";
import { planOss, planS3, type Env, type S3Plan } from "./s3-plan.ts";

const MIB = 1024 * 1024;

function planOf(url: string, env: Env = {}, settings: ReplicaSettings = {}): S3Plan {
  const target = parseReplicaUrl({ url, settings });
  assert.ok(target.scheme === "s3" || target.scheme === "oss");
  if (target.scheme === "oss") return planOss(target, env);
  return planS3(target, env, () => assert.fail("no key is read"));
}

/** Provider, path style, MD5, concurrency, conditional writes of an endpoint. */
const PROVIDERS: Readonly<Record<string, readonly [string, boolean, boolean, number, boolean]>> = {
  "fly.storage.tigris.dev": ["Tigris", true, false, 5, true],
  "https://t3.storage.dev": ["Tigris", true, false, 5, true],
  "https://0123.r2.cloudflarestorage.com": ["Cloudflare R2", true, true, 2, true],
  "s3.us-west-004.backblazeb2.com": ["Backblaze B2", true, true, 5, false],
  "nyc3.digitaloceanspaces.com": ["DigitalOcean", true, true, 5, true],
  "s3.fr-par.scw.cloud": ["Scaleway", true, true, 5, true],
  "fsn1.your-objectstorage.com": ["Hetzner", true, true, 5, true],
  "s3.eu-central-1.wasabisys.com": ["Wasabi", true, true, 5, false],
  "s3.filebase.com": ["Filebase", true, true, 5, false],
  "https://abc.supabase.co/storage/v1/s3": ["Supabase", true, true, 5, false],
  "abc.supabase.co/storage/v1/s3": ["Supabase", true, true, 5, false],
  "https://storage.googleapis.com": ["Google Cloud Storage", true, true, 5, false],
  "https://storage.europe-west1.rep.googleapis.com": ["Google Cloud Storage", true, true, 5, false],
  "http://127.0.0.1:9000": ["custom", true, true, 5, true],
  "[::1]:9000": ["custom", true, true, 5, true],
  "s3.example.com": ["custom", true, true, 5, true],
};

describe("planS3()", () => {
  for (const [endpoint, expected] of Object.entries(PROVIDERS)) {
    it(`knows what is special about ${endpoint}`, () => {
      const { provider, forcePathStyle, concurrency, conditionalWrites } = planOf(
        `s3://b/p?endpoint=${encodeURIComponent(endpoint)}`,
      );
      const { name, contentMd5 } = provider;
      const found = [name, forcePathStyle, contentMd5, concurrency, conditionalWrites];
      assert.deepEqual(found, expected);
    });
  }

  it("sends the header that Tigris wants, and to nobody else", () => {
    const headersAt = (endpoint: string): unknown =>
      planOf(`s3://b/p?endpoint=${endpoint}`).provider.headers;
    assert.deepEqual(headersAt("t3.storage.dev"), { "x-tigris-consistent": "true" });
    assert.deepEqual(headersAt("t3.storage.dev.example.com"), {});
  });

  it("asks Amazon by virtual hosts, and looks the region up unless it is known", () => {
    const plan = planOf("s3://b/p/q");
    const { endpoint, region, forcePathStyle, prefix, where, conditionalWrites } = plan;
    assert.deepEqual(
      [endpoint, region, forcePathStyle, prefix],
      [undefined, undefined, false, "p/q"],
    );
    assert.deepEqual([where, conditionalWrites], ["s3://b/p/q", true]);
    assert.equal(planOf("s3://b/p", { AWS_DEFAULT_REGION: "eu-west-1" }).region, "eu-west-1");
    const both = { AWS_REGION: "eu-west-2", AWS_DEFAULT_REGION: "eu-west-1" };
    assert.equal(planOf("s3://b/p", both).region, "eu-west-2");
    assert.equal(planOf("s3://b/p?region=sa-east-1", both).region, "sa-east-1");
    assert.equal(planOf("s3://b.s3.ap-south-1.amazonaws.com/p", both).region, "ap-south-1");
    assert.equal(planOf("s3://b/p?endpoint=localhost:9000").region, "us-east-1");
  });

  it("takes the endpoint from the environment when the replica names none", () => {
    const env = {
      LITESTREAM_S3_ENDPOINT: "minio.local:9000",
      AWS_ENDPOINT_URL: "https://b.example",
    };
    assert.equal(planOf("s3://b/p", env).endpoint?.url, "http://minio.local:9000");
    assert.equal(planOf("s3://b/p", env).forcePathStyle, true);
    assert.equal(planOf("s3://b/p?endpoint=c.example", env).endpoint?.url, "https://c.example");
    const { AWS_ENDPOINT_URL } = env;
    assert.equal(planOf("s3://b/p", { AWS_ENDPOINT_URL }).endpoint?.url, "https://b.example");
    const own = { AWS_ENDPOINT_URL_S3: "https://d.example", AWS_ENDPOINT_URL };
    assert.equal(planOf("s3://b/p", own).endpoint?.url, "https://d.example");
  });

  it("uses path style at custom endpoints unless told otherwise", () => {
    assert.equal(planOf("s3://b/p?endpoint=a.example&forcePathStyle=false").forcePathStyle, false);
    assert.equal(planOf("s3://b/p?force-path-style=true").forcePathStyle, true);
    assert.equal(planOf("s3://b.nyc3.digitaloceanspaces.com/p").forcePathStyle, false);
    assert.equal(planOf("s3://b.s3.fr-par.scw.cloud/p").forcePathStyle, false);
    assert.equal(planOf("s3://b.s3.us-west-004.backblazeb2.com/p").forcePathStyle, true);
    const plan = planOf("s3://b.minio.local:9000/p");
    assert.deepEqual([plan.bucket, plan.endpoint?.url], ["b", "http://minio.local:9000"]);
  });

  it("takes credentials from settings, else from AWS_ and then LITESTREAM_ variables", () => {
    const LITESTREAM = { LITESTREAM_ACCESS_KEY_ID: "li", LITESTREAM_SECRET_ACCESS_KEY: "ls" };
    const AWS = { AWS_ACCESS_KEY_ID: "ai", AWS_SECRET_ACCESS_KEY: "as" };
    const given = (env: Env, settings?: ReplicaSettings): unknown =>
      planOf("s3://b/p", env, settings).credentials;
    assert.deepEqual(given({}), undefined);
    assert.deepEqual(given(LITESTREAM), { accessKeyId: "li", secretAccessKey: "ls" });
    assert.deepEqual(given({ ...LITESTREAM, ...AWS, AWS_SESSION_TOKEN: "t" }), {
      accessKeyId: "ai",
      secretAccessKey: "as",
      sessionToken: "t",
    });
    // A variable that is there hides Litestream's, though it be empty.
    assert.deepEqual(given({ ...LITESTREAM, AWS_ACCESS_KEY_ID: "" }), undefined);
    const settings = { accessKeyId: "si", secretAccessKey: "ss" };
    assert.deepEqual(given({ ...AWS, AWS_SESSION_TOKEN: "t" }, settings), settings);
  });

  it("takes sizes and flags from settings", () => {
    const plan = planOf(
      "s3://b/p?part-size=8MiB&concurrency=3&sign-payload=false&skipVerify&storage-class=GLACIER_IR" +
        "&require-content-md5=true&conditional-writes=false",
    );
    const { partSizeBytes, concurrency, signPayload, skipVerify, storageClass } = plan;
    assert.deepEqual(
      [partSizeBytes, concurrency, signPayload, skipVerify, storageClass],
      [8 * MIB, 3, false, true, "GLACIER_IR"],
    );
    assert.deepEqual([plan.provider.contentMd5, plan.conditionalWrites], [true, false]);
    const defaults = planOf("s3://b/p");
    assert.deepEqual(
      [defaults.partSizeBytes, defaults.concurrency, defaults.signPayload, defaults.skipVerify],
      [5 * MIB, 5, true, false],
    );
  });

  const refused: Readonly<Record<string, string>> = {
    "a part size that stores refuse": "s3://b/p?part-size=1MiB",
    "a part size beyond all": "s3://b/p?part-size=6GiB",
    "no concurrency": "s3://b/p?concurrency=0",
    "a negative concurrency": "s3://b/p?concurrency=-1",
    "an access key alone": "s3://b/p?access-key-id=hunter2",
    "a secret alone": "s3://b/p?secret-access-key=hunter2",
    "an endpoint with a password": "s3://b/p?endpoint=https://a:hunter2@host",
  };
  for (const [what, url] of Object.entries(refused)) {
    it(`refuses ${what}, says what to do and shows no secret`, () => {
      assert.throws(
        () => planOf(url),
        (error) =>
          isMillraceError(error, "storage/misconfigured") &&
          error.hint !== undefined &&
          !JSON.stringify([error.message, error.hint, error.details]).includes("hunter2"),
      );
    });
  }
});

describe("planOss()", () => {
  const env = { OSS_ACCESS_KEY_ID: "oi", OSS_ACCESS_KEY_SECRET: "os" };

  it("asks the S3-compatible endpoint of the region by virtual hosts", () => {
    const plan = planOf("oss://b/p", env);
    assert.deepEqual(
      [plan.endpoint?.url, plan.region, plan.forcePathStyle, plan.type, plan.conditionalWrites],
      ["https://s3.oss-cn-hangzhou.aliyuncs.com", "cn-hangzhou", false, "oss", false],
    );
    const host = planOf("oss://b.oss-eu-central-1-internal.aliyuncs.com/p", env);
    assert.deepEqual(
      [host.bucket, host.endpoint?.url, host.region],
      ["b", "https://s3.oss-eu-central-1.aliyuncs.com", "eu-central-1"],
    );
  });

  it("understands the endpoint for OSS's own protocol, and leaves others as they are", () => {
    const at = (endpoint: string): string | undefined =>
      planOf("oss://b/p", env, { endpoint }).endpoint?.url;
    const internal = "oss-cn-beijing-internal.aliyuncs.com";
    assert.equal(at(internal), `https://s3.${internal}`);
    assert.equal(at(`https://s3.${internal}`), `https://s3.${internal}`);
    assert.equal(at("http://127.0.0.1:9000"), "http://127.0.0.1:9000");
  });

  it("takes credentials from OSS's variables, then Alibaba Cloud's, and wants some", () => {
    const cloud = {
      ALIBABA_CLOUD_ACCESS_KEY_ID: "ai",
      ALIBABA_CLOUD_ACCESS_KEY_SECRET: "as",
      ALIBABA_CLOUD_SECURITY_TOKEN: "t",
    };
    assert.deepEqual(planOf("oss://b/p", env).credentials, {
      accessKeyId: "oi",
      secretAccessKey: "os",
    });
    assert.deepEqual(planOf("oss://b/p", cloud).credentials, {
      accessKeyId: "ai",
      secretAccessKey: "as",
      sessionToken: "t",
    });
    assert.throws(
      () => planOf("oss://b/p"),
      (error) => isMillraceError(error, "storage/permission") && error.hint !== undefined,
    );
  });
});
