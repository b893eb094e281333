/** `oss:` replicas: Alibaba Cloud OSS through its S3-compatible endpoint, in OSS's layout, which is that of S3. */
import type { ObjectStore } from "../../contract.ts";
import type { RemoteContext } from "../../remote/remote-store.ts";
import type { OssTarget } from "../../replica-url/target.ts";
import { openPlanned } from "./open.ts";
import { planOss } from "./s3-plan.ts";

/** Opens no connection. Throws `storage/misconfigured`, and `storage/permission` when there are no credentials. */
export async function openOssStore(
  target: OssTarget,
  context: RemoteContext,
): Promise<ObjectStore> {
  return openPlanned(planOss(target, context.env), context);
}
