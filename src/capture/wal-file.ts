/** The `-wal` file, read through a descriptor of our own; SQLite keeps no lock on it, so closing it is safe. */
import type { Files } from "../platform/files.ts";
import { FRAME_HEADER_SIZE, frameSize, WAL_HEADER_SIZE } from "../wal/constants.ts";
import { parseFrameHeader, type FrameHeader } from "../wal/frame.ts";
import { parseWalHeader, sameGeneration, type WalHeader } from "../wal/header.ts";
import type { WalRead } from "../wal/scan.ts";
import type { FileIdentity } from "./state.ts";

export class WalFile implements Disposable {
  readonly #files: Files;
  readonly fd: number;
  readonly path: string;

  constructor(files: Files, path: string) {
    this.#files = files;
    this.path = path;
    this.fd = files.open("open wal", path, "r");
  }

  readonly read: WalRead = (target, offset) =>
    this.#files.read("read wal", this.fd, target, offset);

  /** `undefined` while the WAL holds nothing. */
  header(): WalHeader | undefined {
    const bytes = new Uint8Array(WAL_HEADER_SIZE);
    const got = this.read(bytes, 0);
    return parseWalHeader(bytes.subarray(0, got));
  }

  /** True while the WAL belongs to the generation of `header`. */
  holds(header: WalHeader): boolean {
    const present = this.header();
    return present !== undefined && sameGeneration(present, header);
  }

  /** Header of the frame at `offset`; `undefined` unless the whole frame lies inside the file. */
  frameAt(offset: number, pageSize: number): FrameHeader | undefined {
    if (this.sizeBytes() < offset + frameSize(pageSize)) return undefined;
    const bytes = new Uint8Array(FRAME_HEADER_SIZE);
    return this.read(bytes, offset) === bytes.length ? parseFrameHeader(bytes) : undefined;
  }

  sizeBytes(): number {
    return this.#files.fstat("stat wal", this.fd).sizeBytes;
  }

  identity(): FileIdentity {
    const { dev, ino } = this.#files.fstat("stat wal", this.fd);
    return { dev: String(dev), ino: String(ino) };
  }

  [Symbol.dispose](): void {
    this.#files.close("close wal", this.fd);
  }
}
