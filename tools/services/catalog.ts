/** All servers, in the order of their building: what most tests need comes first. */
import type { ServiceName } from "../../src/testing/services.ts";
import { azurite } from "./azure.ts";
import { consul, etcd } from "./coordination.ts";
import { fakeGcsServer } from "./gcs.ts";
import { nats, natsAuth } from "./nats.ts";
import { minio, versitygw } from "./s3.ts";
import type { Server } from "./server.ts";
import { sshd } from "./sftp.ts";
import { toxiproxy } from "./toxiproxy.ts";
import { apache, rclone } from "./webdav.ts";

const BY_NAME: { readonly [N in ServiceName]: Server<N> } = {
  s3: versitygw,
  gcs: fakeGcsServer,
  nats,
  "nats-auth": natsAuth,
  azure: azurite,
  webdav: rclone,
  sftp: sshd,
  "webdav-apache": apache,
  etcd,
  consul,
  minio,
  toxiproxy,
};

export const SERVERS: readonly Server[] = Object.values(BY_NAME);
