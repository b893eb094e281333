/** What everything in a replicating process shares. */
import type { Clock, Random } from "../base/clock.ts";
import type { Logger } from "../base/logger.ts";
import type { Files } from "../platform/files.ts";

export interface ReplicatorContext {
  readonly files: Files;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
}
