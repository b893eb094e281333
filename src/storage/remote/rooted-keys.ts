/**
 * Keys below the prefix of a replica: what an object of the contract is called in its bucket or container, and back.
 * What lies in there without being ours to name, such as placeholders of folders, has no key and is never listed.
 */
import { invalidKey, isKeySegment, TEMPORARY_SUFFIX } from "../keys.ts";

export class RootedKeys {
  readonly #root: string;
  readonly #maxNameBytes: number;

  /**
   * `prefix` without slashes at its ends, empty for the whole bucket, whose names then begin with `bareRoot`; names
   * longer than `maxNameBytes` of UTF-8 are refused.
   */
  constructor(prefix: string, maxNameBytes: number, bareRoot = "") {
    this.#root = prefix === "" ? bareRoot : `${prefix}/`;
    this.#maxNameBytes = maxNameBytes;
  }

  /** The name of an object. Throws `storage/invalid-key` when the prefix makes it too long for the store. */
  name(op: string, key: string): string {
    const name = this.#root + key;
    if (Buffer.byteLength(name) <= this.#maxNameBytes) return name;
    const problem = `with the replica's prefix it is longer than the ${this.#maxNameBytes} bytes that the store allows`;
    throw invalidKey(op, key, problem);
  }

  /** A prefix of keys as a prefix of names; a bound of keys as a bound of names. */
  text(part: string): string {
    return this.#root + part;
  }

  /** The key of what a listing named, or `undefined` when it has none. */
  key(name: string): string | undefined {
    if (!name.startsWith(this.#root)) return undefined;
    const key = name.slice(this.#root.length);
    const isKey = key.split("/").every(isKeySegment) && !key.endsWith(TEMPORARY_SUFFIX);
    return isKey ? key : undefined;
  }
}
