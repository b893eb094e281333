/**
 * Finds functions and their lengths in formatted TypeScript by matching braces in masked text: enough
 * for a size rule, far from a parser. A brace opens a function body when what stands before it ends in
 * `=>`, or in a parameter list with an optional return type that no control keyword starts.
 */
import { lineAt } from "../lib/scan.ts";

export interface FunctionSize {
  readonly name: string;
  readonly line: number;
  /** From the line of the head to the line of the closing brace, both counted. */
  readonly countLines: number;
}

const CONTROL =
  /^(?:\}\s*)?(?:else\b\s*)?(?:if|for|while|switch|do|try|catch|finally|class|abstract|export\s+(?:abstract\s+)?class|interface|export\s+interface|namespace|declare|type|export\s+type)\b/;

/** Sizes of all functions in `code`, which has its comments and literals blanked. */
export function functionSizes(code: string): FunctionSize[] {
  const sizes: FunctionSize[] = [];
  const open: number[] = [];
  for (let offset = 0; offset < code.length; offset += 1) {
    const char = code.charAt(offset);
    if (char === "{") open.push(offset);
    if (char !== "}") continue;
    const start = open.pop();
    if (start === undefined) continue;
    const head = headBefore(code, start);
    if (!opensFunction(head.text)) continue;
    const line = lineAt(code, head.start);
    sizes.push({ name: nameOf(head.text), line, countLines: lineAt(code, offset) - line + 1 });
  }
  return sizes.sort((a, b) => a.line - b.line);
}

/** The statement text that leads to the brace at `brace`, back to the previous statement or block. */
function headBefore(
  code: string,
  brace: number,
): { readonly start: number; readonly text: string } {
  let depth = 0;
  let at = brace - 1;
  for (; at >= 0; at -= 1) {
    const char = code.charAt(at);
    if (char === ")" || char === "]") depth += 1;
    else if (char === "}") {
      if (depth === 0 && /^\s*\n/.test(code.slice(at + 1, brace))) break;
      depth += 1;
    } else if (char === "(" || char === "[" || char === "{") {
      if (depth === 0) break;
      depth -= 1;
    } else if (depth === 0 && (char === ";" || endsMember(code, at))) break;
  }
  const text = code.slice(at + 1, brace);
  const start = at + 1 + (text.length - text.trimStart().length);
  return { start, text: text.trim() };
}

/** Whether the comma at `at` ends a member of an object: formatted code breaks the line there. */
function endsMember(code: string, at: number): boolean {
  return code.charAt(at) === "," && code.charAt(at + 1) === "\n";
}

function opensFunction(head: string): boolean {
  if (head.endsWith("=>")) return true;
  if (CONTROL.test(head)) return false;
  if (/(?:=|\breturn|\bas|\bsatisfies|[,?&|+])$/.test(head)) return false;
  return /\)\s*(?::[^=]*)?$/.test(head) && !/^(?:return|throw|await|new)\b/.test(head);
}

function nameOf(head: string): string {
  const declared =
    /\bfunction\s*\*?\s*([\w$]+)/.exec(head) ??
    /\b(?:const|let)\s+([\w$]+)\s*(?::[^=]+)?=/.exec(head) ??
    /(?:^|\s)(?:static\s+|async\s+|override\s+|get\s+|set\s+|\*\s*)*(#?[\w$]+)\s*(?:<[^(]*>)?\(/.exec(
      head,
    ) ??
    /([\w$]+)\s*[:=]/.exec(head);
  return declared?.[1] ?? "(anonymous)";
}
