/** To come. */
import { MillraceError } from "../../../errors.ts";
import type { ObjectStore } from "../../contract.ts";
import type { RemoteContext } from "../../remote/remote-store.ts";
import type { SftpTarget } from "../../replica-url/target.ts";

export async function openSftpStore(
  target: SftpTarget,
  _context: RemoteContext,
): Promise<ObjectStore> {
  throw new MillraceError("storage/unsupported", `open ${target.scheme} store: not there yet`);
}
