/** `s3:` replicas: Amazon S3, and every store that speaks its protocol. */
import { homedir } from "node:os";
import type { ObjectStore } from "../../contract.ts";
import type { RemoteContext } from "../../remote/remote-store.ts";
import type { S3Target } from "../../replica-url/target.ts";
import { openPlanned, readText } from "./open.ts";
import { planS3 } from "./s3-plan.ts";

/** Opens no connection. Throws `storage/misconfigured`. */
export async function openS3Store(target: S3Target, context: RemoteContext): Promise<ObjectStore> {
  const home = context.env["HOME"] ?? homedir();
  const readKey = (path: string): string =>
    readText("the key of sse-customer-key-path", path.replace(/^~(?=\/|$)/, home));
  return openPlanned(planS3(target, context.env, readKey), context);
}
