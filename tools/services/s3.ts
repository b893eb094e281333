/** Two S3 servers, because they differ: VersityGW over a folder, and MinIO. */
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import type { S3Service } from "../../src/testing/services.ts";
import { BUCKET, createS3Bucket, secret } from "./http.ts";
import { HOST, type Server } from "./server.ts";
import { MINIO, VERSITYGW } from "./versions.ts";

export const versitygw: Server<"s3"> = {
  name: "s3",
  recipe: VERSITYGW,
  async prepare({ directory, freePort }) {
    const port = await freePort();
    const data = join(directory, "data");
    mkdirSync(data);
    const service = s3Service(port);
    return {
      args: ["--port", `${HOST}:${port}`, "--region", service.region, "posix", data],
      env: {
        ROOT_ACCESS_KEY: service.accessKeyId,
        ROOT_SECRET_KEY: service.secretAccessKey,
      },
      port,
      service,
      ready: () => createS3Bucket(service),
    };
  },
};

export const minio: Server<"minio"> = {
  name: "minio",
  recipe: MINIO,
  async prepare({ directory, freePort }) {
    const port = await freePort();
    const console = await freePort();
    const service = s3Service(port);
    const addresses = ["--address", `${HOST}:${port}`, "--console-address", `${HOST}:${console}`];
    return {
      args: ["server", ...addresses, join(directory, "data")],
      env: {
        MINIO_ROOT_USER: service.accessKeyId,
        MINIO_ROOT_PASSWORD: service.secretAccessKey,
        MINIO_BROWSER: "off",
        MINIO_UPDATE: "off",
      },
      port,
      service,
      ready: () => createS3Bucket(service),
    };
  },
};

function s3Service(port: number): S3Service {
  return {
    endpoint: `http://${HOST}:${port}`,
    region: "us-east-1",
    bucket: BUCKET,
    accessKeyId: secret(8),
    secretAccessKey: secret(),
  };
}
