/** A thread of a restore: answers `DecodeCalls` one after the other over its parent port. */
import { parentPort } from "node:worker_threads";
import { defined } from "../base/assert.ts";
import { toErrorRecord } from "../errors.ts";
import { nodeFiles } from "../platform/files.ts";
import type { DecodeCalls, DecodeMethod, DecodeReply, DecodeRequest } from "./decode-calls.ts";
import { FRAME_WORDS, FrameDecoder, type FrameSums, type FrameTask } from "./decode-frames.ts";
import { LocalFile } from "./local-file.ts";

/** Decoded frames after which finished calls are answered, although others wait. */
const REPLY_FRAMES = 512;

const port = defined(parentPort, "the parent port of a thread of a restore");
const local = new LocalFile(nodeFiles);
let output:
  | {
      readonly pageSize: number;
      readonly fd: number | undefined;
      readonly scratchFd: number | undefined;
      readonly hashed: boolean;
    }
  | undefined;
/** Made by the first task: a thread that only reads and flushes needs none. */
let decoder: FrameDecoder | undefined;

function answer(request: DecodeRequest): DecodeCalls[DecodeMethod]["result"] {
  if (request.method === "decode") return decode(request.args);
  if (request.method === "sum") return theDecoder().sumOutput(request.args);
  if (request.method === "read") return request.args.map((range) => local.readRange(range));
  if (request.method === "open") open(request.args);
  else if (output?.fd !== undefined) nodeFiles.fsync("restore output sync", output.fd);
  return undefined;
}

function open({ pageSize, path, scratch, hashed }: DecodeCalls["open"]["args"]): void {
  for (const fd of [output?.fd, output?.scratchFd]) {
    if (fd !== undefined) nodeFiles.close("restore output close", fd);
  }
  const open = (file: string | undefined): number | undefined =>
    file === undefined ? undefined : nodeFiles.open("restore output open", file, "r+");
  output = { pageSize, fd: open(path), scratchFd: open(scratch), hashed };
  decoder = undefined;
}

function decode(task: FrameTask): FrameSums {
  try {
    return theDecoder().decode(task);
  } finally {
    // Given back at once: the collector would let megabytes of finished input pile up.
    if (typeof task.source !== "string") task.source.buffer.transfer(0);
  }
}

function theDecoder(): FrameDecoder {
  decoder ??= new FrameDecoder({ ...defined(output, "the output"), files: nodeFiles, local });
  return decoder;
}

/** Buffers that go over with the result. */
function transfersOf(result: DecodeCalls[DecodeMethod]["result"]): ArrayBuffer[] {
  if (!Array.isArray(result)) return [];
  return result.flatMap((bytes: Uint8Array<ArrayBuffer> | undefined) => bytes?.buffer ?? []);
}

function reply(request: DecodeRequest): DecodeReply {
  try {
    return { id: request.id, result: answer(request) };
  } catch (error) {
    return { id: request.id, error: toErrorRecord(error) };
  }
}

/** How much a call has to do: frames to be decoded. */
function weightOf(request: DecodeRequest): number {
  return request.method === "decode" ? request.args.frames.length / FRAME_WORDS : REPLY_FRAMES;
}

port.on("message", (requests: readonly DecodeRequest[]) => {
  let replies: DecodeReply[] = [];
  let weight = 0;
  for (const [i, request] of requests.entries()) {
    replies.push(reply(request));
    weight += weightOf(request);
    if (weight < REPLY_FRAMES && i < requests.length - 1) continue;
    const buffers = replies.flatMap((done) => ("result" in done ? transfersOf(done.result) : []));
    port.postMessage(replies, buffers);
    replies = [];
    weight = 0;
  }
});
