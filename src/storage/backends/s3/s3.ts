/** To come. */
import { MillraceError } from "../../../errors.ts";
import type { ObjectStore } from "../../contract.ts";
import type { RemoteContext } from "../../remote/remote-store.ts";
import type { S3Target } from "../../replica-url/target.ts";

export async function openS3Store(target: S3Target, _context: RemoteContext): Promise<ObjectStore> {
  throw new MillraceError("storage/unsupported", `open ${target.scheme} store: not there yet`);
}
