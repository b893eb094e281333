/** To come. */
import { MillraceError } from "../../../errors.ts";
import type { ObjectStore } from "../../contract.ts";
import type { RemoteContext } from "../../remote/remote-store.ts";
import type { WebdavTarget } from "../../replica-url/target.ts";

export async function openWebdavStore(
  target: WebdavTarget,
  _context: RemoteContext,
): Promise<ObjectStore> {
  throw new MillraceError("storage/unsupported", `open ${target.scheme} store: not there yet`);
}
