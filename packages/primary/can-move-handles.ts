import { BoundSocket, Socket } from 'node:net'
import { MessageChannel, type MessagePort, receiveMessageOnPort } from 'node:worker_threads'
import { openHandle, takeHandle, type SocketHandle } from '#shared/socket-handle'

/**
 * Whether this Node moves a socket's handle to another thread and makes a socket of it there: tried out on one that is
 * bound and never used. null when that cannot be told now: there is no descriptor for it, or no loopback. Leaves none open.
 */
export function canMoveHandles(): boolean | null {
  const handle = openProbe()
  if (handle === null) return null
  const { port1, port2 } = new MessageChannel()
  try {
    port1.postMessage({ handle }, [handle as unknown as MessagePort]) // to the types it cannot be moved
    const received: { message: { handle: SocketHandle } } | undefined = receiveMessageOnPort(port2)
    // Nothing came: for want of a second descriptor, as in `moveSocket`, or because this Node loses handles.
    if (received === undefined) return null
    const moved = received.message.handle
    const works = moved.fd >= 0 && handle.fd < 0
    openHandle(moved).destroy()
    return works
  } catch {
    return false
  } finally {
    if (handle.fd >= 0) handle.close()
    port1.close()
  }
}

function openProbe(): SocketHandle | null {
  try {
    const socket = new Socket({ handle: new BoundSocket({ host: '127.0.0.1', port: 0 }) })
    socket.on('error', () => {})
    return takeHandle(socket)
  } catch {
    return null
  }
}
