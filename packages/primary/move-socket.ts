import type { Socket } from 'node:net'
import type { MessagePort } from 'node:worker_threads'
import type { HandOff } from '#shared/hand-off'
import { handleOf, takeHandle } from '#shared/socket-handle'
import { canMoveHandles } from './can-move-handles.ts'

/** Found out with the first socket that it can be told with; until then whole sockets go. */
let movesHandles: boolean | null = null

/**
 * Post a socket to another thread. It is moved, or closed when this returns false.
 *
 * Its handle alone goes where that is possible: to move a `net.Socket` Node builds another one at the far end, which
 * would be thrown away for one with a read buffer.
 *
 * Moving takes a second descriptor for a moment. When the process has none left, Node 26.10 posts nothing, throws
 * nothing, and does not close the handle: nobody would ever serve or close that client. Nor does a port that leads
 * nowhere say so. Seen from here, a handle that was moved has no descriptor any more.
 */
export function moveSocket(port: MessagePort, socket: Socket, known: Omit<HandOff, 'handle'>): boolean {
  movesHandles ??= canMoveHandles()
  const handle = handleOf(socket)
  const moved = movesHandles === true ? takeHandle(socket) : socket
  if (handle === null || moved === null) return false // reset meanwhile
  const isMoved = post(port, { ...known, handle: moved }) && handle.fd < 0
  if (isMoved) return true
  handle.close()
  socket.destroy()
  return false
}

function post(port: MessagePort, handOff: HandOff): boolean {
  try {
    port.postMessage(handOff, [handOff.handle as unknown as MessagePort]) // to the types a handle cannot be moved
    return true
  } catch {
    return false
  }
}
