/** Breaking a connection at once. */
import type { Socket } from "node:net";

/**
 * Closes with a reset. Node's own way waits until what was written is sent, which a peer that does not read prevents for
 * ever; the second call does not wait.
 */
export function resetNow(socket: Socket): void {
  if (socket.destroyed) return;
  socket.resetAndDestroy();
  socket.destroy();
}
