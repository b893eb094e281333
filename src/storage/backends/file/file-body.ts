/** Reading one file: ranged, in large pieces, never more or fewer bytes than it had when it was opened. */
import type { FileHandle } from "node:fs/promises";
import { translateFsError } from "../../../platform/fs-error.ts";
import type { BackendBody, BackendGet } from "../../backend.ts";
import type { ObjectInfo } from "../../contract.ts";
import { truncatedError } from "../../open-store.ts";

export const READ_CHUNK_BYTES: number = 1024 * 1024;

const OP = "read object";

export class FileBody implements BackendBody {
  readonly info: ObjectInfo;
  readonly #handle: FileHandle;
  readonly #path: string;
  readonly #start: number;
  readonly #end: number;
  readonly #signal: AbortSignal;
  #closing: Promise<void> | undefined;

  /** Takes over `handle`. */
  constructor(handle: FileHandle, path: string, info: ObjectInfo, call: BackendGet) {
    this.info = info;
    this.#handle = handle;
    this.#path = path;
    this.#start = Math.min(call.offset, info.sizeBytes);
    this.#end = Math.min(info.sizeBytes, this.#start + (call.sizeBytes ?? info.sizeBytes));
    this.#signal = call.signal;
  }

  async *chunks(): AsyncGenerator<Uint8Array, void, void> {
    for (let offset = this.#start; offset < this.#end;) {
      this.#signal.throwIfAborted();
      const chunk = await this.#read(offset, Math.min(READ_CHUNK_BYTES, this.#end - offset));
      yield chunk;
      offset += chunk.length;
    }
  }

  bytes(): Promise<Uint8Array> {
    return this.#read(this.#start, this.#end - this.#start);
  }

  close(): Promise<void> {
    // It was opened for reading: closing it can lose nothing, and what was read was checked.
    this.#closing ??= this.#handle.close().catch(() => {});
    return this.#closing;
  }

  /** Exactly `sizeBytes` bytes from `offset`. */
  async #read(offset: number, sizeBytes: number): Promise<Uint8Array> {
    const target = new Uint8Array(new ArrayBuffer(sizeBytes));
    let count = 0;
    while (count < sizeBytes) {
      let bytesRead: number;
      try {
        ({ bytesRead } = await this.#handle.read(target, count, sizeBytes - count, offset + count));
      } catch (error) {
        throw translateFsError(error, OP, this.#path);
      }
      if (bytesRead === 0) {
        const found = offset + count - this.#start;
        throw truncatedError(OP, this.info.key, found, this.#end - this.#start);
      }
      count += bytesRead;
    }
    return target;
  }
}
