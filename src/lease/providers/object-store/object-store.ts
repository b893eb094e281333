/**
 * The lease in the destination itself: where the store can replace conditionally, one object that is compared by etag;
 * where it can only create conditionally, one object for each epoch.
 */
import { MillraceError } from "../../../errors.ts";
import type { ObjectStore } from "../../../storage/contract.ts";
import type { LeaseCell } from "../../contract.ts";
import { EpochObjects } from "./epoch-objects.ts";
import { LockObject } from "./lock-object.ts";

export interface ObjectStoreCellOptions {
  /** Stays the caller's, who closes it after the cell. */
  readonly store: ObjectStore;
  /** The replica's path in the store, without a slash at its end. Default: the store's top. */
  readonly prefix?: string | undefined;
}

/** Throws `lease/unsupported` for a store without conditional writes. */
export function openObjectStoreCell(options: ObjectStoreCellOptions): LeaseCell {
  const { store, prefix = "" } = options;
  const base = prefix === "" ? "" : `${prefix}/`;
  const { conditionalCreate, conditionalReplace } = store.capabilities;
  if (conditionalCreate && conditionalReplace) return new LockObject(store, base);
  if (conditionalCreate) return new EpochObjects(store, base);
  throw new MillraceError(
    "lease/unsupported",
    `open lease: the ${store.type} store has no conditional creates`,
    {
      op: "open lease",
      details: { type: store.type },
      hint: "say `lease: none` for this destination and see to it that one process writes there, or name another lease provider",
    },
  );
}
