/** Reads a record from an object. */
import { isMillraceError, MillraceError } from "../../../errors.ts";
import type { ObjectStore } from "../../../storage/contract.ts";
import type { LeaseCall, LeaseRecord } from "../../contract.ts";
import { decodeRecord, MAX_RECORD_BYTES } from "../../record.ts";

export interface RecordObject {
  readonly record: LeaseRecord;
  readonly bytes: Uint8Array;
  readonly etag: string | undefined;
}

/** `undefined` when there is no such object. Throws `lease/invalid`. */
export async function readRecord(
  store: ObjectStore,
  key: string,
  call: LeaseCall,
): Promise<RecordObject | undefined> {
  try {
    await using body = await store.get(key, { signal: call.signal });
    const { sizeBytes, etag } = body.info;
    if (sizeBytes > MAX_RECORD_BYTES) {
      throw new MillraceError("lease/invalid", `read lease "${key}": ${sizeBytes} bytes`, {
        op: "read lease",
        details: { where: key },
        hint: `an object of this size is no lease; move "${key}" away`,
      });
    }
    const bytes = await body.bytes();
    return { record: decodeRecord(bytes, key), bytes, etag };
  } catch (error) {
    if (isMillraceError(error, "storage/not-found")) return undefined;
    throw error;
  }
}
