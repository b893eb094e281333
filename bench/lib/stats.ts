/** Medians and quantiles of a few samples. */

export interface Summary {
  readonly min: number;
  readonly median: number;
  readonly max: number;
}

/** The value below which a share `q` of the samples lies, by nearest rank; NaN without samples. */
export function quantile(samples: readonly number[], q: number): number {
  const sorted = samples.toSorted((a, b) => a - b);
  return sorted[Math.max(0, Math.ceil(q * sorted.length) - 1)] ?? Number.NaN;
}

/** Of an even count, the mean of the two in the middle. */
export function median(samples: readonly number[]): number {
  const sorted = samples.toSorted((a, b) => a - b);
  const middle = sorted.length / 2;
  const low = sorted[Math.ceil(middle) - 1] ?? Number.NaN;
  const high = sorted[Math.floor(middle)] ?? Number.NaN;
  return (low + high) / 2;
}

export function summarize(samples: readonly number[]): Summary {
  return { min: quantile(samples, 0), median: median(samples), max: quantile(samples, 1) };
}

/** Three significant digits, no exponent. */
export function format(value: number): string {
  if (Number.isNaN(value)) return "-";
  if (value === 0) return "0";
  const digits = Math.max(0, 2 - Math.floor(Math.log10(Math.abs(value))));
  return value.toFixed(Math.min(4, digits));
}
