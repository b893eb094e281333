/** Entry of the capture thread. */
import { parentPort, workerData } from "node:worker_threads";
import { defined } from "../base/assert.ts";
import { toErrorRecord } from "../errors.ts";
import { systemClock, systemRandom } from "../platform/clock.ts";
import { nodeFiles, type Files } from "../platform/files.ts";
import { CaptureHost } from "./host.ts";
import type { CallMessage, WorkerMessage, WorkerSetup } from "./protocol.ts";

const port = defined(parentPort, "parent port");
const post = (message: WorkerMessage): void => port.postMessage(message);

async function injectedFiles(url: string): Promise<Files> {
  const module = (await import(url)) as { readonly files: Files };
  return module.files;
}

const { filesModule } = workerData as WorkerSetup;
const host = new CaptureHost({
  files: filesModule === undefined ? nodeFiles : await injectedFiles(filesModule),
  clock: systemClock,
  random: systemRandom,
  emit: (key, event) => post({ type: "event", key, event }),
});

port.on("message", (message: CallMessage) => {
  try {
    // Name and argument belong together by construction of CallMessage.
    const handler = host.handlers[message.name] as (key: string, argument: unknown) => undefined;
    post({ type: "result", id: message.id, value: handler(message.key, message.argument) });
  } catch (error) {
    post({ type: "error", id: message.id, error: toErrorRecord(error) });
  }
});
