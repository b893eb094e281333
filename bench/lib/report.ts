/**
 * What a benchmark prints: measures with their spread, ratios against a named peer of the same run, and targets
 * that were met or missed. The same as data with `--json`.
 */
import { format, summarize, type Summary } from "./stats.ts";

export type Better = "higher" | "lower";

export interface MeasureOptions {
  readonly unit: string;
  /** One sample a run. */
  readonly samples: readonly number[];
  /** A peer measured in the same run, in the same unit. */
  readonly against?:
    | { readonly name: string; readonly samples: readonly number[]; readonly better: Better }
    | undefined;
  /** A limit for the median, or for another of the three. */
  readonly target?:
    | { readonly better: Better; readonly limit: number; readonly of?: keyof Summary | undefined }
    | undefined;
}

export interface MeasureRecord extends Summary {
  readonly section: string;
  readonly name: string;
  readonly unit: string;
  readonly runs: number;
  readonly ratio?: { readonly against: string; readonly value: number } | undefined;
  readonly target?: { readonly limit: number; readonly met: boolean } | undefined;
}

export class Report {
  readonly records: MeasureRecord[] = [];
  readonly notes: string[] = [];
  readonly #print: (line: string) => void;
  #section = "";

  constructor(print: (line: string) => void) {
    this.#print = print;
  }

  section(title: string): void {
    this.#section = title;
    this.#print("");
    this.#print(title);
  }

  note(text: string): void {
    this.notes.push(`${this.#section}: ${text}`);
    this.#print(`  ${text}`);
  }

  measure(name: string, options: MeasureOptions): void {
    const { unit, samples, against, target } = options;
    const summary = summarize(samples);
    const parts = [`  ${name.padEnd(44)} ${format(summary.median).padStart(7)} ${unit}`];
    if (samples.length > 1) parts.push(`(${format(summary.min)} to ${format(summary.max)})`);
    const ratio = against === undefined ? undefined : ratioOf(summary.median, against);
    if (ratio !== undefined) parts.push(`= ${format(ratio.value)} x ${ratio.against}`);
    let verdict: MeasureRecord["target"];
    if (target !== undefined) {
      const { limit, better, of = "median" } = target;
      const value = summary[of];
      verdict = { limit, met: better === "lower" ? value <= limit : value >= limit };
      const sign = better === "lower" ? "<=" : ">=";
      parts.push(
        `[wanted ${of === "median" ? "" : `${of} `}${sign} ${limit}: ${verdict.met ? "met" : "MISSED"}]`,
      );
    }
    this.#print(parts.join("  "));
    const runs = samples.length;
    this.records.push({
      section: this.#section,
      name,
      unit,
      runs,
      ...summary,
      ratio,
      target: verdict,
    });
  }

  /** A fact that is right or wrong. */
  check(name: string, met: boolean, found: string): void {
    this.measure(`${name}: ${found}`, {
      unit: met ? "yes" : "NO",
      samples: [met ? 1 : 0],
      target: { better: "higher", limit: 1 },
    });
  }
}

/** How many times better than the peer: above 1 is better, whichever way the unit runs. */
function ratioOf(
  value: number,
  against: NonNullable<MeasureOptions["against"]>,
): NonNullable<MeasureRecord["ratio"]> {
  const peer = summarize(against.samples).median;
  const isHigher = against.better === "higher";
  return { against: against.name, value: isHigher ? value / peer : peer / value };
}
