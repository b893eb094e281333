/**
 * How a replicating process lives and ends. Whatever ends it, a signal, the command under `-exec`, or a failure, the
 * final sync is made, and the exit status tells whether everything is durable [T1, T2].
 */
import { formatTxid } from "../base/ids.ts";
import type { Logger } from "../base/logger.ts";
import type { CloseResult, DatabaseStatus, ReplicationEvent } from "../daemon/contract.ts";
import { SupervisedCommand } from "../daemon/exec.ts";
import type { Replicator } from "../daemon/replicator.ts";
import { fromErrorRecord, MillraceError, toMillraceError } from "../errors.ts";
import { formatJson, reportError } from "./output.ts";
import { onEndSignals, SignalAbort, signalStatus, type EndSignal } from "./signals.ts";
import type { Terminal } from "./terminal.ts";

export interface Run {
  readonly terminal: Terminal;
  readonly logger: Logger;
  readonly json: boolean;
  readonly shutdownSyncTimeoutMs: number;
  /** The longest of the destinations' leases. */
  readonly leaseTtlMs: number;
  /** The one database was named on the command line: what is wrong with it at the start ends the process. */
  readonly isStrict: boolean;
  readonly open: (onEvent: (event: ReplicationEvent) => void) => Promise<Replicator>;
}

const LEASE_SLACK_MS = 5_000;

/** One full pass: capture, upload, durable, end. */
export async function runOnce(run: Run): Promise<number> {
  const { terminal, json } = run;
  // Another process may have died with the lease: that is known when it was silent for the TTL.
  const leaseMs = run.leaseTtlMs + LEASE_SLACK_MS;
  const timeoutMs =
    run.shutdownSyncTimeoutMs === 0 ? 0 : Math.max(run.shutdownSyncTimeoutMs, leaseMs);
  using signals = new SignalAbort();
  const replicator = await run.open(() => {});
  try {
    await replicator.sync({ signal: signals.signal });
    refuseUnread(replicator.status().databases);
  } catch (error) {
    // The other databases still get their pass.
    if (replicator.paths.length > 1) await replicator.close({ timeoutMs, signal: signals.signal });
    else await replicator.abandon();
    throw error;
  }
  const options = { timeoutMs, signal: signals.signal, awaitLease: true };
  const result = await replicator.close(options);
  signals.signal.throwIfAborted();
  return conclude(terminal, result, { json, verbose: true });
}

/** A pass that read nothing has not replicated anything. */
function refuseUnread(databases: readonly DatabaseStatus[]): void {
  for (const { path, phase } of databases) {
    if (phase !== "missing") continue;
    throw new MillraceError("fs/not-found", `replicate "${path}": there is no such database`, {
      op: "replicate",
      hint: "check the path; without -once Millrace waits for the database to appear",
    });
  }
}

/** Until a signal comes, the command ends, or nothing is left to replicate. */
export async function runUntilEnd(run: Run, exec: string | undefined): Promise<number> {
  const { terminal, logger, json, shutdownSyncTimeoutMs: timeoutMs } = run;
  const life = new Life(logger);
  using _signals = onEndSignals((signal, before) => life.signalled(signal, before));
  const dead = Promise.withResolvers<void>();
  const running: { replicator?: Replicator } = {};
  const replicator = await run.open((event) => {
    if (event.type === "stopped" && running.replicator?.isDead === true) dead.resolve();
  });
  running.replicator = replicator;
  let status = 0;
  let failure: MillraceError | undefined;
  try {
    // Under a command a database that cannot be read is logged and waited for: the command runs.
    const first = startup(replicator, run.isStrict && exec === undefined);
    if (exec === undefined) {
      await Promise.race([life.ended, dead.promise, first.then(() => life.ended)]);
    } else {
      const command = await SupervisedCommand.start(exec);
      life.supervise(command);
      ({ status } = await command.exited);
      logger.log("info", "command ended", { status });
    }
  } catch (error) {
    failure = toMillraceError(error);
  }
  logger.log("info", "shutting down");
  if (failure !== undefined && exec === undefined) {
    await replicator.abandon();
    throw failure;
  }
  const result = await replicator.close({ timeoutMs });
  logger.log("info", "shut down", { durable: result.durable });
  const [stopped] = replicator.stopped;
  if (failure !== undefined) throw failure;
  const concluded = conclude(terminal, result, { json, verbose: false, stopped });
  return status === 0 ? concluded : status;
}

/** Captures for the first time. Rejects, if `isStrict`, when the database is none or may not be read. */
async function startup(replicator: Replicator, isStrict: boolean): Promise<void> {
  try {
    await replicator.sync();
  } catch (error) {
    const { code } = toMillraceError(error);
    if (isStrict && FATAL_AT_START.includes(code)) throw error;
  }
}

/** What time does not heal. */
const FATAL_AT_START: readonly string[] = [
  "sqlite/not-a-database",
  "sqlite/cannot-open",
  "sqlite/vulnerable",
  "fs/permission",
];

/** What signals do: the first ends the process in good order, the second at once. */
class Life {
  readonly #logger: Logger;
  readonly #ended = Promise.withResolvers<void>();
  #command: SupervisedCommand | undefined;
  #signal: EndSignal | undefined;

  constructor(logger: Logger) {
    this.#logger = logger;
  }

  /** A signal asked the process to end. */
  get ended(): Promise<void> {
    return this.#ended.promise;
  }

  /** From here on signals are for the command first. */
  supervise(command: SupervisedCommand): void {
    this.#command = command;
    if (this.#signal !== undefined) command.kill(this.#signal);
  }

  signalled(signal: EndSignal, before: number): void {
    this.#logger.log("info", "signal received", { signal });
    this.#signal = signal;
    this.#ended.resolve();
    const command = this.#command;
    if (command === undefined || command.hasExited) {
      if (before > 0) process.exit(signalStatus(signal));
      return;
    }
    // A terminal sends its interrupts to every process in the foreground by itself.
    const isDelivered = signal === "SIGINT" && process.stdin.isTTY;
    if (before > 0) command.kill("SIGKILL");
    else if (!isDelivered) command.kill(signal);
  }
}

/** Prints the result; returns the exit status that belongs to it. */
function conclude(
  terminal: Terminal,
  result: CloseResult,
  options: {
    readonly json: boolean;
    readonly verbose: boolean;
    readonly stopped?: MillraceError | undefined;
  },
): number {
  const { json, verbose, stopped } = options;
  const databases = result.databases.map(({ path, txid, durable, destinations, error }) => ({
    path,
    txid,
    durable,
    replicas: destinations.map(({ name, durableTxid }) => ({
      url: name,
      durable_txid: durableTxid,
    })),
    error: error && { code: error.code, message: error.message, hint: error.hint },
  }));
  if (json) terminal.out(formatJson({ durable: result.durable, databases }));
  else if (verbose) {
    for (const { path, txid, durable } of databases)
      if (durable) terminal.out(`${path}  TXID ${formatTxid(txid)}  durable\n`);
  }
  const [first] = result.databases.flatMap(({ error }) => error ?? []);
  const error = stopped ?? (first === undefined ? undefined : fromErrorRecord(first));
  return error === undefined ? 0 : reportError(terminal, error, { json: false });
}
