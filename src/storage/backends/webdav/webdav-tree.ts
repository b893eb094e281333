/** Collections of the server as a tree to list: one request for each, since many servers refuse to list a whole tree at once. */
import type { Clock } from "../../../base/clock.ts";
import type { Failure } from "../../remote/failures.ts";
import { isOwnTemporary } from "../../tree/temporary.ts";
import type { Tree, TreeEntry } from "../../tree/walk.ts";
import type { DavClient } from "./client.ts";

/** Age at which the temporary file of an unfinished put counts as abandoned; the server's clock may differ. */
export const STALE_AFTER_MS: number = 24 * 60 * 60 * 1000;

export interface WebdavTreeOptions {
  readonly client: DavClient;
  readonly root: string;
  readonly signal: AbortSignal;
  readonly failure: Failure;
  /** Given when abandoned temporary files are to be removed. */
  readonly clock: Clock | undefined;
}

export class WebdavTree implements Tree {
  readonly #options: WebdavTreeOptions;

  constructor(options: WebdavTreeOptions) {
    this.#options = options;
  }

  async *entries(base: string): AsyncGenerator<TreeEntry, void, void> {
    const { client, root, signal, failure } = this.#options;
    const path = `${root}/${base}`;
    const options = { depth: 1, kind: "list", signal, failure } as const;
    const found = (await client.find(path, options)) ?? [];
    for (const { path: whole, isCollection, sizeBytes, modifiedMs, etag } of found) {
      // The collection itself is among them; a server behind a proxy may have another path in front.
      const name = whole.replace(/\/$/, "").split("/").at(-1) ?? "";
      if (!isBelow(whole, path)) continue;
      if (isCollection) yield { name, isDirectory: true };
      else {
        const info = { key: base + name, sizeBytes, createdAtMs: modifiedMs, etag };
        yield { name, isDirectory: false, info };
      }
    }
  }

  async visitTemporary(key: string, { info }: TreeEntry): Promise<void> {
    const { client, root, signal, failure, clock } = this.#options;
    if (clock === undefined || info === undefined || !isOwnTemporary(key)) return;
    if (info.createdAtMs >= clock.now() - STALE_AFTER_MS) return;
    const request = { kind: "delete", method: "DELETE", path: `${root}/${key}` } as const;
    // Gone already, or not ours to remove: it is invisible anyway.
    await client.request({ ...request, signal, failure, expected: [404] }).catch(() => {});
  }
}

/** Whether `found` is something in the collection `path`, and not the collection itself. */
function isBelow(found: string, path: string): boolean {
  const bare = found.replace(/\/$/, "");
  return bare.slice(0, bare.lastIndexOf("/") + 1).endsWith(path);
}
