/** Listing a replica and planning on it. */
import type { Clock, Random } from "../base/clock.ts";
import { systemClock, systemRandom } from "../platform/clock.ts";
import { MAX_LEVEL, type LtxFileInfo, type LtxStore } from "../storage/ltx-store.ts";
import { planFiles, type RestorePlan, type RestoreTarget } from "./plan.ts";
import { retryPassing, type RetryOptions } from "./retry.ts";

export interface PlanOptions {
  readonly signal?: AbortSignal | undefined;
  readonly clock?: Clock | undefined;
  readonly random?: Random | undefined;
}

/** The options with which a listing is tried again: not when no connection could be made, which is told at once. */
export function planOptions({
  signal,
  clock = systemClock,
  random = systemRandom,
}: PlanOptions): RetryOptions {
  return { clock, random, signal, isWorthIt: ({ details }) => details["sent"] !== false };
}

/** Plans a restore from LTX files without restoring. See `planFiles`. */
export async function planRestore(
  store: LtxStore,
  target: RestoreTarget = "latest",
  options: PlanOptions = {},
): Promise<RestorePlan> {
  return planFiles(await listLtxFiles(store, target, options), target);
}

/**
 * The files of all levels, listed side by side. Exact times are asked for only when the target is a time, because they
 * may cost a request a file. A listing that fails in passing starts again.
 */
export async function listLtxFiles(
  store: LtxStore,
  target: RestoreTarget,
  options: PlanOptions,
): Promise<LtxFileInfo[]> {
  const { signal } = options;
  const exactTimes = target !== "latest" && "timestampMs" in target;
  const levels = Array.from({ length: MAX_LEVEL + 1 }, (_, level) => level);
  const files = await Promise.all(
    levels.map((level) =>
      retryPassing(planOptions(options), () =>
        Array.fromAsync(store.list(level, { exactTimes, signal })),
      ),
    ),
  );
  return files.flat();
}
