/** Listing a replica and planning on it. */
import type { Clock, Random } from "../base/clock.ts";
import { systemClock, systemRandom } from "../platform/clock.ts";
import { MAX_LEVEL, type LtxFileInfo, type LtxStore } from "../storage/ltx-store.ts";
import { planFiles, type RestorePlan, type RestoreTarget } from "./plan.ts";
import { retryPassing } from "./retry.ts";

export interface PlanOptions {
  readonly signal?: AbortSignal | undefined;
  readonly clock?: Clock | undefined;
  readonly random?: Random | undefined;
}

/**
 * Plans a restore without restoring: lists all levels side by side, then `planFiles`. Exact times are asked
 * for only when the target is a time, because they may cost a request a file.
 */
export async function planRestore(
  store: LtxStore,
  target: RestoreTarget = "latest",
  options: PlanOptions = {},
): Promise<RestorePlan> {
  const exactTimes = target !== "latest" && "timestampMs" in target;
  const levels = Array.from({ length: MAX_LEVEL + 1 }, (_, level) => level);
  const files = await Promise.all(
    levels.map((level) => listLevel(store, level, { ...options, exactTimes })),
  );
  return planFiles(files.flat(), target);
}

/** All files of a level; a listing that fails in passing starts again. */
function listLevel(
  store: LtxStore,
  level: number,
  options: PlanOptions & { readonly exactTimes: boolean },
): Promise<LtxFileInfo[]> {
  const { exactTimes, signal, clock = systemClock, random = systemRandom } = options;
  return retryPassing({ clock, random, signal }, () =>
    Array.fromAsync(store.list(level, { exactTimes, signal })),
  );
}
