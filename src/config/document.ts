/**
 * The text of a configuration file as a YAML 1.1 document: plain values, and the line that each came from, so
 * that every complaint can name it.
 */
import { isMap, isScalar, isSeq, LineCounter, parseDocument, type Document, type Node } from "yaml";
import { nearestName } from "../base/nearest.ts";
import type { KeyTable } from "./keys.ts";

/** A place in the document: keys and list indexes from the top. */
export type Place = readonly (string | number)[];

export interface Problem {
  /** 1-based; `undefined` where the text has none. */
  readonly line: number | undefined;
  readonly message: string;
}

export class ConfigDocument {
  readonly #document: Document.Parsed;
  readonly #lines: LineCounter;

  /** YAML 1.1 as Litestream reads it: `0600` is octal, `yes` is true. */
  constructor(text: string) {
    this.#lines = new LineCounter();
    this.#document = parseDocument(text, {
      version: "1.1",
      lineCounter: this.#lines,
      prettyErrors: false,
    });
  }

  /** What keeps the text from being YAML at all. */
  syntaxProblems(): Problem[] {
    return this.#document.errors.map(({ message, pos }) => ({
      line: this.#lines.linePos(pos[0]).line,
      message,
    }));
  }

  /** The document as plain values; `null` when it is empty. */
  get value(): unknown {
    return this.#document.toJS() as unknown;
  }

  /** The line of the value at `place`, or of the nearest place around it. */
  lineOf(place: Place): number | undefined {
    for (let length = place.length; length >= 0; length -= 1) {
      const node = this.#nodeAt(place.slice(0, length));
      if (node?.range !== undefined && node.range !== null)
        return this.#lines.linePos(node.range[0]).line;
    }
    return undefined;
  }

  #nodeAt(place: Place): Node | undefined {
    const node: unknown =
      place.length === 0 ? this.#document.contents : this.#document.getIn(place, true);
    return isMap(node) || isSeq(node) || isScalar(node) ? node : undefined;
  }

  /** Complaints about keys of the mapping at `place` that `table` does not have. */
  keyProblems(place: Place, table: KeyTable): Problem[] {
    const map = this.#nodeAt(place);
    if (!isMap(map)) return [];
    const problems: Problem[] = [];
    for (const { key } of map.items) {
      const name = isScalar(key) ? String(key.value) : String(key);
      if (table.known.includes(name) || table.ignored.includes(name)) continue;
      const offset = isScalar(key) ? key.range?.[0] : undefined;
      const line = offset === undefined ? undefined : this.#lines.linePos(offset).line;
      problems.push({ line, message: describeKey(name, place, table) });
    }
    return problems;
  }
}

/** Names that a message lists; beyond them are the settings of stores. */
const MAX_NAMES = 15;

function describeKey(name: string, place: Place, table: KeyTable): string {
  const where = formatPlace([...place, name]);
  if (table.later.includes(name)) return `"${where}" is not supported in this version`;
  const meant = nearestName(name, [...table.known, ...table.later]);
  const known = table.known.slice(0, MAX_NAMES).join(", ");
  const more = table.known.length > MAX_NAMES ? ", and the settings of stores" : "";
  const question = meant === undefined ? `known are ${known}${more}` : `did you mean "${meant}"?`;
  return `unknown key "${where}" in ${table.what}: ${question}`;
}

/** `dbs[0].replica.url`. */
export function formatPlace(place: Place): string {
  return place
    .map((part, index) =>
      typeof part === "number" ? `[${part}]` : index === 0 ? part : `.${part}`,
    )
    .join("");
}
