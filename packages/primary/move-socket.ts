import type { MessagePort } from 'node:worker_threads'
import type { HandOff } from '#shared/hand-off'

/** The part of `net.Socket` that Node does not document; without it a lost socket cannot be told from a moved one. */
interface SocketInternals {
  readonly _handle: { readonly fd: number; close(): void } | null
}

/**
 * Post a socket to another thread. It is moved, or closed when this returns false.
 *
 * Moving takes a second descriptor for a moment. When the process has none left, Node 26.10 posts nothing, throws
 * nothing, and takes the handle out of the socket without closing it: nobody would ever serve or close that client.
 * Seen from here, the handle of a socket that was moved has no descriptor any more.
 */
export function moveSocket(port: MessagePort, handOff: HandOff): boolean {
  const { socket } = handOff
  const { _handle: handle } = socket as unknown as SocketInternals // the border to Node's internals
  try {
    port.postMessage(handOff, [socket])
  } catch {
    socket.destroy() // reset meanwhile: its handle is gone
    return false
  }
  // A moved socket leaves a destroyed shell. Alive here means that the port leads nowhere.
  if (!socket.destroyed) {
    socket.destroy()
    return false
  }
  if (handle === null || handle.fd < 0) return true
  handle.close()
  return false
}
