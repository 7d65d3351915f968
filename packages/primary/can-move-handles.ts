import { BoundSocket, Socket } from 'node:net'
import { MessageChannel, type MessagePort, receiveMessageOnPort } from 'node:worker_threads'
import { openHandle, takeHandle, type SocketHandle } from '#shared/socket-handle'

/**
 * Whether this Node moves a socket's handle to another thread and makes a socket of it there: tried out on one that is
 * bound and never used.
 */
export function canMoveHandles(): boolean {
  const { port1, port2 } = new MessageChannel()
  const socket = new Socket({ handle: new BoundSocket({ host: '127.0.0.1', port: 0 }) })
  socket.on('error', () => {})
  const handle = takeHandle(socket)
  try {
    port1.postMessage({ handle }, [handle as unknown as MessagePort]) // to the types it cannot be moved
    const received: { message: { handle: SocketHandle } } | undefined = receiveMessageOnPort(port2)
    if (received === undefined || handle === null || handle.fd >= 0) return false
    const moved = received.message.handle
    const works = moved.fd >= 0
    openHandle(moved).destroy()
    return works
  } catch {
    handle?.close()
    return false
  } finally {
    port1.close()
  }
}
