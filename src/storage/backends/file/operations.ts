/**
 * The asynchronous file calls that the backend makes, as an object, so that a test can fail one of them.
 * Asynchronous because a destination may be a slow or remote disk: the event loop must not wait for it.
 */
import fs from "node:fs";
import promises from "node:fs/promises";

export type FileOperations = Pick<
  typeof promises,
  "open" | "rename" | "link" | "unlink" | "mkdir" | "opendir" | "lstat" | "stat" | "realpath"
>;

export const nodeOperations: FileOperations = promises;

const { O_RDONLY } = fs.constants;
const {
  O_NOFOLLOW = 0,
  O_NONBLOCK = 0,
  O_DIRECTORY = 0,
} = fs.constants as Partial<typeof fs.constants>;

/** An object is a regular file: a symbolic link is not followed, and a named pipe does not block. */
export const OPEN_OBJECT: number = O_RDONLY | O_NOFOLLOW | O_NONBLOCK;
export const OPEN_DIRECTORY: number = O_RDONLY | O_DIRECTORY;
