/** From a plan to a store: the same for S3 and OSS. */
import { nodeFiles } from "../../../platform/files.ts";
import { MillraceError } from "../../../errors.ts";
import type { ObjectStore } from "../../contract.ts";
import { RequestMeter } from "../../meter.ts";
import { Attempts } from "../../remote/attempts.ts";
import { openRemoteStore, type RemoteContext } from "../../remote/remote-store.ts";
import { S3Backend } from "./s3-backend.ts";
import { createClient } from "./s3-client.ts";
import { S3Errors } from "./s3-errors.ts";
import type { S3Plan } from "./s3-plan.ts";

/** How long removing the parts of a failed upload may take; a store that is closed waits for it. */
const REMOVE_IDLE_MS = 5_000;

/** Opens no connection. Throws `storage/misconfigured`. */
export function openPlanned(plan: S3Plan, { clock, random }: RemoteContext): ObjectStore {
  const meter = new RequestMeter();
  const { where, caBundlePath, endpoint } = plan;
  const isSecure = endpoint?.isSecure ?? true;
  const caBundle =
    caBundlePath === undefined || !isSecure
      ? undefined
      : readText("the certificates of AWS_CA_BUNDLE", caBundlePath);
  const client = createClient(plan, meter, caBundle);
  const options = { clock, random, meter, where };
  const attempts = new Attempts(options);
  const removing = new Attempts({ ...options, attempts: 1, idleMs: REMOVE_IDLE_MS });
  const errors = new S3Errors(plan);
  const backend = new S3Backend({ plan, client, errors, meter, clock, attempts, removing });
  return openRemoteStore(backend, options);
}

/** The text of a small file that a setting names. Throws `storage/misconfigured` when it is not there. */
export function readText(what: string, path: string): string {
  const op = "open s3 store";
  const bytes = nodeFiles.readFile(op, path);
  if (bytes !== undefined) return Buffer.from(bytes).toString("utf8");
  throw new MillraceError(
    "storage/misconfigured",
    `${op}: ${what} "${path}": there is no such file`,
    {
      op,
      hint: "check the path",
    },
  );
}
