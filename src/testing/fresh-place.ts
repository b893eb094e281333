/**
 * An empty place in a store that others use too: a prefix of its own, emptied afterwards. What a conformance suite
 * works in on a real server, where a bucket for each test would cost more than the test.
 */
import { randomUUID } from "node:crypto";
import type { ConformanceTarget } from "../storage/conformance/context.ts";
import type { ObjectStore } from "../storage/contract.ts";

const BATCH = 500;

/**
 * A place below a new prefix (letters, digits, `-`; no slash at either end). `open` opens a store on that prefix;
 * disposing the place deletes whatever is left there.
 */
export function freshPlace(open: (prefix: string) => Promise<ObjectStore>): ConformanceTarget {
  const prefix = `test-${randomUUID()}`;
  return {
    connect: () => open(prefix),
    async [Symbol.asyncDispose]() {
      await using store = await open(prefix);
      const keys: string[] = [];
      for await (const { key } of store.list("")) keys.push(key);
      for (let index = 0; index < keys.length; index += BATCH)
        await store.delete(keys.slice(index, index + BATCH));
    },
  };
}
