/** Reads the tables of the project's own Markdown pages, so that tests can compare them with the code. */
import { readFileSync } from "node:fs";

/** One row: column title to cell text, without backquotes around it. */
export type TableRow = Readonly<Record<string, string>>;

/**
 * The rows of the first table below the heading `heading` (its text, of any level; "" is the top of the page).
 * Throws when the page has no such heading or no table before the next one.
 */
export function tableUnder(path: string, heading: string): TableRow[] {
  const lines = readFileSync(path, "utf8").split("\n");
  const start =
    heading === ""
      ? 0
      : lines.findIndex((line) => /^#+ /.test(line) && headingText(line) === heading);
  if (start === -1) throw new Error(`${path}: no heading "${heading}"`);
  const length = lines.slice(start + 1).findIndex((line) => /^#+ /.test(line));
  const section = lines.slice(start + 1, length === -1 ? undefined : start + 1 + length);
  const first = section.findIndex((line) => line.startsWith("|"));
  if (first === -1) throw new Error(`${path}: no table under "${heading}"`);
  const rest = section.slice(first);
  const end = rest.findIndex((line) => !line.startsWith("|"));
  const [titles, , ...rows] = rest.slice(0, end === -1 ? undefined : end).map(cellsOf);
  if (titles === undefined) throw new Error(`${path}: no table under "${heading}"`);
  return rows.map((cells) =>
    Object.fromEntries(titles.map((title, index) => [title, cells[index] ?? ""])),
  );
}

function headingText(line: string): string {
  return line.replace(/^#+ /, "").trim();
}

function cellsOf(line: string): string[] {
  return line
    .slice(1, -1)
    .split("|")
    .map((cell) => cell.trim().replace(/^`([^`]*)`$/, "$1"));
}

/** Field name to offset, from a table with the columns Offset, Size and Field; throws on a gap or overlap. */
export function fieldOffsets(
  rows: readonly TableRow[],
  options: { readonly startOffset: number; readonly endOffset: number },
): Record<string, number> {
  let next = options.startOffset;
  const offsets: Record<string, number> = {};
  for (const row of rows) {
    const name = row["Field"] ?? "";
    const offset = Number(row["Offset"]);
    if (offset !== next) throw new Error(`field ${name} is at ${offset}: ${next} comes next`);
    offsets[name] = offset;
    next = offset + Number(row["Size"]);
  }
  if (next !== options.endOffset)
    throw new Error(`fields end at ${next}: not ${options.endOffset}`);
  return offsets;
}
