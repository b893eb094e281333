/**
 * The house rules that neither the compiler nor the linter knows, one function each: text in, findings
 * out. A rule that has to be broken is broken visibly: `tidy-allow RULE: reason` in a comment on the
 * line or on the one above.
 */
import { type ScannedSource, lineAt } from "../lib/scan.ts";
import { isTest } from "../lib/files.ts";

export interface Finding {
  readonly line: number;
  readonly rule: string;
  readonly text: string;
}

interface BannedCall {
  readonly rule: string;
  readonly pattern: RegExp;
  readonly instead: string;
  /** Path prefixes inside which the rule does not hold. */
  readonly except: readonly string[];
  /** Path prefixes the rule is limited to. */
  readonly within: readonly string[];
}

const NOT_SHIPPED = ["test/", "bench/", "tools/", "src/testing/"];
const EDGE = [...NOT_SHIPPED, "src/platform/", "src/cli/", "bin/"];

const BANNED_CALLS: readonly BannedCall[] = [
  {
    rule: "clock",
    pattern: /\bDate\.now\b|\bnew Date\(\s*\)|\bperformance\.now\b|\bprocess\.hrtime\b/g,
    instead: "take a Clock",
    except: EDGE,
    within: ["src/", "bin/"],
  },
  {
    rule: "timer",
    pattern: /\bset(?:Timeout|Interval)\b/g,
    instead: "take a Clock",
    except: EDGE,
    within: ["src/", "bin/"],
  },
  {
    rule: "random",
    pattern: /\bMath\.random\b|\brandom(?:UUID|Bytes|FillSync)\b|\bgetRandomValues\b/g,
    instead: "take a Random",
    except: EDGE,
    within: ["src/", "bin/"],
  },
  {
    rule: "exit",
    pattern: /\bprocess\.exit\b/g,
    instead: "set process.exitCode and let the event loop empty",
    except: EDGE,
    within: ["src/", "bin/", "tools/"],
  },
  {
    rule: "console",
    pattern: /\bconsole\.\w+/g,
    instead: "take a Logger",
    except: EDGE,
    within: ["src/", "bin/"],
  },
  {
    rule: "subarray",
    pattern: /\.subarray\(/g,
    instead: "read through the cursor of base, which throws where subarray clamps",
    except: [],
    within: ["src/ltx/", "src/wal/"],
  },
];

/** Calls that only some folders may make. Tests may make all of them. */
export function bannedCalls(path: string, source: ScannedSource): Finding[] {
  if (isTest(path)) return [];
  return BANNED_CALLS.filter(
    ({ within, except }) =>
      within.some((prefix) => path.startsWith(prefix)) &&
      !except.some((prefix) => path.startsWith(prefix)),
  ).flatMap(({ rule, pattern, instead }) =>
    [...source.code.matchAll(pattern)].map((match) => ({
      line: lineAt(source.code, match.index),
      rule,
      text: `${match[0].replace(/\($/, "")} is banned here: ${instead}`,
    })),
  );
}

/** Tests that do not run, or keep others from running. */
export function idleTests(path: string, source: ScannedSource): Finding[] {
  if (!isTest(path)) return [];
  const pattern = /\b(?:test|it|describe|suite|t|context)\.(?:skip|only|todo)\b|\b(?:only|todo):/g;
  return [...source.code.matchAll(pattern)].map((match) => ({
    line: lineAt(source.code, match.index),
    rule: "idle-test",
    text: `${match[0]} leaves tests out`,
  }));
}

/** Task tags without an issue, or of another name. */
export function taskTags(source: ScannedSource): Finding[] {
  return source.comments.flatMap(({ offset, text }) =>
    [...text.matchAll(/\b(?:TODO|FIXME|XXX|HACK)\b(?<issue>\(#\d+\):)?/g)]
      .filter((match) => !match[0].startsWith("TODO(") || match.groups?.["issue"] === undefined)
      .map((match) => ({
        line: lineAt(source.code, offset + match.index),
        rule: "task-tag",
        text: `"${match[0]}": write TODO(#issue): what`,
      })),
  );
}

const SOFT_LINES = 300;
const HARD_LINES = 400;
const TEST_LINES = 600;

/** Lines at the top of a file that may hold its own allowance. */
const HEAD_LINES = 15;

/** A file too long to be about one thing, unless its head says why. `soft` findings are advice. */
export function fileSize(path: string, text: string): (Finding & { readonly soft: boolean })[] {
  const lines = text.split("\n").length - 1;
  const hard = isTest(path) ? TEST_LINES : HARD_LINES;
  const soft = isTest(path) ? TEST_LINES : SOFT_LINES;
  if (lines <= soft) return [];
  if (text.split("\n", HEAD_LINES).some((line) => allows(line, "file-size"))) return [];
  const limit = lines > hard ? hard : soft;
  return [
    { line: 1, rule: "file-size", text: `${lines} lines: over ${limit}`, soft: lines <= hard },
  ];
}

const HOMES = ["home", "Users", "root", "work", "workspace", "builds", "mnt/data"];
const MACHINE_PATH = new RegExp(`(?<![\\w.~:/-])/(?:${HOMES.join("|")})/[\\w.-]+`, "g");

/** Absolute paths of somebody's machine. They mean nothing on another. */
export function machinePaths(text: string): Finding[] {
  return [...text.matchAll(MACHINE_PATH)].map((match) => ({
    line: lineAt(text, match.index),
    rule: "machine-path",
    text: `"${match[0]}" is a path of one machine`,
  }));
}

/** A section of a specification that no reader of the project can open. */
export function absentDocuments(text: string): Finding[] {
  return [...text.matchAll(/\b[a-z][\w-]* spec,? (?:section )?\d+(?:\.\d+)*/g)].map((match) => ({
    line: lineAt(text, match.index),
    rule: "absent-document",
    text: `"${match[0]}": name a public source and its symbol, or a page of docs`,
  }));
}

/** Words outside Latin script, Greek symbols apart: the project is written in English. */
export function foreignWords(text: string): Finding[] {
  const pattern = /[^\P{L}\p{Script=Latin}\p{Script=Greek}\p{Script=Common}]+/gu;
  return [...text.matchAll(pattern)].map((match) => ({
    line: lineAt(text, match.index),
    rule: "language",
    text: `"${match[0]}" is not English`,
  }));
}

/** The same in comments; literals may hold any letter, for tests of just that. */
export function foreignComments(source: ScannedSource): Finding[] {
  return source.comments.flatMap(({ offset, text }) =>
    foreignWords(text).map((finding) => ({
      ...finding,
      line: lineAt(source.code, offset) + finding.line - 1,
    })),
  );
}

/** Drops findings that the text allows with a reason, and reports allowances without one. */
export function applyAllowances(text: string, findings: readonly Finding[]): Finding[] {
  const lines = text.split("\n");
  return findings.filter(({ line, rule }) => {
    const near = [lines[line - 1], lines[line - 2]];
    return !near.some((candidate) => allows(candidate, rule));
  });
}

function allows(line: string | undefined, rule: string): boolean {
  const match = /tidy-allow ([\w-]+): (.{8,})/.exec(line ?? "");
  return match?.[1] === rule;
}
