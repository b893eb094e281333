/** CPU time of this thread, which other work on the machine disturbs less than it does the clock on the wall. */

/** A shorter measurement is repeated: the system counts in small steps. */
const MIN_SECONDS = 0.05;

/** CPU seconds that `run` takes on this thread: the mean of as many runs as make a measurable time. */
export function threadSeconds(run: () => void): number {
  const start = process.threadCpuUsage();
  for (let count = 1; ; count += 1) {
    run();
    const { user, system } = process.threadCpuUsage(start);
    const seconds = (user + system) / 1e6;
    if (seconds >= MIN_SECONDS) return seconds / count;
  }
}
