/**
 * A scanner for TypeScript text that tells code, comments and literals apart, so that the house checks
 * look for a banned call in code and for a task tag in comments, never the other way round.
 *
 * It knows strings, templates, regular expressions and comments, nothing more of the grammar. Masked
 * text keeps its length and its line breaks: an offset means the same in every view.
 */

export interface ScannedSource {
  /** The text with comments, and the contents of strings, templates and regular expressions, blanked. */
  readonly code: string;
  /** The text with comments blanked, literals kept. */
  readonly withLiterals: string;
  readonly comments: readonly { readonly offset: number; readonly text: string }[];
}

type Kind = "code" | "comment" | "literal";

const REGEX_AFTER_WORD = /\b(?:return|typeof|case|in|of|do|else|void|delete|await|yield)$/;

/** Splits `text` into code, comments and literals. */
export function scanSource(text: string): ScannedSource {
  const kinds: { start: number; end: number; kind: Kind }[] = [];
  const add = (start: number, end: number, kind: Kind): number => {
    kinds.push({ start, end, kind });
    return end;
  };
  const templateDepths: number[] = [];
  let depth = 0;
  let offset = 0;
  while (offset < text.length) {
    const two = text.slice(offset, offset + 2);
    const char = two.charAt(0);
    if (two === "//") offset = add(offset, endOf(text, "\n", offset), "comment");
    else if (two === "/*") offset = add(offset, endOf(text, "*/", offset + 2, 2), "comment");
    else if (char === '"' || char === "'")
      offset = add(offset + 1, endOfString(text, offset), "literal") + 1;
    else if (char === "`" || (char === "}" && templateDepths.at(-1) === depth)) {
      if (char === "}") templateDepths.pop();
      const end = endOfTemplatePart(text, offset + 1);
      add(offset + 1, end, "literal");
      offset = end + 1;
      if (text.charAt(end) === "$") {
        templateDepths.push(depth);
        offset = end + 2;
      }
    } else if (char === "/" && startsRegex(text, offset))
      offset = add(offset + 1, endOfRegex(text, offset), "literal") + 1;
    else {
      if (char === "{") depth += 1;
      if (char === "}") depth -= 1;
      offset += 1;
    }
  }
  return {
    code: blank(text, kinds, ["comment", "literal"]),
    withLiterals: blank(text, kinds, ["comment"]),
    comments: kinds
      .filter((part) => part.kind === "comment")
      .map((part) => ({ offset: part.start, text: text.slice(part.start, part.end) })),
  };
}

function endOf(text: string, mark: string, from: number, past = 0): number {
  const at = text.indexOf(mark, from);
  return at === -1 ? text.length : at + past;
}

function endOfString(text: string, start: number): number {
  const quote = text.charAt(start);
  let at = start + 1;
  while (at < text.length && text.charAt(at) !== quote && text.charAt(at) !== "\n")
    at += text.charAt(at) === "\\" ? 2 : 1;
  return Math.min(at, text.length);
}

/** Offset of the closing backtick, or of the `$` of the next `${`. */
function endOfTemplatePart(text: string, start: number): number {
  let at = start;
  while (at < text.length && text.charAt(at) !== "`" && text.slice(at, at + 2) !== "${")
    at += text.charAt(at) === "\\" ? 2 : 1;
  return Math.min(at, text.length);
}

function startsRegex(text: string, offset: number): boolean {
  const before = text.slice(Math.max(0, offset - 80), offset).trimEnd();
  if (before === "") return true;
  return /[(,=:[!&|?{};+\-*%<>~^]$/.test(before) || REGEX_AFTER_WORD.test(before);
}

function endOfRegex(text: string, start: number): number {
  let inClass = false;
  let at = start + 1;
  for (; at < text.length; at += 1) {
    const char = text.charAt(at);
    if (char === "\n") return at;
    if (char === "\\") at += 1;
    else if (char === "[") inClass = true;
    else if (char === "]") inClass = false;
    else if (char === "/" && !inClass) return at;
  }
  return text.length;
}

function blank(
  text: string,
  parts: readonly { start: number; end: number; kind: Kind }[],
  kinds: readonly Kind[],
): string {
  let result = "";
  let done = 0;
  for (const { start, end, kind } of parts) {
    if (!kinds.includes(kind)) continue;
    result += text.slice(done, start) + text.slice(start, end).replaceAll(/[^\n]/g, " ");
    done = end;
  }
  return result + text.slice(done);
}

/** The 1-based line of an offset. */
export function lineAt(text: string, offset: number): number {
  let line = 1;
  for (let at = text.indexOf("\n"); at !== -1 && at < offset; at = text.indexOf("\n", at + 1))
    line += 1;
  return line;
}

export interface ImportSite {
  readonly specifier: string;
  readonly line: number;
  /** `static` and `lazy` (`import()`) load a module; `url` names the file of a worker or child process. */
  readonly kind: "static" | "lazy" | "url";
}

const IMPORT_FORMS: readonly { readonly kind: ImportSite["kind"]; readonly pattern: RegExp }[] = [
  { kind: "static", pattern: /\b(?:import|export)\b[^;"'()]*?\bfrom\s*["']([^"']+)["']/g },
  { kind: "static", pattern: /^\s*import\s*["']([^"']+)["']/gm },
  { kind: "lazy", pattern: /\bimport\s*\(\s*["']([^"']+)["']/g },
  { kind: "url", pattern: /["'](\.{1,2}\/[^"'\n]+\.(?:ts|js))["']/g },
  { kind: "url", pattern: /\bsiblingModule\(\s*import\.meta\.url,\s*["']([^"']+)["']/g },
];

/** Every module that the text refers to: static and lazy imports, type-only ones too, and file URLs. */
export function importsOf(text: string): ImportSite[] {
  const { withLiterals } = scanSource(text);
  const sites: ImportSite[] = [];
  const seen = new Set<number>();
  for (const { kind, pattern } of IMPORT_FORMS) {
    for (const match of withLiterals.matchAll(pattern)) {
      const name = match[1] ?? "";
      const offset = match.index + match[0].lastIndexOf(name);
      if (seen.has(offset)) continue;
      seen.add(offset);
      const specifier = match[0].startsWith("siblingModule") ? `./${name}.ts` : name;
      sites.push({ specifier, line: lineAt(withLiterals, offset), kind });
    }
  }
  return sites.sort((a, b) => a.line - b.line);
}
