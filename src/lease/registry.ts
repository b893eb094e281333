/** From what a configuration says to the cell that keeps a lease: the only place that names providers, each loaded when needed. */
import type { Files } from "../platform/files.ts";
import type { ObjectStore } from "../storage/contract.ts";
import type { LeaseCell } from "./contract.ts";
import type { LeaseChoice } from "./lease-url.ts";

export interface LeasePlace {
  /** The destination; stays the caller's. */
  readonly store: ObjectStore;
  /** Names the destination among others: no credentials. */
  readonly name: string;
  readonly files: Files;
}

export interface OpenedCell {
  readonly cell: LeaseCell;
  /** A record in a store costs money for each request: its holder rests while it has nothing to write. */
  readonly mayPark: boolean;
}

/** `undefined` when there is to be no lease, or when the store cannot keep one. */
export async function openLeaseCell(
  choice: LeaseChoice,
  { store, name, files }: LeasePlace,
): Promise<OpenedCell | undefined> {
  if (choice.kind === "none") return undefined;
  if (choice.kind === "auto") {
    const { conditionalCreate, conditionalReplace } = store.capabilities;
    if (!conditionalCreate && !conditionalReplace) return undefined;
    const { openObjectStoreCell } = await import("./providers/object-store/object-store.ts");
    return { cell: openObjectStoreCell({ store }), mayPark: true };
  }
  if (choice.kind === "file") {
    const { openLockFileCell } = await import("./providers/lock-file/lock-file.ts");
    return { cell: openLockFileCell({ path: choice.path, files }), mayPark: false };
  }
  const key = `${choice.key}/${keyOf(name)}`;
  if (choice.kind === "nats") {
    const { openNatsKvCell } = await import("./providers/nats-kv/nats-kv.ts");
    const { server, user, password, token } = choice;
    return {
      cell: openNatsKvCell({ servers: server, key, user, password, token }),
      mayPark: false,
    };
  }
  const { endpoint, token } = choice;
  if (choice.kind === "consul") {
    const { openConsulCell } = await import("./providers/consul/consul.ts");
    return { cell: openConsulCell({ endpoint, key, token }), mayPark: false };
  }
  const { openEtcdCell } = await import("./providers/etcd/etcd.ts");
  return { cell: openEtcdCell({ endpoint, key, token }), mayPark: false };
}

/** A destination's name as a part of a key that every provider takes; different names stay different. */
function keyOf(name: string): string {
  return [...new TextEncoder().encode(name)]
    .map((byte) => {
      const char = String.fromCharCode(byte);
      return /[A-Za-z0-9/-]/.test(char) ? char : `=${byte.toString(16).padStart(2, "0")}`;
    })
    .join("")
    .replaceAll("//", "/");
}
