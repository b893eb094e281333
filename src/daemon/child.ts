/**
 * Entry of the process that replicates for the library [decision 4]. It lives as long as its parent: when the channel to
 * it closes, however that happened, a final sync is made and the process ends. Signals are the parent's business; a
 * terminal or a service manager sends them to both.
 */
import { defined } from "../base/assert.ts";
import { SILENT } from "../base/logger.ts";
import { MillraceError, toErrorRecord, toMillraceError } from "../errors.ts";
import type { ChildCallName, ChildCalls, ChildMessage, ParentMessage } from "./child-protocol.ts";
import type { DatabaseOptions, DatabaseResult } from "./contract.ts";
import { openReplicator, type Replicator } from "./replicator.ts";
import { readVersion } from "./version.ts";

let replicator: Promise<Replicator> | undefined;
const calls = new Map<number, AbortController>();

function send(message: ChildMessage): void {
  // The parent may be gone at any moment; what it misses then matters to nobody.
  if (process.connected) process.send?.(message, undefined, {}, () => {});
}

async function open(options: DatabaseOptions): Promise<undefined> {
  replicator = openReplicator({
    databases: [options],
    logger: SILENT,
    version: readVersion(),
    pid: process.pid,
    onEvent: (event) => send({ type: "event", event }),
  });
  const opened = await replicator;
  try {
    await opened.sync();
  } catch (error) {
    // What may pass is tried again; the parent hears of it as an event.
    const isLasting = !["sqlite/busy", "fs/disk-full"].includes(toMillraceError(error).code);
    if (isLasting) await opened.close({ timeoutMs: 0 });
    if (isLasting) throw error;
  }
  return undefined;
}

async function current(): Promise<Replicator> {
  if (replicator !== undefined) return replicator;
  throw new MillraceError("daemon/closed", "replicate: nothing was opened");
}

async function close(options: { readonly timeoutMs: number | undefined }): Promise<DatabaseResult> {
  const { databases } = await (await current()).close(options);
  return defined(databases[0], "result of the database");
}

type Handlers = {
  readonly [Name in ChildCallName]: (
    argument: ChildCalls[Name]["argument"],
    signal: AbortSignal,
  ) => Promise<ChildCalls[Name]["result"]>;
};

const handlers: Handlers = {
  open,
  durable: async (_argument, signal) => {
    const txids = await (await current()).sync({ wait: true, signal });
    return defined([...txids.values()][0], "TXID of the database");
  },
  status: async () => defined((await current()).status().databases[0], "status of the database"),
  close,
};

async function answer(message: ParentMessage & { readonly type: "call" }): Promise<void> {
  const { id, name, argument } = message;
  const cancel = new AbortController();
  calls.set(id, cancel);
  try {
    // Name and argument belong together by construction of ParentMessage.
    const handler = handlers[name] as (
      argument: unknown,
      signal: AbortSignal,
    ) => Promise<undefined>;
    send({ type: "result", id, value: await handler(argument, cancel.signal) });
  } catch (error) {
    send({ type: "error", id, error: toErrorRecord(error) });
  } finally {
    calls.delete(id);
  }
}

async function end(): Promise<void> {
  try {
    const result = await (await replicator)?.close();
    if (result?.durable === false) process.exitCode = 1;
  } catch {
    process.exitCode = 1; // It could not be opened: the parent was told.
  }
}

for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.on(signal, () => {});
process.on("message", (message: ParentMessage) => {
  if (message.type === "cancel") calls.get(message.id)?.abort();
  else void answer(message);
});
process.on("disconnect", () => void end());
