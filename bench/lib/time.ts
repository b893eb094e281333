/** Times that can be compared between processes of one machine. */

/** Milliseconds of the system's monotonic clock. */
export function nowMs(): number {
  return Number(process.hrtime.bigint()) / 1e6;
}

const sleepCell = new Int32Array(new SharedArrayBuffer(4));

/** Blocks this thread until the clock shows `timeMs`. */
export function sleepUntil(timeMs: number): void {
  for (let leftMs = timeMs - nowMs(); leftMs > 0; leftMs = timeMs - nowMs()) {
    Atomics.wait(sleepCell, 0, 0, leftMs);
  }
}

/** Resolves when `isReady` says so; rejects after `limitMs`. */
export async function waitUntil(
  what: string,
  isReady: () => boolean,
  limitMs = 60_000,
): Promise<void> {
  for (const end = nowMs() + limitMs; !isReady();) {
    if (nowMs() > end) throw new Error(`waited ${limitMs} ms for ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}
