/**
 * Splits a command line into words as a shell would, without being one: quotes and backslashes count, variables,
 * globs and substitutions do not. What only a shell could do is refused; Litestream silently drops it.
 *
 * Source: mattn/go-shellwords `Parser.Parse`, which Litestream uses.
 */
import { MillraceError } from "../errors.ts";

const OPERATORS = /[;&|<>]/;

/** Throws `usage/invalid` for an open quote, a shell operator, or no word at all. */
export function splitWords(command: string): string[] {
  const words: string[] = [];
  let word: string | undefined;
  let index = 0;
  const next = (): string => command[index++] ?? "";
  while (index < command.length) {
    const char = next();
    if (/\s/.test(char)) {
      if (word !== undefined) words.push(word);
      word = undefined;
    } else if (char === "'" || char === '"') {
      const end = closingQuote(command, index, char);
      const quoted = command.slice(index, end);
      word = (word ?? "") + (char === '"' ? quoted.replace(/\\(["\\$`])/g, "$1") : quoted);
      index = end + 1;
    } else if (char === "\\") {
      word = (word ?? "") + next();
    } else if (OPERATORS.test(char)) {
      throw refused(command, `it has a "${char}"`, `run a shell yourself: sh -c '…'`);
    } else word = (word ?? "") + char;
  }
  if (word !== undefined) words.push(word);
  if (words.length === 0) throw refused(command, "it is empty", "name a program and its arguments");
  return words;
}

/** Index of the quote that ends what begins at `start`. */
function closingQuote(command: string, start: number, quote: string): number {
  for (let index = start; index < command.length; index += 1) {
    if (command[index] === quote) return index;
    if (quote === '"' && command[index] === "\\") index += 1;
  }
  throw refused(
    command,
    `a ${quote} is not closed`,
    "close the quote, or write a backslash before it",
  );
}

function refused(command: string, problem: string, hint: string): MillraceError {
  return new MillraceError("usage/invalid", `run command "${command}": ${problem}`, { hint });
}
