/** A decoding thread: answers `DecodeCalls` one after the other over its parent port. */
import { parentPort } from "node:worker_threads";
import { defined } from "../base/assert.ts";
import { toErrorRecord } from "../errors.ts";
import { nodeFiles } from "../platform/files.ts";
import type { DecodeCalls, DecodeMethod, DecodeReply, DecodeRequest } from "./decode-calls.ts";
import { FrameDecoder, type FrameSums, type FrameTask } from "./decode-frames.ts";

const port = defined(parentPort, "the parent port of a decoding thread");
let decoder: FrameDecoder | undefined;
let fd: number | undefined;

function answer(request: DecodeRequest): DecodeCalls[DecodeMethod]["result"] {
  if (request.method === "decode") return decode(request.args);
  if (request.method === "open") open(request.args);
  else if (fd !== undefined) nodeFiles.fsync("restore output sync", fd);
  return undefined;
}

function open({ pageSize, path }: DecodeCalls["open"]["args"]): void {
  if (fd !== undefined) nodeFiles.close("restore output close", fd);
  fd = path === undefined ? undefined : nodeFiles.open("restore output open", path, "r+");
  decoder = new FrameDecoder({ pageSize, files: nodeFiles, fd });
}

function decode(task: FrameTask): FrameSums {
  try {
    return defined(decoder, "the decoder").decode(task);
  } finally {
    // Given back at once: the collector would let megabytes of finished input pile up.
    task.bytes.buffer.transfer(0);
  }
}

port.on("message", (request: DecodeRequest) => {
  let reply: DecodeReply;
  try {
    reply = { id: request.id, result: answer(request) };
  } catch (error) {
    reply = { id: request.id, error: toErrorRecord(error) };
  }
  port.postMessage(reply);
});
