/** Stores on the real servers that `tools/services.ts` started. */
import { systemClock } from "../platform/clock.ts";
import type { S3Service } from "./services.ts";
import type { ObjectStore } from "../storage/contract.ts";
import type { RemoteContext } from "../storage/remote/remote-store.ts";
import type { ReplicaSettings } from "../storage/replica-url/settings.ts";
import type { S3Target } from "../storage/replica-url/target.ts";
import { openS3Store } from "../storage/backends/s3/s3.ts";

/** The system's time, jitter that is none, and an environment with the service's credentials alone. */
export function contextOf(service: S3Service): RemoteContext {
  const env = {
    AWS_ACCESS_KEY_ID: service.accessKeyId,
    AWS_SECRET_ACCESS_KEY: service.secretAccessKey,
  };
  return { clock: systemClock, random: () => 0.5, env };
}

export function targetOf(
  { bucket, endpoint, region }: S3Service,
  prefix: string,
  settings: ReplicaSettings = {},
): S3Target {
  return { scheme: "s3", bucket, prefix, settings: { endpoint, region, ...settings } };
}

export function openOn(
  service: S3Service,
  prefix: string,
  settings?: ReplicaSettings,
): Promise<ObjectStore> {
  return openS3Store(targetOf(service, prefix, settings), contextOf(service));
}
