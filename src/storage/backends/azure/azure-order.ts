/**
 * Listings in byte order, whatever the server means by order: some compare UTF-16, which puts characters above U+FFFF before
 * those from U+E000. Names differ from byte order only behind their first such character, so only names that agree up to there
 * are held back and sorted. Names of LTX files have none and pass through.
 */
import { MillraceError } from "../../../errors.ts";
import type { ObjectInfo } from "../../contract.ts";
import { compareKeys } from "../../keys.ts";

/** The first code unit from which the two orders differ. */
const FIRST_HIGH = /[\ud800-\uffff]/;
/** Most names that are held back at once. */
const MAX_HELD = 100_000;

/** The part of a key in front of which nothing is that any order has behind the key. */
export function safeStart(key: string): string {
  const index = key.search(FIRST_HIGH);
  return index < 0 ? key : key.slice(0, index);
}

/** The same objects in byte order. Throws `storage/unsupported` when too many would have to be held back. */
export async function* inByteOrder(
  objects: AsyncIterable<ObjectInfo>,
): AsyncGenerator<ObjectInfo, void, void> {
  let held: ObjectInfo[] = [];
  let stem = "";
  for await (const object of objects) {
    const own = safeStart(object.key);
    const isPlain = own === object.key;
    if (held.length > 0 && (isPlain || own !== stem)) {
      yield* held.sort((a, b) => compareKeys(a.key, b.key));
      held = [];
    }
    if (isPlain) {
      yield object;
      continue;
    }
    stem = own;
    held.push(object);
    if (held.length > MAX_HELD) throw tooMany(stem);
  }
  yield* held.sort((a, b) => compareKeys(a.key, b.key));
}

function tooMany(stem: string): MillraceError {
  const op = "list objects";
  const found = `more than ${MAX_HELD} names begin so and go on in a rare script`;
  return new MillraceError("storage/unsupported", `${op} "${stem}": ${found}`, { op });
}
