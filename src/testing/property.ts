/**
 * How random tests run: a number of runs that `MILLRACE_RUNS` overrides, and a failure's seed and path,
 * which fast-check prints, taken back from `MILLRACE_SEED` and `MILLRACE_PATH`.
 */
export interface PropertyOptions {
  readonly numRuns: number;
  readonly seed?: number;
  readonly path?: string;
}

export function propertyOptions(countRuns: number): PropertyOptions {
  const { MILLRACE_RUNS: runs, MILLRACE_SEED: seed, MILLRACE_PATH: path } = process.env;
  return {
    numRuns: Number(runs ?? countRuns),
    ...(seed === undefined ? {} : { seed: Number(seed) }),
    ...(path === undefined ? {} : { path }),
  };
}
