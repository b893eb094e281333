/** Plain objects. */

/** A copy without the properties that are `undefined`, so that spreading it over defaults keeps them. */
export function withoutUndefined<T extends object>(
  options: T | undefined,
): { [K in keyof T]: Exclude<T[K], undefined> } {
  const entries = Object.entries(options ?? {}).filter(([, value]) => value !== undefined);
  return Object.fromEntries(entries) as { [K in keyof T]: Exclude<T[K], undefined> };
}
