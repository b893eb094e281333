/** Which requests list objects, in the protocols of the stores; and older answers to the same listing. */

/**
 * S3: `GET /bucket?list-type=2`; GCS: `GET /storage/v1/b/<bucket>/o`; Azure: `comp=list`; WebDAV: `PROPFIND` with any
 * depth but 0.
 */
export function isListRequest(
  method: string,
  target: {
    readonly path: string;
    readonly query: URLSearchParams;
    readonly depth?: string | undefined;
  },
): boolean {
  const { path, query, depth } = target;
  if (method === "PROPFIND") return depth !== "0";
  if (method !== "GET") return false;
  if (query.has("list-type") || query.get("comp") === "list") return true;
  return /\/b\/[^/]+\/o\/?$/.test(path);
}

/** The answer to a listing: enough to give it again. */
export interface ListAnswer {
  readonly status: number;
  readonly rawHeaders: readonly string[];
  readonly body: Buffer;
}

/** Answers remembered of each listing. */
const MAX_ANSWERS = 4;
const MAX_LISTINGS = 1000;
export const MAX_ANSWER_BYTES: number = 4 * 1024 * 1024;

export class ListMemory {
  readonly #answers = new Map<string, ListAnswer[]>();

  remember(target: string, answer: ListAnswer): void {
    const known = this.#answers.get(target) ?? [];
    known.push(answer);
    if (known.length > MAX_ANSWERS) known.shift();
    if (this.#answers.size < MAX_LISTINGS) this.#answers.set(target, known);
  }

  /** The oldest answer remembered; `undefined` when this listing was never answered. */
  oldest(target: string): ListAnswer | undefined {
    return this.#answers.get(target)?.[0];
  }
}
