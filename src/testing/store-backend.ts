/** A store as the backend of another one: to put what wraps backends around fault injection, or around memory. */
import type {
  BackendBody,
  BackendGet,
  BackendPut,
  BackendSource,
  StoreBackend,
} from "../storage/backend.ts";
import type { ByteSource, ObjectInfo, ObjectStore } from "../storage/contract.ts";
import type { RequestMeter } from "../storage/meter.ts";

/** Takes over `store` and counts each of its requests in `meter`. */
export function asBackend(store: ObjectStore, meter?: RequestMeter): StoreBackend {
  return {
    type: store.type,
    capabilities: store.capabilities,
    get: async (key, call) => {
      meter?.request("get");
      return bodyOf(await store.get(key, rangeOf(call)));
    },
    head: (key, call) => {
      meter?.request("head");
      return store.head(key, call);
    },
    put: (key, source, call) => {
      meter?.request("put");
      return store.put(key, sourceOf(source), conditionOf(call));
    },
    list: (prefix, call) => {
      meter?.request("list");
      return store.list(prefix, call);
    },
    delete: (keys, call) => {
      meter?.request("delete");
      return store.delete(keys, call);
    },
    close: async () => store[Symbol.asyncDispose](),
  };
}

/** A range only where one is asked for: stores without ranges refuse the rest. */
function rangeOf({ offset, sizeBytes, signal }: BackendGet): Parameters<ObjectStore["get"]>[1] {
  return {
    signal,
    ...(offset === 0 ? {} : { offset }),
    ...(sizeBytes === undefined ? {} : { sizeBytes }),
  };
}

function conditionOf(call: BackendPut): Parameters<ObjectStore["put"]>[2] {
  const { ifAbsent, ...rest } = call;
  return ifAbsent ? { ...rest, ifAbsent } : rest;
}

function sourceOf(source: BackendSource): ByteSource {
  return source.bytes ?? { sizeBytes: source.sizeBytes, open: () => source.open() };
}

function bodyOf(
  body: AsyncIterable<Uint8Array> & AsyncDisposable & { readonly info: ObjectInfo },
): BackendBody {
  return {
    info: body.info,
    chunks: () => body,
    close: async () => body[Symbol.asyncDispose](),
  };
}
