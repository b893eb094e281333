/** Ranges of objects, as HTTP has them in its headers. */

/** The value of `Range`. `sizeBytes` is not 0; `undefined` is to the end, and so is what no number can say. */
export function rangeOf(offset: number, sizeBytes: number | undefined): string {
  const last = offset + (sizeBytes ?? Infinity) - 1;
  return `bytes=${offset}-${Number.isSafeInteger(last) ? last : ""}`;
}

/** How large the whole object is, from `Content-Range`. */
export function totalOf(contentRange: string | undefined): number | undefined {
  const total = /^bytes \d+-\d+\/(\d+)$/.exec(contentRange ?? "")?.[1];
  return total === undefined ? undefined : Number(total);
}
